"""The erasure of records from the landing database."""

from collections.abc import Collection, Iterable
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

import orjson

from member_analyzer.landing.connection import Connection
from member_analyzer.landing.statements import statement
from member_analyzer.streams.definition import StreamDefinition


@dataclass(frozen=True)
class Erased:
    """The result of an erasure, by key."""

    erased: list[str]
    erased_before: list[str]
    unknown: list[str]


def erase_records(connection: Connection, definition: StreamDefinition, keys: Iterable[str]) -> Erased:
    """Erase records and queue their erasure events, atomically.

    The keys remain, so that a retry cannot restore a record; the counted fields remain until Kafka acknowledges the
    erasure event. Rejected inputs of these keys are deleted.
    """
    wanted = list(dict.fromkeys(keys))
    now = datetime.now(UTC)
    tables = definition.landing
    with connection.transaction():
        rows = connection.execute(
            statement(
                tables, "SELECT id, record::text, erased_at FROM {records} WHERE id = ANY(%s) ORDER BY id FOR UPDATE"
            ),
            (wanted,),
        ).fetchall()
        events = {key: _erasure_of(definition, record, now) for key, record, erased_at in rows if erased_at is None}
        connection.execute(
            statement(
                tables,
                """
                UPDATE {records} AS records SET record = given.record, erased_at = %s
                FROM unnest(%s::text[], %s::json[]) AS given (id, record)
                WHERE records.id = given.id
                """,
            ),
            (now, list(events), [event and orjson.dumps(event).decode() for event in events.values()]),
        )
        connection.execute(statement(tables, "INSERT INTO {outbox} (id) SELECT unnest(%s::text[])"), (list(events),))
        connection.execute(statement(tables, "DELETE FROM {rejected} WHERE id = ANY(%s)"), (wanted,))
        connection.execute(statement(tables, "DELETE FROM {unpublishable} WHERE id = ANY(%s)"), (wanted,))
    known = {row[0] for row in rows}
    return Erased(
        erased=[key for key in wanted if key in events],
        erased_before=[key for key in wanted if key in known - events.keys()],
        unknown=[key for key in wanted if key not in known],
    )


def _erasure_of(definition: StreamDefinition, record: str, now: datetime) -> dict[str, Any] | None:
    """Create the erasure event of a row; None for a malformed row, which was never published."""
    if definition.erasure is None:
        raise ValueError(f"Records of the stream {definition.name} cannot be erased.")
    try:
        return definition.erasure.event(orjson.loads(record), now)
    except (ValueError, LookupError, TypeError, AttributeError):
        return None


def find_erased(connection: Connection, definition: StreamDefinition, keys: Collection[str]) -> set[str]:
    """Return those keys whose records are erased."""
    rows = connection.execute(
        statement(definition.landing, "SELECT id FROM {records} WHERE id = ANY(%s) AND erased_at IS NOT NULL"),
        (list(keys),),
    )
    return {row[0] for row in rows}
