"""The console, which shows the members and the pipeline."""

from datetime import datetime

from member_analyzer.local.environment import program_environment, python
from member_analyzer.local.http import fetch_json
from member_analyzer.local.server import Server


class Console(Server):
    """The web console. It has no dependencies, because it shows which servers are unavailable."""

    name = "console"

    @property
    def ports(self) -> dict[str, int]:
        return {"LOCAL_CONSOLE_PORT": self.settings.console_port}

    @property
    def address(self) -> str:
        return f"http://127.0.0.1:{self.settings.console_port}/"

    @property
    def command(self) -> list[str]:
        return [python(), "-m", "member_analyzer.console", "--port", str(self.settings.console_port)]

    @property
    def environment(self) -> dict[str, str]:
        return program_environment("console", self.home)

    def check(self, started: datetime) -> None:
        """It serves, whether or not other servers are available."""
        fetch_json(f"{self.address}healthz")
