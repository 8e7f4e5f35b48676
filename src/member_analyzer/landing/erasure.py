"""The erasure of members from the landing database."""

from collections.abc import Collection, Iterable
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

import orjson

from member_analyzer.landing.connection import Connection
from member_analyzer.streams.members.record import erased_event


@dataclass(frozen=True)
class Erasure:
    """What became of the ids that were to be erased."""

    erased: list[str]
    erased_before: list[str]
    unknown: list[str]


def erase_members(connection: Connection, ids: Iterable[str]) -> Erasure:
    """Erase members: their rows here now, what was counted of them once their erasure is published.

    Of their rows the ids stay, so that no retry brings them back; the fields that they were counted by stay until Kafka
    has the erasure. What was rejected of these ids before landing is deleted. Commits all of it or nothing.
    """
    wanted = list(dict.fromkeys(ids))
    now = datetime.now(UTC)
    with connection.transaction():
        rows = connection.execute(
            "SELECT id, record::text, erased_at FROM landing.users WHERE id = ANY(%s) ORDER BY id FOR UPDATE", (wanted,)
        ).fetchall()
        events = {key: _erasure_of(record, now) for key, record, erased_at in rows if erased_at is None}
        connection.execute(
            """
            UPDATE landing.users SET record = given.record, erased_at = %s
            FROM unnest(%s::text[], %s::json[]) AS given (id, record)
            WHERE users.id = given.id
            """,
            (now, list(events), [event and orjson.dumps(event).decode() for event in events.values()]),
        )
        connection.execute("INSERT INTO landing.unpublished (id) SELECT unnest(%s::text[])", (list(events),))
        connection.execute("DELETE FROM landing.rejected WHERE id = ANY(%s)", (wanted,))
        connection.execute("DELETE FROM landing.unpublishable WHERE id = ANY(%s)", (wanted,))
    known = {row[0] for row in rows}
    return Erasure(
        erased=[key for key in wanted if key in events],
        erased_before=[key for key in wanted if key in known - events.keys()],
        unknown=[key for key in wanted if key not in known],
    )


def _erasure_of(record: str, now: datetime) -> dict[str, Any] | None:
    """The event that takes a member back; None for a row that no event can be made of, so that none was published."""
    try:
        return erased_event(orjson.loads(record), now)
    except (ValueError, LookupError, TypeError, AttributeError):
        return None


def find_erased(connection: Connection, ids: Collection[str]) -> set[str]:
    """Those of the ids whose members were erased."""
    rows = connection.execute("SELECT id FROM landing.users WHERE id = ANY(%s) AND erased_at IS NOT NULL", (list(ids),))
    return {row[0] for row in rows}
