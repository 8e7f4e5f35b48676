"""Kafka in ZooKeeper mode: SASL/SCRAM for everyone, and each program may do just what its rights say."""

import subprocess
from concurrent.futures import Future
from datetime import datetime
from functools import cached_property

from confluent_kafka import KafkaException
from confluent_kafka.admin import (
    AclBinding,
    AclBindingFilter,
    AclOperation,
    AclPermissionType,
    AdminClient,
    ResourcePatternType,
    ResourceType,
    ScramCredentialInfo,
    ScramMechanism,
    UserScramCredentialAlteration,
    UserScramCredentialDeletion,
    UserScramCredentialUpsertion,
)

from member_analyzer.local.artifacts import class_path
from member_analyzer.local.environment import base_environment
from member_analyzer.local.failure import LocalError
from member_analyzer.local.passwords import write_private
from member_analyzer.local.server import JavaServer, NotReadyError

CONFIGURATION = """\
broker.id=0
listeners=SASL_PLAINTEXT://127.0.0.1:{port}
log.dirs={directory}/data
zookeeper.connect=127.0.0.1:{zookeeper_port}
zookeeper.set.acl=true
# A broker that was killed cannot register again until its session ends.
zookeeper.session.timeout.ms=6000

security.inter.broker.protocol=SASL_PLAINTEXT
sasl.enabled.mechanisms=SCRAM-SHA-512
sasl.mechanism.inter.broker.protocol=SCRAM-SHA-512
listener.name.sasl_plaintext.scram-sha-512.sasl.jaas.config=\
org.apache.kafka.common.security.scram.ScramLoginModule required username="admin" password="{password}";
authorizer.class.name=kafka.security.authorizer.AclAuthorizer
super.users=User:admin
allow.everyone.if.no.acl.found=false

auto.create.topics.enable=false
offsets.topic.replication.factor=1
offsets.topic.num.partitions=4
transaction.state.log.replication.factor=1
transaction.state.log.min.isr=1
transaction.state.log.num.partitions=4
group.initial.rebalance.delay.ms=0
num.network.threads=2
num.io.threads=4
background.threads=4
log.cleaner.dedupe.buffer.size=16777216
"""

LOGIN = """\
Client {{
  org.apache.zookeeper.server.auth.DigestLoginModule required
  username="kafka"
  password="{password}";
}};
"""

LOGGING = """\
log4j.rootLogger=INFO, stdout
log4j.appender.stdout=org.apache.log4j.ConsoleAppender
log4j.appender.stdout.layout=org.apache.log4j.PatternLayout
log4j.appender.stdout.layout.ConversionPattern=%d %p %c{1}: %m%n
log4j.logger.kafka.authorizer.logger=WARN
log4j.logger.org.apache.zookeeper=WARN
"""

TOPIC, GROUP, CLUSTER = ResourceType.TOPIC, ResourceType.GROUP, ResourceType.BROKER

# Who may do what to what; a name that ends with * is a prefix. Writing and reading include describing.
RIGHTS = [
    ("airflow", TOPIC, "users", AclOperation.WRITE),
    ("airflow", CLUSTER, "kafka-cluster", AclOperation.IDEMPOTENT_WRITE),
    ("collector", TOPIC, "users", AclOperation.WRITE),
    ("collector", CLUSTER, "kafka-cluster", AclOperation.IDEMPOTENT_WRITE),
    ("stream", TOPIC, "users", AclOperation.READ),
    ("stream", TOPIC, "users_rejected", AclOperation.WRITE),
    ("stream", CLUSTER, "kafka-cluster", AclOperation.IDEMPOTENT_WRITE),
    # Structured Streaming appends to the prefix that it is given what is each query's own.
    ("stream", GROUP, "member-analyzer-stream*", AclOperation.READ),
    ("reader", TOPIC, "users", AclOperation.READ),
    ("reader", TOPIC, "users_rejected", AclOperation.READ),
    ("reader", GROUP, "member-analyzer-reader", AclOperation.READ),
    # Whoever looks after the platform from a shell: what is audited, and what is published or sent again.
    ("operator", TOPIC, "users", AclOperation.READ),
    ("operator", TOPIC, "users", AclOperation.WRITE),
    ("operator", TOPIC, "users_rejected", AclOperation.READ),
    ("operator", GROUP, "member-analyzer-reader", AclOperation.READ),
    ("operator", CLUSTER, "kafka-cluster", AclOperation.IDEMPOTENT_WRITE),
    # What the console shows, and what it sends again.
    ("console", TOPIC, "users", AclOperation.READ),
    ("console", TOPIC, "users", AclOperation.WRITE),
    ("console", TOPIC, "users_rejected", AclOperation.READ),
    ("console", GROUP, "member-analyzer-reader", AclOperation.READ),
    ("console", GROUP, "*", AclOperation.DESCRIBE),
    ("console", CLUSTER, "kafka-cluster", AclOperation.DESCRIBE),
    ("console", CLUSTER, "kafka-cluster", AclOperation.IDEMPOTENT_WRITE),
]
# Users of earlier versions.
RETIRED = ["publisher"]


# Its types say that it takes texts alone; None stands for any.
EVERY_RIGHT = AclBindingFilter(
    *(ResourceType.ANY, None, ResourcePatternType.ANY, None, None),  # type: ignore[arg-type]
    *(AclOperation.ANY, AclPermissionType.ANY),
)


