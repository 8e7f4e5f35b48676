"""Apicurio Registry, the schema registry; its in-memory storage is configured to use a database file."""

from datetime import datetime
from pathlib import Path

from member_analyzer.local.archive import unpack
from member_analyzer.local.artifacts import locate
from member_analyzer.local.http import fetch_json
from member_analyzer.local.plain_path import program_folder
from member_analyzer.local.server import JavaServer


class Registry(JavaServer):
    """One registry with the Confluent-compatible API."""

    name = "registry"

    @property
    def ports(self) -> dict[str, int]:
        return {"LOCAL_REGISTRY_PORT": self.settings.registry_port}

    @property
    def address(self) -> str:
        """The web UI; programs use `api`."""
        return f"http://127.0.0.1:{self.settings.registry_port}/ui/"

    @property
    def api(self) -> str:
        """The Confluent-compatible API."""
        return f"http://127.0.0.1:{self.settings.registry_port}/apis/ccompat/v7"

    @property
    def program(self) -> Path:
        """The unpacked archive; Quarkus resolves its own path and does not support every character in it."""
        return program_folder(self.home.root / "registry" / "program", f"{self.home.root.name}-registry")

    @property
    def command(self) -> list[str]:
        runner = self.program / f"{self.archive.name.removesuffix('-all.tar.gz')}-runner.jar"
        options = ["-Xms64m", "-Xmx192m", "-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1"]
        return [*self.java_start(options), "-jar", str(runner)]

    @property
    def environment(self) -> dict[str, str]:
        return super().environment | {
            # WRITE_DELAY=0: acknowledged writes are on disk and survive a kill.
            "REGISTRY_DATASOURCE_URL": f"jdbc:h2:file:{self.directory}/data;WRITE_DELAY=0;DB_CLOSE_ON_EXIT=FALSE",
            "QUARKUS_DATASOURCE_JDBC_INITIAL_SIZE": "1",
            "QUARKUS_DATASOURCE_JDBC_MIN_SIZE": "1",
            "QUARKUS_DATASOURCE_JDBC_MAX_SIZE": "10",
            "QUARKUS_HTTP_HOST": "127.0.0.1",
            "QUARKUS_HTTP_PORT": str(self.settings.registry_port),
            "LOG_LEVEL": "WARN",
            "REGISTRY_LOG_LEVEL": "WARN",
        }

    @property
    def archive(self) -> Path:
        return locate("registry", self.home.downloads)[0]

    def prepare(self) -> None:
        unpack(self.archive, self.program)

    def check(self, started: datetime) -> None:
        """It lists the subjects."""
        fetch_json(f"{self.api}/subjects")
