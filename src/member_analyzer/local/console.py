"""The console, which shows the members and the pipeline."""

from datetime import datetime

from member_analyzer.local.environment import program_environment, python
from member_analyzer.local.http import ask
from member_analyzer.local.server import Server


class Console(Server):
    """The web program for people. It comes after nobody: it shows who is away."""

    name = "console"

    @property
    def ports(self) -> dict[str, int]:
        """HTTP."""
        return {"LOCAL_CONSOLE_PORT": self.settings.console_port}

    @property
    def address(self) -> str:
        """The page."""
        return f"http://127.0.0.1:{self.settings.console_port}/"

    @property
    def command(self) -> list[str]:
        """The program."""
        return [python(), "-m", "member_analyzer.console", "--port", str(self.settings.console_port)]

    @property
    def environment(self) -> dict[str, str]:
        """Its own users, and the logins of those who open it."""
        return program_environment("console", self.home)

    def check(self, started: datetime) -> None:
        """It serves, whatever is behind it."""
        ask(f"{self.address}healthz")
