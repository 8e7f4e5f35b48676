"""ZooKeeper, which stores Kafka's metadata; only Kafka's own user has access."""

import socket
from datetime import datetime

from member_analyzer.local.artifacts import class_path
from member_analyzer.local.passwords import write_private
from member_analyzer.local.server import JavaServer, NotReadyError

CONFIGURATION = """\
dataDir={directory}/data
clientPort={port}
clientPortAddress=127.0.0.1
admin.enableServer=false
4lw.commands.whitelist=srvr
maxClientCnxns=60
preAllocSize=4096
autopurge.purgeInterval=1
autopurge.snapRetainCount=3
authProvider.sasl=org.apache.zookeeper.server.auth.SASLAuthenticationProvider
enforce.auth.enabled=true
enforce.auth.schemes=sasl
"""

LOGIN = """\
Server {{
  org.apache.zookeeper.server.auth.DigestLoginModule required
  user_kafka="{password}";
}};
"""

LOGGING = """\
log4j.rootLogger=INFO, stdout
log4j.appender.stdout=org.apache.log4j.ConsoleAppender
log4j.appender.stdout.layout=org.apache.log4j.PatternLayout
log4j.appender.stdout.layout.ConversionPattern=%d %p %c{1}: %m%n
"""


class ZooKeeper(JavaServer):
    """One ZooKeeper node."""

    name = "zookeeper"

    @property
    def ports(self) -> dict[str, int]:
        return {"LOCAL_ZOOKEEPER_PORT": self.settings.zookeeper_port}

    @property
    def command(self) -> list[str]:
        """ZooKeeper from Kafka's jars."""
        return self.java_command(
            [
                "-Xms32m",
                "-Xmx96m",
                "-XX:+UseSerialGC",
                "-XX:TieredStopAtLevel=1",
                f"-Djava.security.auth.login.config={self.directory}/login.conf",
                f"-Dlog4j.configuration=file:{self.directory}/log4j.properties",
            ],
            class_path("kafka", self.home.downloads),
            "org.apache.zookeeper.server.quorum.QuorumPeerMain",
            f"{self.directory}/zookeeper.properties",
        )

    def prepare(self) -> None:
        """Write the configuration."""
        (self.directory / "zookeeper.properties").write_text(
            CONFIGURATION.format(directory=self.directory, port=self.settings.zookeeper_port)
        )
        write_private(self.directory / "login.conf", LOGIN.format(password=self.passwords.zookeeper_kafka))
        (self.directory / "log4j.properties").write_text(LOGGING)

    def check(self, started: datetime) -> None:
        """The four-letter word `srvr` returns the node's mode."""
        try:
            with socket.create_connection(("127.0.0.1", self.settings.zookeeper_port), timeout=2) as connection:
                connection.sendall(b"srvr")
                answer = connection.makefile("rb").read()
        except OSError as error:
            raise NotReadyError(str(error)) from error
        if b"Mode: standalone" not in answer:
            raise NotReadyError(answer.decode(errors="replace").strip() or "there is no response to srvr")
