"""The directories of a platform: the checkout that it runs, and the home directory with all its data."""

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
    """The directories of one platform; several platforms with different homes and ports can run side by side."""

    settings: LocalSettings
    checkout: Path

    @cached_property
    def path(self) -> Path:
        """The home directory as the user knows it; a relative path is relative to the checkout."""
        return (self.checkout / self.settings.home.expanduser()).resolve()

    @cached_property
    def root(self) -> Path:
        """The home directory with a path that every server can read."""
        return plain_path(self.path)

    @cached_property
    def programs(self) -> Path:
        """The checkout with a path that every server can read."""
        return plain_path(self.checkout)

    @cached_property
    def downloads(self) -> Path:
        """The downloaded servers, in the layout of a Maven repository."""
        chosen = self.settings.downloads
        return plain_path((self.checkout / chosen.expanduser()).resolve()) if chosen else self.root / "java"

    @property
    def temporary(self) -> Path:
        """Temporary files; the system's own directory may be mounted noexec."""
        return self.root / "temporary"

    @property
    def logs(self) -> Path:
        return self.root / "logs"

    @property
    def passwords(self) -> Path:
        return self.root / "passwords.json"

    @property
    def checkpoint(self) -> Path:
        return self.root / "checkpoint"

    @property
    def imports(self) -> Path:
        """The files that the DAG `interactions_import` may read."""
        return self.root / "imports"

    @property
    def graphs(self) -> Path:
        return self.root / "graphs"

    def display_path(self, path: Path) -> Path:
        """A path under `root` as the user knows it."""
        return self.path / path.relative_to(self.root)

    def folder(self, *names: str) -> Path:
        """A directory under the root that only the owner can enter; created if it is missing."""
        path = self.root.joinpath(*names)
        path.mkdir(mode=0o700, parents=True, exist_ok=True)
        return path


def open_home(settings: LocalSettings | None = None) -> Home:
    """The home from the settings or the environment (`LOCAL_*`); creates its directories."""
    home = Home(settings or read_settings(), find_checkout())
    try:
        if not home.path.exists():
            home.path.mkdir(parents=True)
            # Under root, PostgreSQL runs as another user, who must be able to enter the directory, but not to list it.
            home.path.chmod(0o711 if os.geteuid() == 0 else 0o700)
        for path in (home.logs, home.checkpoint, home.graphs, home.imports, home.temporary):
            path.mkdir(mode=0o700, exist_ok=True)
            if not os.access(path, os.W_OK | os.X_OK):
                raise PermissionError(errno.EACCES, os.strerror(errno.EACCES))
    except OSError as error:
        raise LocalError(
            f"{home.path} cannot be used: {error.strerror}; choose another directory with LOCAL_HOME"
        ) from error
    return home


def read_settings() -> LocalSettings:
    """The environment's settings (`LOCAL_*`)."""
    try:
        return LocalSettings()
    except ValidationError as error:
        first = error.errors()[0]
        name = f"LOCAL_{first['loc'][0]}".upper()
        raise LocalError(f"{name} is {first['input']!r}: {first['msg']}") from error


def find_checkout() -> Path:
    """The closest parent directory of this file with a pyproject.toml."""
    for folder in Path(__file__).resolve().parents:
        if (folder / "pyproject.toml").is_file():
            return folder
    raise LocalError(
        "member_analyzer is not installed from a checkout, so its DAGs and Spark jobs are missing;"
        " clone the repository and run `make run` in it"
    )
