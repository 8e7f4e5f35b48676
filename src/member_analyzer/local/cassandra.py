"""Cassandra, which stores the members and the analysis tables, with a role for each program."""

import logging
import secrets
import socket
from collections.abc import Collection, Iterator
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path

from cassandra import OperationTimedOut
from cassandra.auth import PlainTextAuthProvider
from cassandra.cluster import EXEC_PROFILE_DEFAULT, Cluster, ExecutionProfile, NoHostAvailable, Session
from cassandra.policies import DCAwareRoundRobinPolicy
from tenacity import retry, retry_if_exception_type, stop_after_delay, wait_fixed

from member_analyzer.analysis.roles import RIGHTS, grant_rights, make_roles
from member_analyzer.local.artifacts import class_path, locate
from member_analyzer.local.server import JavaServer, NotReadyError
from member_analyzer.streams.definition import StreamDefinition

CONFIGURATION = """\
cluster_name: member-analyzer
num_tokens: 8
partitioner: org.apache.cassandra.dht.Murmur3Partitioner
endpoint_snitch: SimpleSnitch
listen_address: 127.0.0.1
storage_port: {storage_port}
rpc_address: 127.0.0.1
native_transport_port: {port}
start_native_transport: true
auto_bootstrap: false
seed_provider:
  - class_name: org.apache.cassandra.locator.SimpleSeedProvider
    parameters:
      - seeds: "127.0.0.1:{storage_port}"

authenticator: PasswordAuthenticator
authorizer: CassandraAuthorizer
role_manager: CassandraRoleManager
roles_validity: 60s
permissions_validity: 60s
credentials_validity: 60s
# Denied permissions are cached too: new ones take effect after this interval.
roles_update_interval: 2s
permissions_update_interval: 2s
credentials_update_interval: 2s

data_file_directories: [{directory}/data]
commitlog_directory: {directory}/commitlog
saved_caches_directory: {directory}/saved_caches
hints_directory: {directory}/hints
cdc_raw_directory: {directory}/cdc_raw

# A write is acknowledged once it is on disk, so that a killed process loses no acknowledged write.
commitlog_sync: batch
# Tolerates a disk or CPU that stalls for some seconds: a timeout would restart the stream.
write_request_timeout: 10s
# Direct I/O where the file system supports it, which saves a copy of every write.
commitlog_disk_access_mode: auto
# The stream deliberately writes large batches; logging a warning for each costs more than the writes.
batch_size_warn_threshold: 256KiB
batch_size_fail_threshold: 512KiB
unlogged_batch_across_partitions_warn_threshold: 1000
commitlog_segment_size: 16MiB
commitlog_total_space: 256MiB
hinted_handoff_enabled: false
auto_snapshot: false

concurrent_reads: 8
concurrent_writes: 16
concurrent_counter_writes: 2
concurrent_compactors: 1
memtable_flush_writers: 1
# An off-heap trie: a third of the garbage and a fifth less CPU time per row.
memtable:
  configurations:
    trie:
      class_name: TrieMemtable
    default:
      inherits: trie
memtable_allocation_type: offheap_objects
memtable_heap_space: 64MiB
memtable_offheap_space: 128MiB
file_cache_size: 32MiB
networking_cache_size: 16MiB
key_cache_size: 8MiB
counter_cache_size: 0MiB
disk_access_mode: mmap_index_only
"""

LOGGING = """\
<configuration>
  <appender name="stdout" class="ch.qos.logback.core.ConsoleAppender">
    <encoder><pattern>%date %level %logger{0}: %msg%n</pattern></encoder>
  </appender>
  <root level="INFO"><appender-ref ref="stdout"/></root>
</configuration>
"""

EXPORTS = [
    "java.base/java.lang.ref",
    "java.base/jdk.internal.misc",
    "java.base/sun.nio.ch",
    "java.management.rmi/com.sun.jmx.remote.internal.rmi",
    "java.rmi/sun.rmi.registry",
    "java.rmi/sun.rmi.server",
    "java.sql/java.sql",
    "jdk.unsupported/sun.misc",
]

OPENS = [
    "java.base/java.io",
    "java.base/java.lang",
    "java.base/java.lang.module",
    "java.base/java.lang.reflect",
    "java.base/java.nio",
    "java.base/java.util",
    "java.base/java.util.concurrent",
    "java.base/java.util.concurrent.atomic",
    "java.base/jdk.internal.loader",
    "java.base/jdk.internal.math",
    "java.base/jdk.internal.module",
    "java.base/jdk.internal.ref",
    "java.base/jdk.internal.reflect",
    "java.base/jdk.internal.util.jar",
    "java.base/sun.nio.ch",
    "jdk.management/com.sun.management.internal",
]


