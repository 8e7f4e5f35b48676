"""How many rows the landing tables hold."""

from collections.abc import Mapping
from dataclasses import dataclass

from member_analyzer.landing.connection import Connection

# So many entries of the queue are counted one by one.
MOST_COUNTED = 20_000


# So few rows of counters are read in a millisecond.
CHANGES_TO_FOLD = 200


@dataclass(frozen=True)
class LandingCounts:
    """How many members landed and are not erased, how many events are still to be published, how many were rejected.

    `unpublishable` members are among the accepted ones, and cannot be published until their cause is fixed.
    """

    accepted: int
    unpublished: int
    rejected: int
    erased: int
    unpublishable: int = 0


def count_landed(connection: Connection) -> LandingCounts:
    """What is in the landing tables now, from the counters, which cost the same however many members there are.

    A queue of more than MOST_COUNTED is estimated, from its ends.
    """
    counts = _read_counts(connection)
    return LandingCounts(
        accepted=counts.get("accepted", 0),
        unpublished=count_unpublished(connection),
        rejected=sum(_by_reason(counts, "rejected").values()),
        erased=counts.get("erased", 0),
        unpublishable=sum(_by_reason(counts, "unpublishable").values()),
    )


def count_unpublished(connection: Connection) -> int:
    """How many events wait to be published: exactly up to MOST_COUNTED, beyond that estimated from the queue's ends.

    The estimate counts what publishers have claimed meanwhile, too.
    """
    row = connection.execute(
        """
        SELECT (SELECT count(*) FROM (SELECT FROM landing.unpublished LIMIT %s) AS queued),
               (SELECT coalesce(max(position) - min(position) + 1, 0) FROM landing.unpublished)
        """,
        (MOST_COUNTED,),
    ).fetchone() or (0, 0)
    return int(row[0]) if row[0] < MOST_COUNTED else int(row[1])


def recount_landed(connection: Connection) -> LandingCounts:
    """What is in the landing tables now, counted row by row: to check the counters, never to show a page."""
    row = connection.execute(
        """
        SELECT (SELECT count(*) FROM landing.users WHERE erased_at IS NULL),
               (SELECT count(*) FROM landing.unpublished),
               (SELECT count(*) FROM landing.rejected),
               (SELECT count(*) FROM landing.users WHERE erased_at IS NOT NULL),
               (SELECT count(*) FROM landing.unpublishable)
        """
    ).fetchone()
    if row is None:
        raise RuntimeError("PostgreSQL gave no answer to a count.")
    return LandingCounts(*row)


def count_refused(connection: Connection) -> dict[str, int]:
    """How many users that a source gave were rejected, by reason."""
    return _by_reason(_read_counts(connection), "rejected")


def count_unpublishable(connection: Connection) -> dict[str, int]:
    """How many accepted members cannot be published, by reason."""
    return _by_reason(_read_counts(connection), "unpublishable")


def _read_counts(connection: Connection) -> dict[str, int]:
    rows = connection.execute("SELECT name, sum(change)::bigint FROM landing.count_changes GROUP BY name")
    return {name: count for name, count in rows if count}


def _by_reason(counts: Mapping[str, int], table: str) -> dict[str, int]:
    prefix = f"{table}:"
    return {name.removeprefix(prefix): count for name, count in counts.items() if name.startswith(prefix)}


def fold_counts(connection: Connection) -> None:
    """Sum up the changes of the counters, where there are enough of them for a look at the counters to notice."""
    (changes,) = connection.execute(
        "SELECT count(*) FROM (SELECT FROM landing.count_changes LIMIT %s) AS unfolded", (CHANGES_TO_FOLD,)
    ).fetchone() or (0,)
    if changes == CHANGES_TO_FOLD:
        connection.execute("SELECT landing.fold_counts()")
