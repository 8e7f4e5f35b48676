"""The step that creates tables, topics, schemas and the keyspace once their servers are ready."""

from member_analyzer.local.cassandra import Cassandra
from member_analyzer.local.environment import program_environment
from member_analyzer.local.server import Task
from member_analyzer.operations.provision import provision
from member_analyzer.settings import CassandraSettings
from member_analyzer.streams.catalog import STREAMS, TOPICS

PROVISION_TIMEOUT_SECONDS = 120


class Schemas(Task):
    """What must exist before the programs start."""

    name = "schemas"
    depends_on = ("postgres", "kafka", "registry", "cassandra")

    def run(self) -> None:
        """Provision the servers, then grant the roles their permissions in the keyspace."""
        environment = program_environment("admin", self.home)
        # On a busy machine a server that is ready may still respond too late.
        provision(environment, TOPICS.values(), wait=PROVISION_TIMEOUT_SECONDS)
        Cassandra(self.home, self.passwords, self.java).grant(
            CassandraSettings.of(environment).keyspace, STREAMS.values()
        )
