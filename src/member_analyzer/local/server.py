"""The form that every step and server of the platform has."""

from abc import ABC, abstractmethod
from datetime import datetime
from pathlib import Path
from typing import ClassVar

from member_analyzer.local.home import Home
from member_analyzer.local.java import Java
from member_analyzer.local.passwords import Passwords


class NotReadyError(Exception):
    """The server does not answer yet as it should; the text says what it said."""


class Step(ABC):
    """One step of starting the platform, and the steps that it comes after."""

    name: ClassVar[str]
    after: ClassVar[tuple[str, ...]] = ()

    def __init__(self, home: Home, passwords: Passwords, java: Java) -> None:
        self.home = home
        self.settings = home.settings
        self.passwords = passwords
        self.java = java


class Task(Step):
    """A step that is done once it has run; it runs at every start and changes nothing when repeated."""

    @abstractmethod
    def run(self) -> None:
        """Do it."""


class Server(Step):
    """A step that keeps a process: how it runs, and when it is ready."""

    stop_signal: ClassVar[str] = "TERM"
    stop_seconds: ClassVar[int] = 20
    # Where there are too few cores for all: what no member waits for gives way to what accepts them, and catches up.
    gives_way: ClassVar[bool] = False

    @property
    def ports(self) -> dict[str, int]:
        """The ports that it takes on 127.0.0.1, each under the name of the setting that moves it."""
        return {}

    @property
    def address(self) -> str:
        """Where clients find it."""
        return ", ".join(f"127.0.0.1:{port}" for port in list(self.ports.values())[:1])

    @property
    def user(self) -> str | None:
        """The user that it runs as, none for whoever started the platform."""
        return None

    @property
    def directory(self) -> Path:
        """Its working folder, made if it is not there."""
        return self.home.folder(self.name)

    @property
    @abstractmethod
    def command(self) -> list[str]:
        """The program and its arguments; no password among them, for every user of the machine can read them."""

    @property
    def environment(self) -> dict[str, str]:
        """What is added to the environment that all servers share."""
        return {}

    def prepare(self) -> None:
        """Write the files that the process reads; changes nothing when repeated."""

    @abstractmethod
    def check(self, started: datetime) -> None:
        """Ask, in its own protocol, whether it serves; raise NotReadyError if not. `started`: when the process was."""

    def provision(self) -> None:
        """Make the users and rights in the running server; changes nothing when repeated."""


class JavaServer(Server):
    """A server that runs on Java."""

    @property
    def environment(self) -> dict[str, str]:
        """The Java of choice."""
        return {"JAVA_HOME": str(self.java.home)}

    def java_start(self, options: list[str]) -> list[str]:
        """The Java of choice with what every server wants of it; native libraries are unpacked into the home."""
        temporary = self.home.temporary
        folders = [f"-Djava.io.tmpdir={temporary}", f"-Djna.tmpdir={temporary}"]
        return [str(self.java.executable), *options, *folders, "-XX:+ExitOnOutOfMemoryError"]

    def java_command(self, options: list[str], class_path: str, main: str, *arguments: str) -> list[str]:
        """The start of a main class; a JVM that runs out of memory ends, so that it is started anew."""
        return [*self.java_start(options), "-cp", class_path, main, *arguments]
