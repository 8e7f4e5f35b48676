"""Makes the tables of the landing database."""

from importlib.resources import files

from member_analyzer.landing.connection import Connection
from member_analyzer.landing.outbox import pause_publishing


def create_tables(connection: Connection) -> None:
    """Make the landing tables where they are not there yet."""
    statements = files("member_analyzer.landing").joinpath("schema.sql").read_text(encoding="utf-8")
    with connection.transaction():
        # Two programs that set up at once must not both find that a table is missing.
        connection.execute("SELECT pg_advisory_xact_lock(hashtext('member-analyzer landing tables'))")
        # A publisher holds its queue while Kafka answers: waiting for that queue must not keep others from landing.
        pause_publishing(connection)
        connection.execute(statements.encode())