class Kafka(JavaServer):
    """One broker."""

    name = "kafka"
    after = ("zookeeper",)
    stop_seconds = 30

    @property
    def ports(self) -> dict[str, int]:
        """For clients."""
        return {"LOCAL_KAFKA_PORT": self.settings.kafka_port}

    @property
    def users(self) -> dict[str, str]:
        """The password of each program's user."""
        return {
            "airflow": self.passwords.kafka_airflow,
            "collector": self.passwords.kafka_collector,
            "operator": self.passwords.kafka_operator,
            "stream": self.passwords.kafka_stream,
            "reader": self.passwords.kafka_reader,
            "console": self.passwords.kafka_console,
        }

    @property
    def jvm(self) -> list[str]:
        """What the broker and its tools have in common."""
        return [
            f"-Djava.security.auth.login.config={self.directory}/login.conf",
            f"-Dlog4j.configuration=file:{self.directory}/log4j.properties",
        ]

    @property
    def command(self) -> list[str]:
        """The broker."""
        return self.java_command(
            ["-Xms128m", "-Xmx384m", "-XX:+UseSerialGC", *self.jvm],
            class_path("kafka", self.home.downloads),
            "kafka.Kafka",
            f"{self.directory}/server.properties",
        )

    def prepare(self) -> None:
        """Configuration, login, logging, and the user as which the broker itself logs in."""
        write_private(
            self.directory / "server.properties",
            CONFIGURATION.format(
                port=self.settings.kafka_port,
                directory=self.directory,
                zookeeper_port=self.settings.zookeeper_port,
                password=self.passwords.kafka_admin,
            ),
        )
        write_private(self.directory / "login.conf", LOGIN.format(password=self.passwords.zookeeper_kafka))
        (self.directory / "log4j.properties").write_text(LOGGING)
        done = self.directory / "admin-made"
        if not done.exists():
            self.make_admin()
            done.touch()

    def make_admin(self) -> None:
        """Write the broker's own user into ZooKeeper, because no broker can be asked to before the first one runs."""
        credentials = self.directory / "admin.properties"
        write_private(credentials, f"SCRAM-SHA-512=iterations=4096,password={self.passwords.kafka_admin}\n")
        command = self.java_command(
            ["-Xmx96m", "-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1", *self.jvm],
            class_path("kafka", self.home.downloads),
            "kafka.admin.ConfigCommand",
            *("--zookeeper", f"127.0.0.1:{self.settings.zookeeper_port}"),
            *("--alter", "--add-config-file", str(credentials)),
            *("--entity-type", "users", "--entity-name", "admin"),
        )
        result = subprocess.run(command, env=base_environment(self.home), capture_output=True, text=True, check=False)
        credentials.unlink()
        if result.returncode != 0:
            lines = (result.stdout + result.stderr).strip().splitlines()
            raise LocalError(f"Kafka's first user could not be made in ZooKeeper: {lines[-1] if lines else 'no word'}")

    @cached_property
    def admin(self) -> AdminClient:
        """A client that may do everything."""
        return AdminClient(
            {
                "bootstrap.servers": f"127.0.0.1:{self.settings.kafka_port}",
                "security.protocol": "SASL_PLAINTEXT",
                "sasl.mechanism": "SCRAM-SHA-512",
                "sasl.username": "admin",
                "sasl.password": self.passwords.kafka_admin,
                "reconnect.backoff.max.ms": 500,
                # Refused connections while it starts are no news.
                "log_level": 0,
            }
        )

    def check(self, started: datetime) -> None:
        """The broker tells an authenticated client of itself; an open port would not yet mean that it serves."""
        try:
            metadata = self.admin.list_topics(timeout=3)
        except KafkaException as error:
            raise NotReadyError(error.args[0].str()) from error
        if metadata.controller_id < 0:
            raise NotReadyError("no broker is the controller yet")

    def provision(self) -> None:
        """The users of the programs and their rights; what an earlier version gave beyond them is taken back."""
        wanted = {make_right(*right) for right in RIGHTS}
        try:
            self.make_users()
            for future in self.admin.create_acls(list(wanted)).values():
                future.result(30)
            if surplus := set(self.admin.describe_acls(EVERY_RIGHT).result(30)) - wanted:
                for deleted in self.admin.delete_acls([as_filter(one) for one in surplus]).values():
                    deleted.result(30)
        except KafkaException as error:
            raise LocalError(f"Kafka refused to make its users or rights: {error.args[0].str()}") from error

    def make_users(self) -> None:
        """Make the users of the programs, or write their passwords anew."""
        scram = ScramCredentialInfo(ScramMechanism.SCRAM_SHA_512, 4096)
        users: list[UserScramCredentialAlteration] = [
            UserScramCredentialUpsertion(user, scram, password.encode()) for user, password in self.users.items()
        ]
        described = self.admin.describe_user_scram_credentials(request_timeout=30)
        # One answer, because no user is named.
        known = described.result() if isinstance(described, Future) else described
        users += [UserScramCredentialDeletion(user, scram.mechanism) for user in RETIRED if user in known]
        for future in self.admin.alter_user_scram_credentials(users).values():
            future.result(30)


def make_right(user: str, kind: ResourceType, name: str, operation: AclOperation) -> AclBinding:
    """The right of one user to one operation, from anywhere."""
    prefixed = name.endswith("*") and name != "*"
    return AclBinding(
        kind,
        name.removesuffix("*") if prefixed else name,
        ResourcePatternType.PREFIXED if prefixed else ResourcePatternType.LITERAL,
        f"User:{user}",
        "*",
        operation,
        AclPermissionType.ALLOW,
    )


def as_filter(right: AclBinding) -> AclBindingFilter:
    """What finds one right and no other."""
    return AclBindingFilter(
        right.restype,
        right.name,
        right.resource_pattern_type,
        right.principal,
        right.host,
        right.operation,
        right.permission_type,
    )
