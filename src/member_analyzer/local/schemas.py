"""The step that makes tables, topics, schemas and the keyspace, once the servers that hold them are ready."""

from member_analyzer.local.cassandra import Cassandra
from member_analyzer.local.environment import program_environment
from member_analyzer.local.server import Task
from member_analyzer.operations.provision import provision
from member_analyzer.settings import CassandraSettings


class Schemas(Task):
    """What the programs find already there when they start."""

    name = "schemas"
    after = ("postgres", "kafka", "registry", "cassandra")

    def run(self) -> None:
        """Make it, then give the roles their rights in the keyspace."""
        environment = program_environment("admin", self.home)
        provision(environment)
        Cassandra(self.home, self.passwords, self.java).grant(CassandraSettings.of(environment).keyspace)
