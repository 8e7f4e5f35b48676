"""Makes the keyspace and its tables."""

from importlib.resources import files

from cassandra.cluster import Session

from member_analyzer.settings import CassandraSettings


def create_tables(session: Session, settings: CassandraSettings) -> None:
    """Make the keyspace and its tables where they are not there yet."""
    session.execute(
        f"CREATE KEYSPACE IF NOT EXISTS {settings.keyspace} WITH replication = "
        f"{{'class': 'NetworkTopologyStrategy', '{settings.datacenter}': {settings.replication_factor}}}"
    )
    text = files("member_analyzer.analysis").joinpath("keyspace.cql").read_text(encoding="utf-8")
    text = "\n".join(line for line in text.splitlines() if not line.startswith("--"))
    for statement in text.replace("{keyspace}", settings.keyspace).split(";"):
        if statement.strip():
            session.execute(statement)
