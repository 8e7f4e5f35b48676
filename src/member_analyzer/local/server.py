"""The base classes of the platform's startup steps and servers."""

from abc import ABC, abstractmethod
from datetime import datetime
from pathlib import Path
from typing import ClassVar

from member_analyzer.local.home import Home
from member_analyzer.local.java import Java
from member_analyzer.local.passwords import Passwords


class NotReadyError(Exception):
    """Raised when a server does not respond as it should yet, with its response."""


class Step(ABC):
    """One step of starting the platform, and the steps that must be done before it."""

    name: ClassVar[str]
    depends_on: ClassVar[tuple[str, ...]] = ()

    def __init__(self, home: Home, passwords: Passwords, java: Java) -> None:
        self.home = home
        self.settings = home.settings
        self.passwords = passwords
        self.java = java


class Task(Step):
    """A step that runs to completion at every start; idempotent."""

    @abstractmethod
    def run(self) -> None:
        """Run the step."""


class Server(Step):
    """A step that starts a long-running process and waits until it is ready."""

    stop_signal: ClassVar[str] = "TERM"
    stop_seconds: ClassVar[int] = 20
    # For servers that may catch up later, so that accepting members comes first when the cores are busy.
    low_priority: ClassVar[bool] = False

    @property
    def ports(self) -> dict[str, int]:
        """The ports that it uses on 127.0.0.1, by the variable that sets them."""
        return {}

    @property
    def address(self) -> str:
        """The address for clients."""
        return ", ".join(f"127.0.0.1:{port}" for port in list(self.ports.values())[:1])

    @property
    def user(self) -> str | None:
        """The user that it runs as; None for the user who starts the platform."""
        return None

    @property
    def directory(self) -> Path:
        """Its working directory; created if it is missing."""
        return self.home.folder(self.name)

    @property
    @abstractmethod
    def command(self) -> list[str]:
        """The program and its arguments, without passwords, because every user of the machine can read them."""

    @property
    def environment(self) -> dict[str, str]:
        """Variables in addition to those that all servers share."""
        return {}

    def prepare(self) -> None:
        """Write the files that the process reads; idempotent."""

    @abstractmethod
    def check(self, started: datetime) -> None:
        """Check readiness over the server's own protocol. `started` is the process's start. Raises NotReadyError."""

    def provision(self) -> None:
        """Create the users and permissions in the running server; idempotent."""


class JavaServer(Server):
    """A server that runs on Java."""

    @property
    def environment(self) -> dict[str, str]:
        return {"JAVA_HOME": str(self.java.home)}

    def java_start(self, options: list[str]) -> list[str]:
        """The `java` command with the options of all servers; native libraries are unpacked into the home."""
        temporary = self.home.temporary
        folders = [f"-Djava.io.tmpdir={temporary}", f"-Djna.tmpdir={temporary}"]
        return [str(self.java.executable), *options, *folders, "-XX:+ExitOnOutOfMemoryError"]

    def java_command(self, options: list[str], class_path: str, main: str, *arguments: str) -> list[str]:
        """The command that runs a main class; a JVM that runs out of memory exits and is restarted."""
        return [*self.java_start(options), "-cp", class_path, main, *arguments]
