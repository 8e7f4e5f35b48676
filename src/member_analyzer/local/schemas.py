"""The step that makes tables, topics, schemas and the keyspace, once the servers that hold them are ready."""

from member_analyzer.local.cassandra import Cassandra
from member_analyzer.local.environment import program_environment
from member_analyzer.local.server import Task
from member_analyzer.settings import CassandraSettings


class Schemas(Task):
    """What the programs find already there when they start."""

    name = "schemas"
    after = ("postgres", "kafka", "registry", "cassandra")

    def run(self) -> None:
        """Make it, then give the roles their rights in the keyspace."""
        from member_analyzer.provision import provision_everything

        provision_everything(program_environment("admin", self.home))
        keyspace = CassandraSettings.model_fields["keyspace"].default
        Cassandra(self.home, self.passwords, self.java).grant(keyspace)
