"""Replay marks of dead letters, and the retention of rejected inputs."""

from collections.abc import Collection, Iterable, Iterator
from datetime import datetime, timedelta

from psycopg.sql import SQL, Identifier

from member_analyzer.landing.connection import Connection, stream_rows
from member_analyzer.streams.definition import StreamDefinition

# Kafka deletes whole segments, which span a day; the rest is a margin.
KEPT_FOR_REPLAYS = timedelta(days=7)
ROWS_FORGOTTEN_AT_ONCE = 10_000


def mark_replayed(connection: Connection, origins: Collection[str]) -> set[str]:
    """Mark dead letters as replayed in this transaction; return those that were not marked before."""
    rows = connection.execute(
        "INSERT INTO landing.replayed (origin) SELECT unnest(%s::text[]) ON CONFLICT DO NOTHING RETURNING origin",
        (sorted(origins),),
    )
    return {row[0] for row in rows}


def unmark_replayed(connection: Connection, origins: Collection[str]) -> None:
    """Remove the replay marks of dead letters."""
    if origins:
        connection.execute("DELETE FROM landing.replayed WHERE origin = ANY(%s)", (sorted(origins),))


def read_replayed(connection: Connection) -> set[str]:
    """Return the origins of all replayed dead letters."""
    return {row[0] for row in connection.execute("SELECT origin FROM landing.replayed")}


def read_replays(connection: Connection, since: datetime) -> dict[str, datetime]:
    """Return the origins of dead letters replayed since a time, with the time of their replay."""
    rows = connection.execute("SELECT origin, replayed_at FROM landing.replayed WHERE replayed_at >= %s", (since,))
    return {row[0]: row[1] for row in rows}


def stream_replayed(connection: Connection) -> Iterator[str]:
    """Yield the origins of all replayed dead letters from a server-side cursor."""
    for row in stream_rows(connection, b"SELECT origin FROM landing.replayed"):
        yield row[0]


def forget_rejected(connection: Connection, definitions: Iterable[StreamDefinition], keep: timedelta) -> int:
    """Delete rejected inputs older than `keep`, and expired replay marks; return the number of inputs.

    Marks outlive their dead letters, or a dead letter could be replayed twice.
    """
    _forget(connection, "replayed", "origin", "replayed_at", keep + KEPT_FOR_REPLAYS)
    return sum(
        _forget(connection, definition.landing.rejected, "fingerprint", "rejected_at", keep)
        for definition in definitions
    )


def _forget(connection: Connection, table: str, key: str, moment: str, keep: timedelta) -> int:
    """Delete old rows in small transactions."""
    statement = SQL(
        """
        DELETE FROM landing.{table} WHERE {key} = ANY(ARRAY(
            SELECT {key} FROM landing.{table} WHERE {moment} < clock_timestamp() - %s::interval LIMIT %s
        ))
        """
    ).format(table=Identifier(table), key=Identifier(key), moment=Identifier(moment))
    deleted = 0
    while True:
        rows = connection.execute(statement, (keep, ROWS_FORGOTTEN_AT_ONCE)).rowcount
        deleted += rows
        if rows < ROWS_FORGOTTEN_AT_ONCE:
            return deleted
