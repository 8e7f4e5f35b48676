"""The collector, which takes members over HTTP."""

from datetime import datetime

from member_analyzer.local.environment import program_environment, python
from member_analyzer.local.http import ask
from member_analyzer.local.server import Server


class Collector(Server):
    """The web program that lands what is posted to it, and publishes it."""

    name = "collector"
    after = ("schemas",)

    @property
    def ports(self) -> dict[str, int]:
        """HTTP."""
        return {"LOCAL_COLLECTOR_PORT": self.settings.collector_port}

    @property
    def address(self) -> str:
        """The page that explains the API."""
        return f"http://127.0.0.1:{self.settings.collector_port}/docs"

    @property
    def command(self) -> list[str]:
        """The program."""
        return [python(), "-m", "member_analyzer.collector", "--port", str(self.settings.collector_port)]

    @property
    def environment(self) -> dict[str, str]:
        """Its own users."""
        return program_environment("collector", self.home)

    def check(self, started: datetime) -> None:
        """It can land members."""
        ask(f"http://127.0.0.1:{self.settings.collector_port}/readyz")
