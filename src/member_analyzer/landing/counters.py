"""Row counts of the landing tables."""

from collections.abc import Mapping
from dataclasses import dataclass

from member_analyzer.landing.connection import Connection
from member_analyzer.landing.statements import statement
from member_analyzer.streams.definition import StreamDefinition

# Up to this many outbox entries are counted exactly.
MAX_COUNTED = 20_000
# This many counter rows are still read within a millisecond.
CHANGES_TO_FOLD = 200


@dataclass(frozen=True)
class LandingCounts:
    """The numbers of accepted (not erased), unpublished, rejected and erased records.

    `unpublishable` records are among the accepted ones; they cannot be published until their cause is fixed.
    """

    accepted: int
    unpublished: int
    rejected: int
    erased: int
    unpublishable: int = 0


def count_landed(connection: Connection, definition: StreamDefinition) -> LandingCounts:
    """Read the row counts from the counters, in constant time.

    The size of an outbox above MAX_COUNTED is estimated.
    """
    counts, tables = _read_counts(connection), definition.landing
    return LandingCounts(
        accepted=counts.get(f"{tables.records}:accepted", 0),
        unpublished=count_unpublished(connection, definition),
        rejected=sum(_by_reason(counts, tables.rejected).values()),
        erased=counts.get(f"{tables.records}:erased", 0),
        unpublishable=sum(_by_reason(counts, tables.unpublishable).values()),
    )


def count_unpublished(connection: Connection, definition: StreamDefinition) -> int:
    """Count the events in the outbox: exactly up to MAX_COUNTED, above that estimated from the positions.

    The estimate includes entries that publishers have claimed.
    """
    row = connection.execute(
        statement(
            definition.landing,
            """
            SELECT (SELECT count(*) FROM (SELECT FROM {outbox} LIMIT %s) AS queued),
                   (SELECT coalesce(max(position) - min(position) + 1, 0) FROM {outbox})
            """,
        ),
        (MAX_COUNTED,),
    ).fetchone() or (0, 0)
    return int(row[0]) if row[0] < MAX_COUNTED else int(row[1])


def recount_landed(connection: Connection, definition: StreamDefinition) -> LandingCounts:
    """Count the rows of the landing tables: a slow check of the counters."""
    row = connection.execute(
        statement(
            definition.landing,
            """
            SELECT (SELECT count(*) FROM {records} WHERE erased_at IS NULL),
                   (SELECT count(*) FROM {outbox}),
                   (SELECT count(*) FROM {rejected}),
                   (SELECT count(*) FROM {records} WHERE erased_at IS NOT NULL),
                   (SELECT count(*) FROM {unpublishable})
            """,
        )
    ).fetchone()
    if row is None:
        raise RuntimeError("PostgreSQL returned no row for a count.")
    return LandingCounts(*row)


def count_rejected(connection: Connection, definition: StreamDefinition) -> dict[str, int]:
    """Count the inputs that were rejected before landing, by reason."""
    return _by_reason(_read_counts(connection), definition.landing.rejected)


def count_unpublishable(connection: Connection, definition: StreamDefinition) -> dict[str, int]:
    """Count the unpublishable records, by reason."""
    return _by_reason(_read_counts(connection), definition.landing.unpublishable)


def _read_counts(connection: Connection) -> dict[str, int]:
    rows = connection.execute("SELECT name, sum(change)::bigint FROM landing.count_changes GROUP BY name")
    return {name: count for name, count in rows if count}


def _by_reason(counts: Mapping[str, int], table: str) -> dict[str, int]:
    prefix = f"{table}:"
    return {name.removeprefix(prefix): count for name, count in counts.items() if name.startswith(prefix)}


def fold_counts(connection: Connection) -> None:
    """Compact the counter changes once there are enough to slow down reads."""
    (changes,) = connection.execute(
        "SELECT count(*) FROM (SELECT FROM landing.count_changes LIMIT %s) AS unfolded", (CHANGES_TO_FOLD,)
    ).fetchone() or (0,)
    if changes == CHANGES_TO_FOLD:
        connection.execute("SELECT landing.fold_counts()")
