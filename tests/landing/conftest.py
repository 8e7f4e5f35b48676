"""PostgreSQL alone, with a landing database of its own for each test: it starts in seconds."""

import os
import signal
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import psycopg
import pytest
from rich.console import Console

from conftest import free_ports
from member_analyzer.landing import Connection, connect_landing, create_tables
from member_analyzer.local.artifacts import fetch_artifacts
from member_analyzer.local.home import Home, find_checkout
from member_analyzer.local.platform import make_postgres
from member_analyzer.local.postgres import Postgres, group
from member_analyzer.local.server import NotReadyError
from member_analyzer.settings import LandingSettings, LocalSettings
from patience import holds


@contextmanager
def running_postgres(folder: Path) -> Iterator[tuple[Postgres, int]]:
    """A PostgreSQL server whose files are in a folder, and the process id of its postmaster."""
    (port,) = free_ports(1)
    downloads = Path(os.environ.get("LOCAL_DOWNLOADS", "var/java"))
    home = Home(LocalSettings(home=folder, downloads=downloads, postgres_port=port), find_checkout())
    folder.chmod(0o711)
    fetch_artifacts([group()], home.downloads, Console(stderr=True))
    server = make_postgres(home)
    server.prepare()
    with (folder / "postgres.log").open("wb") as log:
        process = subprocess.Popen(server.command, stdout=log, stderr=log, cwd="/", **server.identity)

    def is_ready() -> bool:
        try:
            server.check(None)  # type: ignore[arg-type]
        except NotReadyError:
            return False
        return True

    try:
        assert holds(is_ready, 60), (folder / "postgres.log").read_text()
        yield server, process.pid
    finally:
        process.send_signal(signal.SIGINT)
        process.wait(60)


@pytest.fixture(scope="session")
def postgres() -> Iterator[Postgres]:
    """The server that the tests share."""
    # Not pytest's folder, which only its owner can enter: PostgreSQL does not run as root.
    with tempfile.TemporaryDirectory() as folder, running_postgres(Path(folder)) as (server, _):
        server.provision()
        yield server


def landing_settings(server: Postgres) -> LandingSettings:
    return LandingSettings(
        host="127.0.0.1",
        port=server.settings.postgres_port,
        password=server.passwords.postgres_member_analyzer,  # type: ignore[arg-type]
        connect_timeout=5,
    )


def drop_landing(connection: "psycopg.Connection[tuple[object, ...]]") -> None:
    connection.execute("DROP SCHEMA IF EXISTS landing CASCADE")


@pytest.fixture
def settings(postgres: Postgres) -> LandingSettings:
    """A landing database whose tables are new."""
    settings = landing_settings(postgres)
    with connect_landing(settings) as connection:
        drop_landing(connection)
        create_tables(connection)
    return settings


@pytest.fixture
def landing(settings: LandingSettings) -> Iterator[Connection]:
    """A connection to it."""
    with connect_landing(settings) as connection:
        yield connection
