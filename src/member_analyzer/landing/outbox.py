"""The transactional outbox: which accepted events Kafka has not acknowledged yet."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime

from member_analyzer.landing.connection import Connection
from member_analyzer.records.rejection import Reason, Rejection

# The lock that publishers share, and that a rebuild takes for itself.
PUBLISHING = "member-analyzer publishing"


@dataclass(frozen=True)
class Claimed:
    """An entry of the queue: the member's id, and its row as JSON, None where its erasure was published already."""

    id: str
    record: str | None
    is_erased: bool = False


def claim_unpublished(connection: Connection, limit: int) -> list[Claimed]:
    """Up to `limit` entries of what is still to be published, oldest first.

    They count as published once the transaction is committed, and as unpublished again when it is rolled back. Until
    then nobody else gets them: any number of publishers work side by side. Call it inside a transaction.
    """
    join_publishing(connection)
    # A claim that PostgreSQL forgets in a crash is published again, as one is that was not committed yet: the disk need
    # not be waited for, by this transaction and by those behind it that accept members.
    connection.execute("SET LOCAL synchronous_commit TO off")
    rows = connection.execute(
        """
        WITH claimed AS (
            DELETE FROM landing.unpublished WHERE position = ANY(ARRAY(
                SELECT position FROM landing.unpublished ORDER BY position LIMIT %s FOR UPDATE SKIP LOCKED
            ))
            RETURNING position, id
        )
        SELECT users.id, users.record::text, users.erased_at IS NOT NULL
        FROM claimed JOIN landing.users USING (id) ORDER BY position
        """,
        (limit,),
    )
    return [Claimed(*row) for row in rows]


def set_aside(connection: Connection, unpublishable: Mapping[str, Rejection]) -> None:
    """Take members out of the queue whose events can never be published, with why; in the transaction of the claim."""
    connection.execute(
        """
        INSERT INTO landing.unpublishable (id, reason, message)
        SELECT id, reason, message FROM unnest(%s::text[], %s::text[], %s::text[]) AS given (id, reason, message)
        ON CONFLICT (id) DO UPDATE
        SET reason = excluded.reason, message = excluded.message, set_aside_at = excluded.set_aside_at
        """,
        (
            list(unpublishable),
            [one.reason.value for one in unpublishable.values()],
            [one.message for one in unpublishable.values()],
        ),
    )


def requeue_unpublishable(connection: Connection, reason: str | None = None) -> int:
    """Queue again what was set aside, for one reason or all; gives how many. What still fails is set aside again."""
    return connection.execute(
        """
        WITH again AS (
            DELETE FROM landing.unpublishable WHERE reason = coalesce(%s, reason) RETURNING id
        )
        INSERT INTO landing.unpublished (id) SELECT id FROM again ORDER BY id
        """,
        (reason,),
    ).rowcount


def read_unpublishable(connection: Connection, limit: int) -> list[tuple[str, Rejection, datetime]]:
    """The newest of the members that were set aside, with why and since when."""
    rows = connection.execute(
        "SELECT id, reason, message, set_aside_at FROM landing.unpublishable ORDER BY set_aside_at DESC, id LIMIT %s",
        (limit,),
    )
    return [(key, Rejection(Reason(reason), message), at) for key, reason, message, at in rows]


def forget_erased(connection: Connection, claimed: Iterable[Claimed]) -> None:
    """Delete what erased members were counted by, once these entries of theirs are published."""
    ids = [one.id for one in claimed if one.is_erased]
    if ids:
        connection.execute(
            "UPDATE landing.users SET record = NULL WHERE id = ANY(%s) AND erased_at IS NOT NULL", (ids,)
        )


def join_publishing(connection: Connection) -> None:
    """Be among those who publish until the transaction ends; waits while a rebuild is asked for."""
    connection.execute("SELECT pg_advisory_xact_lock_shared(hashtext(%s))", (PUBLISHING,))


def pause_publishing(connection: Connection) -> None:
    """Wait until nobody publishes, and let nobody begin to until the transaction ends. Call it inside a transaction."""
    connection.execute("SELECT pg_advisory_xact_lock(hashtext(%s))", (PUBLISHING,))


def enqueue_all(connection: Connection) -> int:
    """Have every member that is not erased published again, oldest first; gives how many."""
    return connection.execute(
        "INSERT INTO landing.unpublished (id) SELECT id FROM landing.users WHERE erased_at IS NULL ORDER BY accepted_at"
    ).rowcount
