"""The Spark Structured Streaming job."""

from datetime import datetime

from member_analyzer.local.environment import program_environment, python
from member_analyzer.local.http import ask
from member_analyzer.local.server import NotReadyError, Server
from member_analyzer.local.spark import write_configuration


class Stream(Server):
    """The one Spark driver that always runs."""

    name = "stream"
    gives_way = True
    after = ("schemas",)
    stop_seconds = 30

    @property
    def ports(self) -> dict[str, int]:
        """Spark's UI."""
        return {"LOCAL_SPARK_PORT": self.settings.spark_port}

    @property
    def address(self) -> str:
        """Spark's UI."""
        return f"http://127.0.0.1:{self.settings.spark_port}/"

    @property
    def command(self) -> list[str]:
        """The entry point; the Java of one that was killed would hold on for a while."""
        return [
            python(),
            "-m",
            "member_analyzer.local.succession",
            python(),
            str(self.home.programs / "spark-apps" / "stream.py"),
        ]

    @property
    def environment(self) -> dict[str, str]:
        """The stream's own users."""
        return program_environment("stream", self.home)

    def prepare(self) -> None:
        """Spark's configuration."""
        write_configuration(self.home)

    def check(self, started: datetime) -> None:
        """Spark's REST interface knows the application, and it is not that of a stream that was killed."""
        applications = ask(f"{self.address}api/v1/applications")
        if not applications:
            raise NotReadyError("Spark has no application yet")
        if applications[0]["attempts"][0]["startTimeEpoch"] < started.timestamp() * 1000:
            raise NotReadyError("the Java of the stream before it still answers")
