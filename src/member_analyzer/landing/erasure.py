"""The erasure of members from the landing database."""

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
    """What became of the keys that were to be erased."""

    erased: list[str]
    erased_before: list[str]
    unknown: list[str]


def erase_records(connection: Connection, definition: StreamDefinition, keys: Iterable[str]) -> Erased:
    """Erase records: their rows here now, what was counted of them once their erasure is published.

    Of their rows the keys stay, so that no retry brings them back; the fields that they were counted by stay until
    Kafka has the erasure. What was rejected of these keys before landing is deleted. Commits all of it or nothing.
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
    """The event that erases a record; None for a row that no event can be made of, so that none was published."""
    if definition.erasure is None:
        raise ValueError(f"Records of the stream {definition.name} cannot be erased.")
    try:
        return definition.erasure.event(orjson.loads(record), now)
    except (ValueError, LookupError, TypeError, AttributeError):
        return None


def find_erased(connection: Connection, definition: StreamDefinition, keys: Collection[str]) -> set[str]:
    """Those of the keys whose records were erased."""
    rows = connection.execute(
        statement(definition.landing, "SELECT id FROM {records} WHERE id = ANY(%s) AND erased_at IS NOT NULL"),
        (list(keys),),
    )
    return {row[0] for row in rows}
