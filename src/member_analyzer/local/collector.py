"""The collector, which accepts members over HTTP."""

from datetime import datetime

from member_analyzer.local.environment import program_environment, python
from member_analyzer.local.http import fetch_json
from member_analyzer.local.server import Server


class Collector(Server):
    """The HTTP service that lands and publishes posted members."""

    name = "collector"
    depends_on = ("schemas",)

    @property
    def ports(self) -> dict[str, int]:
        return {"LOCAL_COLLECTOR_PORT": self.settings.collector_port}

    @property
    def address(self) -> str:
        """The API documentation."""
        return f"http://127.0.0.1:{self.settings.collector_port}/docs"

    @property
    def command(self) -> list[str]:
        return [python(), "-m", "member_analyzer.collector", "--port", str(self.settings.collector_port)]

    @property
    def environment(self) -> dict[str, str]:
        return program_environment("collector", self.home)

    def check(self, started: datetime) -> None:
        """It can reach PostgreSQL."""
        fetch_json(f"http://127.0.0.1:{self.settings.collector_port}/readyz")
