"""The keys of all records in the landing database."""

from collections.abc import Iterator

from member_analyzer.landing.connection import Connection, stream_rows
from member_analyzer.landing.statements import statement
from member_analyzer.streams.definition import StreamDefinition


def stream_keys(connection: Connection, definition: StreamDefinition) -> Iterator[tuple[str, bool]]:
    """Yield every key and whether its record is erased, in constant memory."""
    yield from stream_rows(connection, statement(definition.landing, "SELECT id, erased_at IS NOT NULL FROM {records}"))
