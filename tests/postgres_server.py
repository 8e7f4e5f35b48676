"""A PostgreSQL server without the rest of the platform, which starts in seconds."""

import os
import signal
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path

from rich.console import Console

from member_analyzer.local.artifacts import fetch_artifacts
from member_analyzer.local.home import Home, find_checkout
from member_analyzer.local.platform import make_postgres
from member_analyzer.local.postgres import Postgres, artifact_group
from member_analyzer.local.server import NotReadyError
from member_analyzer.settings import LandingSettings, LocalSettings
from patience import holds
from ports import free_ports


@contextmanager
def running_postgres(folder: Path) -> Iterator[tuple[Postgres, int]]:
    """A PostgreSQL server with its files in a directory, and the process id of its postmaster."""
    (port,) = free_ports(1)
    downloads = Path(os.environ.get("LOCAL_DOWNLOADS", "var/java"))
    home = Home(LocalSettings(home=folder, downloads=downloads, postgres_port=port), find_checkout())
    folder.chmod(0o711)
    fetch_artifacts([artifact_group()], home.downloads, Console(stderr=True))
    server = make_postgres(home)
    server.prepare()
    with (folder / "postgres.log").open("wb") as log:
        process = subprocess.Popen(server.command, stdout=log, stderr=log, cwd="/", **server.process_options)

    def is_ready() -> bool:
        try:
            server.check(datetime.now(UTC))
        except NotReadyError:
            return False
        return True

    try:
        assert holds(is_ready), (folder / "postgres.log").read_text()
        yield server, process.pid
    finally:
        process.send_signal(signal.SIGINT)
        process.wait(60)


def landing_settings(server: Postgres) -> LandingSettings:
    return LandingSettings(
        host="127.0.0.1",
        port=server.settings.postgres_port,
        password=server.passwords.postgres_member_analyzer,  # type: ignore[arg-type]
        connect_timeout=5,
    )
