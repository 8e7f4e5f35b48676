"""Creates the tables of the landing database."""

from collections.abc import Iterable
from importlib.resources import files

from psycopg.sql import SQL, Identifier, Literal

from member_analyzer.landing.connection import Connection
from member_analyzer.landing.outbox import pause_publishing
from member_analyzer.landing.statements import identifiers
from member_analyzer.streams.definition import LandingTables, StreamDefinition


def create_tables(connection: Connection, definitions: Iterable[StreamDefinition]) -> None:
    """Create the missing landing tables of these streams, and the shared ones."""
    with connection.transaction():
        # Serialize concurrent provisioning.
        connection.execute("SELECT pg_advisory_xact_lock(hashtext('member-analyzer landing tables'))")
        # A publisher locks its entries while it waits for Kafka; DDL that waits for them would block landing.
        pause_publishing(connection)
        connection.execute(_read("schema.sql").encode())
        for definition in definitions:
            connection.execute(stream_statements(definition.landing))


def stream_statements(tables: LandingTables) -> bytes:
    """Return the statements that create the tables of one stream."""
    return (
        SQL(_read("stream.sql"))
        .format(
            **identifiers(tables),
            records_name=Literal(tables.records),
            rejected_name=Literal(tables.rejected),
            rejected_at_index=Identifier(f"{tables.rejected}_rejected_at"),
            rejected_id_index=Identifier(f"{tables.rejected}_id"),
        )
        .as_bytes()
    )


def _read(name: str) -> str:
    return files("member_analyzer.landing").joinpath(name).read_text(encoding="utf-8")
