"""The Spark Structured Streaming job."""

from datetime import datetime

from member_analyzer.local.environment import program_environment, python
from member_analyzer.local.http import fetch_json
from member_analyzer.local.server import NotReadyError, Server
from member_analyzer.local.spark import write_configuration


class Stream(Server):
    """The Spark driver of the stream, which runs permanently."""

    name = "stream"
    low_priority = True
    depends_on = ("schemas",)
    stop_seconds = 30

    @property
    def ports(self) -> dict[str, int]:
        return {"LOCAL_SPARK_PORT": self.settings.spark_port}

    @property
    def address(self) -> str:
        """The Spark UI."""
        return f"http://127.0.0.1:{self.settings.spark_port}/"

    @property
    def command(self) -> list[str]:
        """The entry point, after terminating the JVM of a driver that was killed."""
        return [
            python(),
            "-m",
            "member_analyzer.local.clean_start",
            python(),
            str(self.home.programs / "spark-apps" / "stream.py"),
        ]

    @property
    def environment(self) -> dict[str, str]:
        return program_environment("stream", self.home)

    def prepare(self) -> None:
        write_configuration(self.home)

    def check(self, started: datetime) -> None:
        """Spark's REST API lists the application, and it is not that of a driver that was killed."""
        applications = fetch_json(f"{self.address}api/v1/applications")
        if not applications:
            raise NotReadyError("Spark has no application yet")
        if applications[0]["attempts"][0]["startTimeEpoch"] < started.timestamp() * 1000:
            raise NotReadyError("the JVM of the previous stream still responds")
