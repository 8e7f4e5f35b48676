"""The ids of all members in the landing database."""

from collections.abc import Iterator

from member_analyzer.landing.connection import Connection, stream_rows


def read_ids(connection: Connection) -> set[str]:
    """The ids of all members that are not erased."""
    return {row[0] for row in connection.execute("SELECT id FROM landing.users WHERE erased_at IS NULL")}


def stream_ids(connection: Connection) -> Iterator[tuple[str, bool]]:
    """Every id, and whether its member is erased; a cursor of the server, so that memory does not grow with them."""
    yield from stream_rows(connection, "SELECT id, erased_at IS NOT NULL FROM landing.users")
