"""Makes the tables of the landing database."""

from collections.abc import Iterable
from dataclasses import asdict
from importlib.resources import files

from psycopg.sql import SQL, Identifier, Literal

from member_analyzer.landing.connection import Connection
from member_analyzer.landing.outbox import pause_publishing
from member_analyzer.streams.definition import LandingTables, StreamDefinition


def create_tables(connection: Connection, definitions: Iterable[StreamDefinition]) -> None:
    """Make the landing tables of these streams, and those that streams share, where they are not there yet."""
    with connection.transaction():
        # Two programs that set up at once must not both find that a table is missing.
        connection.execute("SELECT pg_advisory_xact_lock(hashtext('member-analyzer landing tables'))")
        # A publisher holds its entries while Kafka answers: waiting for those must not keep others from landing.
        pause_publishing(connection)
        connection.execute(_read("schema.sql").encode())
        for definition in definitions:
            connection.execute(stream_statements(definition.landing))


def stream_statements(tables: LandingTables) -> bytes:
    """The statements that make the tables of one stream."""
    names = {role: Identifier("landing", name) for role, name in asdict(tables).items()}
    return (
        SQL(_read("stream.sql"))
        .format(
            **names,
            records_name=Literal(tables.records),
            rejected_name=Literal(tables.rejected),
            rejected_at_index=Identifier(f"{tables.rejected}_rejected_at"),
            rejected_id_index=Identifier(f"{tables.rejected}_id"),
        )
        .as_bytes()
    )


def _read(name: str) -> str:
    return files("member_analyzer.landing").joinpath(name).read_text(encoding="utf-8")