# A server that is ready may still respond too late while others start.
retry_on_a_busy_machine = retry(
    retry=retry_if_exception_type((NoHostAvailable, OperationTimedOut)),
    stop=stop_after_delay(120),
    wait=wait_fixed(2),
    reraise=True,
)


class Cassandra(JavaServer):
    """One Cassandra node."""

    name = "cassandra"
    low_priority = True

    @property
    def ports(self) -> dict[str, int]:
        """The ports for clients and for other nodes."""
        return {
            "LOCAL_CASSANDRA_PORT": self.settings.cassandra_port,
            "LOCAL_CASSANDRA_STORAGE_PORT": self.settings.cassandra_storage_port,
        }

    @property
    def command(self) -> list[str]:
        """The daemon, without a JMX port, which nothing here uses."""
        agent = next(jar for jar in locate("cassandra", self.home.downloads) if jar.name.startswith("jamm-"))
        options = [
            "-Xms256m",
            "-Xmx768m",
            "-Xss512k",
            "-XX:+UseSerialGC",
            "-XX:MaxDirectMemorySize=256m",
            f"-javaagent:{agent}",
            "-Djdk.attach.allowAttachSelf=true",
            *(part for package in EXPORTS for part in ("--add-exports", f"{package}=ALL-UNNAMED")),
            *(part for package in OPENS for part in ("--add-opens", f"{package}=ALL-UNNAMED")),
            f"-Dlogback.configurationFile={self.directory}/logback.xml",
            f"-Dcassandra.config=file://{self.directory}/cassandra.yaml",
            f"-Dcassandra.storagedir={self.directory}",
            "-Dcassandra-foreground=yes",
            "-Dcassandra.ring_delay_ms=100",
            "-Dcassandra.skip_wait_for_gossip_to_settle=0",
            "-Dcassandra.superuser_setup_delay_ms=0",
        ]
        return self.java_command(
            options, class_path("cassandra", self.home.downloads), "org.apache.cassandra.service.CassandraDaemon"
        )

    def prepare(self) -> None:
        """Write the server's and the logging configuration."""
        (self.directory / "cassandra.yaml").write_text(
            CONFIGURATION.format(
                directory=self.directory,
                port=self.settings.cassandra_port,
                storage_port=self.settings.cassandra_storage_port,
            )
        )
        (self.directory / "logback.xml").write_text(LOGGING)

    @property
    def provisioned(self) -> Path:
        """A file that exists once the administrator has replaced Cassandra's default role."""
        return self.directory / "provisioned"

    @contextmanager
    def connect(self, user: str = "admin", password: str | None = None) -> Iterator[Session]:
        """A session, by default the administrator's."""
        # Do not log refused connections while it starts.
        logging.getLogger("cassandra").setLevel(logging.CRITICAL)
        with Cluster(
            ["127.0.0.1"],
            port=self.settings.cassandra_port,
            auth_provider=PlainTextAuthProvider(user, password or self.passwords.cassandra_admin),
            execution_profiles={
                EXEC_PROFILE_DEFAULT: ExecutionProfile(DCAwareRoundRobinPolicy("datacenter1"), request_timeout=20)
            },
            protocol_version=5,
            connect_timeout=5,
            schema_metadata_enabled=False,
            token_metadata_enabled=False,
        ) as cluster:
            yield cluster.connect()

    def check(self, started: datetime) -> None:
        """It accepts a login and a query."""
        role = ("admin", None) if self.provisioned.exists() else ("cassandra", "cassandra")
        try:
            # Cheaper than a driver that cannot connect.
            socket.create_connection(("127.0.0.1", self.settings.cassandra_port), timeout=2).close()
            with self.connect(*role) as session:
                session.execute("SELECT release_version FROM system.local")
        except (OSError, NoHostAvailable) as error:
            raise NotReadyError(str(error)) from error

    @retry_on_a_busy_machine
    def provision(self) -> None:
        """Replace Cassandra's default role by the administrator, and create the roles of the programs."""
        if not self.provisioned.exists():
            with self.connect("cassandra", "cassandra") as session:
                session.execute(
                    "CREATE ROLE IF NOT EXISTS admin WITH SUPERUSER = true AND LOGIN = true AND PASSWORD = %s",
                    [self.passwords.cassandra_admin],
                )
            self.provisioned.touch()
        with self.connect() as session:
            session.execute(
                "ALTER ROLE cassandra WITH SUPERUSER = false AND LOGIN = false AND PASSWORD = %s",
                [secrets.token_urlsafe(24)],
            )
            passwords = self.passwords.model_dump()
            make_roles(session, {role: passwords[f"cassandra_{role}"] for role in RIGHTS})

    @retry_on_a_busy_machine
    def grant(self, keyspace: str, definitions: Collection[StreamDefinition]) -> None:
        """Grant the programs' roles their permissions in an existing keyspace with the tables of these streams."""
        with self.connect() as session:
            grant_rights(session, keyspace, definitions)
