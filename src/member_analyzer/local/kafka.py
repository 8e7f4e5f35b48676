"""Kafka in ZooKeeper mode, with SASL/SCRAM authentication and ACLs for each program."""

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
# A killed broker cannot register again until its session expires.
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
TRANSACTIONAL_ID = ResourceType.TRANSACTIONAL_ID

# User, resource and operation; a name that ends with * is a prefix. WRITE and READ imply DESCRIBE.
ACLS = [
    ("airflow", TOPIC, "users", AclOperation.WRITE),
    # The DAG `interactions_import`.
    ("airflow", TOPIC, "interactions", AclOperation.WRITE),
    ("airflow", TOPIC, "interactions_rejected", AclOperation.WRITE),
    ("airflow", TRANSACTIONAL_ID, "member-analyzer-import", AclOperation.WRITE),
    ("airflow", CLUSTER, "kafka-cluster", AclOperation.IDEMPOTENT_WRITE),
    ("collector", TOPIC, "users", AclOperation.WRITE),
    ("collector", TOPIC, "interactions", AclOperation.WRITE),
    ("collector", TOPIC, "interactions_rejected", AclOperation.WRITE),
    ("collector", TRANSACTIONAL_ID, "member-analyzer-collector*", AclOperation.WRITE),
    ("collector", CLUSTER, "kafka-cluster", AclOperation.IDEMPOTENT_WRITE),
    ("stream", TOPIC, "users", AclOperation.READ),
    ("stream", TOPIC, "users_rejected", AclOperation.WRITE),
    ("stream", TOPIC, "interactions", AclOperation.READ),
    ("stream", TOPIC, "interactions_rejected", AclOperation.WRITE),
    ("stream", CLUSTER, "kafka-cluster", AclOperation.IDEMPOTENT_WRITE),
    # Structured Streaming appends a suffix for each query to the given prefix.
    ("stream", GROUP, "member-analyzer-stream*", AclOperation.READ),
    ("reader", TOPIC, "users", AclOperation.READ),
    ("reader", TOPIC, "users_rejected", AclOperation.READ),
    ("reader", TOPIC, "interactions", AclOperation.READ),
    ("reader", TOPIC, "interactions_rejected", AclOperation.READ),
    ("reader", GROUP, "member-analyzer-reader", AclOperation.READ),
    # An administrator's commands audit the topics, publish, and replay dead letters.
    ("operator", TOPIC, "users", AclOperation.READ),
    ("operator", TOPIC, "users", AclOperation.WRITE),
    ("operator", TOPIC, "users_rejected", AclOperation.READ),
    ("operator", TOPIC, "interactions", AclOperation.READ),
    ("operator", TOPIC, "interactions", AclOperation.WRITE),
    ("operator", TOPIC, "interactions_rejected", AclOperation.READ),
    ("operator", GROUP, "member-analyzer-reader", AclOperation.READ),
    ("operator", CLUSTER, "kafka-cluster", AclOperation.IDEMPOTENT_WRITE),
    # The console shows the topics and replays dead letters.
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


# None matches any name, although the type annotations require strings.
ALL_ACLS = AclBindingFilter(
    *(ResourceType.ANY, None, ResourcePatternType.ANY, None, None),  # type: ignore[arg-type]
    *(AclOperation.ANY, AclPermissionType.ANY),
)


class Kafka(JavaServer):
    """One broker."""

    name = "kafka"
    depends_on = ("zookeeper",)
    stop_seconds = 30

    @property
    def ports(self) -> dict[str, int]:
        return {"LOCAL_KAFKA_PORT": self.settings.kafka_port}

    @property
    def users(self) -> dict[str, str]:
        """Password by user."""
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
        """The Java options of the broker and its tools."""
        return [
            f"-Djava.security.auth.login.config={self.directory}/login.conf",
            f"-Dlog4j.configuration=file:{self.directory}/log4j.properties",
        ]

    @property
    def command(self) -> list[str]:
        return self.java_command(
            ["-Xms128m", "-Xmx384m", "-XX:+UseSerialGC", *self.jvm],
            class_path("kafka", self.home.downloads),
            "kafka.Kafka",
            f"{self.directory}/server.properties",
        )

    def prepare(self) -> None:
        """Write the configuration, and create the broker's own user."""
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
        created = self.directory / "admin-made"
        if not created.exists():
            self.create_admin()
            created.touch()

    def create_admin(self) -> None:
        """Create the broker's own user in ZooKeeper, because the first broker needs it to start."""
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
            output = lines[-1] if lines else "no output"
            raise LocalError(f"Kafka's first user could not be created in ZooKeeper: {output}")

    @cached_property
    def admin(self) -> AdminClient:
        """An admin client with all permissions."""
        return AdminClient(
            {
                "bootstrap.servers": f"127.0.0.1:{self.settings.kafka_port}",
                "security.protocol": "SASL_PLAINTEXT",
                "sasl.mechanism": "SCRAM-SHA-512",
                "sasl.username": "admin",
                "sasl.password": self.passwords.kafka_admin,
                "reconnect.backoff.max.ms": 500,
                # Do not log refused connections while it starts.
                "log_level": 0,
            }
        )

    def check(self, started: datetime) -> None:
        """The broker returns its metadata to an authenticated client; an open port alone does not mean readiness."""
        try:
            metadata = self.admin.list_topics(timeout=3)
        except KafkaException as error:
            raise NotReadyError(error.args[0].str()) from error
        if metadata.controller_id < 0:
            raise NotReadyError("there is no controller yet")

    def provision(self) -> None:
        """Create the users and ACLs of the programs; delete all other ACLs, such as those of an earlier version."""
        required = {make_acl(*acl) for acl in ACLS}
        try:
            self.create_users()
            for future in self.admin.create_acls(list(required)).values():
                future.result(30)
            if surplus := set(self.admin.describe_acls(ALL_ACLS).result(30)) - required:
                for deleted in self.admin.delete_acls([as_filter(one) for one in surplus]).values():
                    deleted.result(30)
        except KafkaException as error:
            raise LocalError(f"Kafka's users or ACLs could not be created: {error.args[0].str()}") from error

    def create_users(self) -> None:
        """Create the users of the programs, or update their passwords."""
        scram = ScramCredentialInfo(ScramMechanism.SCRAM_SHA_512, 4096)
        users: list[UserScramCredentialAlteration] = [
            UserScramCredentialUpsertion(user, scram, password.encode()) for user, password in self.users.items()
        ]
        described = self.admin.describe_user_scram_credentials(request_timeout=30)
        # A single future, because no user is named.
        known = described.result() if isinstance(described, Future) else described
        users += [UserScramCredentialDeletion(user, scram.mechanism) for user in RETIRED if user in known]
        for future in self.admin.alter_user_scram_credentials(users).values():
            future.result(30)


def make_acl(user: str, kind: ResourceType, name: str, operation: AclOperation) -> AclBinding:
    """Allows a user one operation on a resource, from any host."""
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


def as_filter(acl: AclBinding) -> AclBindingFilter:
    """A filter that matches exactly one ACL."""
    return AclBindingFilter(
        acl.restype,
        acl.name,
        acl.resource_pattern_type,
        acl.principal,
        acl.host,
        acl.operation,
        acl.permission_type,
    )
