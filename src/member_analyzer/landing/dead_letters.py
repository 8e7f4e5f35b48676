"""Which records of the dead letter topic were sent again, and how long dead letters are kept here."""

from collections.abc import Collection, Iterable, Iterator
from datetime import datetime, timedelta

from psycopg.sql import SQL, Identifier

from member_analyzer.landing.connection import Connection, stream_rows
from member_analyzer.streams.definition import StreamDefinition

# Kafka forgets whole segments, each of a day.
KEPT_FOR_REPLAYS = timedelta(days=7)
ROWS_FORGOTTEN_AT_ONCE = 10_000


def mark_replayed(connection: Connection, origins: Collection[str]) -> set[str]:
    """Those of the rejected records that nobody has marked yet; they are marked once the transaction is committed."""
    rows = connection.execute(
        "INSERT INTO landing.replayed (origin) SELECT unnest(%s::text[]) ON CONFLICT DO NOTHING RETURNING origin",
        (sorted(origins),),
    )
    return {row[0] for row in rows}


def unmark_replayed(connection: Connection, origins: Collection[str]) -> None:
    """Take back that rejected records were sent again."""
    if origins:
        connection.execute("DELETE FROM landing.replayed WHERE origin = ANY(%s)", (sorted(origins),))


def read_replayed(connection: Connection) -> set[str]:
    """The origins of all rejected records that were sent again."""
    return {row[0] for row in connection.execute("SELECT origin FROM landing.replayed")}


def read_replays(connection: Connection, since: datetime) -> dict[str, datetime]:
    """The origins of the rejected records that were sent again since a moment, with when."""
    rows = connection.execute("SELECT origin, replayed_at FROM landing.replayed WHERE replayed_at >= %s", (since,))
    return {row[0]: row[1] for row in rows}


def stream_replayed(connection: Connection) -> Iterator[str]:
    """The origin of every rejected record that was sent again; with a cursor of the server."""
    for row in stream_rows(connection, b"SELECT origin FROM landing.replayed"):
        yield row[0]


def forget_rejected(connection: Connection, definitions: Iterable[StreamDefinition], keep: timedelta) -> int:
    """Delete what was rejected before landing longer ago than this, and marks of replays; gives how many records.

    A mark is kept for longer than the dead letter that it is for, or that could be sent twice.
    """
    _forget(connection, "replayed", "origin", "replayed_at", keep + KEPT_FOR_REPLAYS)
    return sum(
        _forget(connection, definition.landing.rejected, "fingerprint", "rejected_at", keep)
        for definition in definitions
    )


def _forget(connection: Connection, table: str, key: str, moment: str, keep: timedelta) -> int:
    """Delete old rows in small transactions, so that none is too long, however many there are at the first time."""
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
