"""Apicurio Registry, the schema registry; its in-memory storage is pointed at a database file and so outlives it."""

from datetime import datetime
from pathlib import Path

from member_analyzer.local.archive import unpack
from member_analyzer.local.artifacts import locate
from member_analyzer.local.http import ask
from member_analyzer.local.plain_path import program_folder
from member_analyzer.local.server import JavaServer


class Registry(JavaServer):
    """One registry with the Confluent-compatible API."""

    name = "registry"

    @property
    def ports(self) -> dict[str, int]:
        """HTTP."""
        return {"LOCAL_REGISTRY_PORT": self.settings.registry_port}

    @property
    def address(self) -> str:
        """The pages for people; programs take `api`."""
        return f"http://127.0.0.1:{self.settings.registry_port}/ui/"

    @property
    def api(self) -> str:
        """The Confluent-compatible API."""
        return f"http://127.0.0.1:{self.settings.registry_port}/apis/ccompat/v7"

    @property
    def program(self) -> Path:
        """Where the archive is unpacked: Quarkus looks for itself by the real path, and does not read every one."""
        return program_folder(self.home.root / "registry" / "program", f"{self.home.root.name}-registry")

    @property
    def command(self) -> list[str]:
        """The runner of the archive, wherever its version."""
        runner = self.program / f"{self.archive.name.removesuffix('-all.tar.gz')}-runner.jar"
        options = ["-Xms64m", "-Xmx192m", "-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1"]
        return [*self.java_start(options), "-jar", str(runner)]

    @property
    def environment(self) -> dict[str, str]:
        """Its settings."""
        return super().environment | {
            # WRITE_DELAY=0: what was answered is on the disk, even if the process is killed then.
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
        """The downloaded program."""
        return locate("registry", self.home.downloads)[0]

    def prepare(self) -> None:
        """The program."""
        unpack(self.archive, self.program)

    def check(self, started: datetime) -> None:
        """The list of subjects is answered."""
        ask(f"{self.api}/subjects")
