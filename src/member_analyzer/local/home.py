"""Where a platform lives: the checkout that it runs and the folder that holds everything it makes."""

import errno
import os
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from pydantic import ValidationError

from member_analyzer.local.failure import LocalError
from member_analyzer.local.plain_path import plain_path
from member_analyzer.settings import LocalSettings


@dataclass(frozen=True)
class Home:
    """The folders of one platform; several platforms with homes and ports of their own can run side by side."""

    settings: LocalSettings
    checkout: Path

    @cached_property
    def place(self) -> Path:
        """The folder of data, logs and passwords, as people call it; a relative one is meant from the checkout."""
        return (self.checkout / self.settings.home.expanduser()).resolve()

    @cached_property
    def root(self) -> Path:
        """The same folder, as every server can read it."""
        return plain_path(self.place)

    @cached_property
    def programs(self) -> Path:
        """The checkout, as every server can read it."""
        return plain_path(self.checkout)

    @cached_property
    def downloads(self) -> Path:
        """The folder of the downloaded servers, in the form of a Maven repository."""
        chosen = self.settings.downloads
        return plain_path((self.checkout / chosen.expanduser()).resolve()) if chosen else self.root / "java"

    @property
    def temporary(self) -> Path:
        """Where programs put what they need for a while; the machine's own folder may forbid to run what is there."""
        return self.root / "temporary"

    @property
    def logs(self) -> Path:
        """One file a server."""
        return self.root / "logs"

    @property
    def passwords(self) -> Path:
        """The file that only the owner can read."""
        return self.root / "passwords.json"

    @property
    def checkpoint(self) -> Path:
        """The stream's checkpoint."""
        return self.root / "checkpoint"

    @property
    def graphs(self) -> Path:
        """The pictures that `generate_graphs` makes."""
        return self.root / "graphs"

    def called(self, path: Path) -> Path:
        """A path in the home as people call it."""
        return self.place / path.relative_to(self.root)

    def folder(self, *names: str) -> Path:
        """A folder under the root that only the owner can enter, made if it is not there."""
        path = self.root.joinpath(*names)
        path.mkdir(mode=0o700, parents=True, exist_ok=True)
        return path


def open_home(settings: LocalSettings | None = None) -> Home:
    """The platform that the environment (`LOCAL_*`) names; makes its root folder."""
    home = Home(settings or read_settings(), find_checkout())
    try:
        if not home.place.exists():
            home.place.mkdir(parents=True)
            # PostgreSQL does not run as root and has to pass through as another user, who may not list what is here.
            home.place.chmod(0o711 if os.geteuid() == 0 else 0o700)
        for path in (home.logs, home.checkpoint, home.graphs, home.temporary):
            path.mkdir(mode=0o700, exist_ok=True)
            if not os.access(path, os.W_OK | os.X_OK):
                raise PermissionError(errno.EACCES, os.strerror(errno.EACCES))
    except OSError as error:
        raise LocalError(
            f"{home.place} cannot be used: {error.strerror}; choose another folder with LOCAL_HOME"
        ) from error
    return home


def read_settings() -> LocalSettings:
    """The environment's settings (`LOCAL_*`)."""
    try:
        return LocalSettings()
    except ValidationError as error:
        wrong = error.errors()[0]
        name = f"LOCAL_{wrong['loc'][0]}".upper()
        raise LocalError(f"{name} is {wrong['input']!r}: {wrong['msg']}") from error


def find_checkout() -> Path:
    """The folder of pyproject.toml above this file."""
    for folder in Path(__file__).resolve().parents:
        if (folder / "pyproject.toml").is_file():
            return folder
    raise LocalError(
        "member_analyzer is not installed from a checkout, so its DAGs and Spark jobs are missing;"
        " clone the repository and run `make run` in it"
    )
