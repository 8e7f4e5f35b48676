"""The transactional outbox: which accepted events Kafka has not acknowledged yet."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime

from member_analyzer.landing.connection import Connection
from member_analyzer.landing.statements import statement
from member_analyzer.records.rejection import Reason, Rejection
from member_analyzer.streams.definition import StreamDefinition

# The lock that publishers share, and that a rebuild takes for itself.
PUBLISHING = "member-analyzer publishing"


@dataclass(frozen=True)
class Claimed:
    """An entry of the outbox: the record's key, and its row as JSON, None where its erasure was published already."""

    key: str
    record: str | None
    is_erased: bool = False


def claim_unpublished(connection: Connection, definition: StreamDefinition, limit: int) -> list[Claimed]:
    """Up to `limit` entries of the outbox, oldest first.

    They count as published once the transaction is committed, and as unpublished again when it is rolled back. Until
    then nobody else gets them: any number of publishers work side by side. Call it inside a transaction.
    """
    join_publishing(connection)
    # A claim that PostgreSQL forgets in a crash is published again, as one is that was not committed yet: the disk need
    # not be waited for, by this transaction and by those behind it that accept records.
    connection.execute("SET LOCAL synchronous_commit TO off")
    rows = connection.execute(
        statement(
            definition.landing,
            """
            WITH claimed AS (
                DELETE FROM {outbox} WHERE position = ANY(ARRAY(
                    SELECT position FROM {outbox} ORDER BY position LIMIT %s FOR UPDATE SKIP LOCKED
                ))
                RETURNING position, id
            )
            SELECT records.id, records.record::text, records.erased_at IS NOT NULL
            FROM claimed JOIN {records} AS records USING (id) ORDER BY position
            """,
        ),
        (limit,),
    )
    return [Claimed(*row) for row in rows]


def set_aside(connection: Connection, definition: StreamDefinition, unpublishable: Mapping[str, Rejection]) -> None:
    """Keep, with why, which records can never be published, by key; in the transaction of the claim."""
    connection.execute(
        statement(
            definition.landing,
            """
            INSERT INTO {unpublishable} (id, reason, message)
            SELECT id, reason, message FROM unnest(%s::text[], %s::text[], %s::text[]) AS given (id, reason, message)
            ON CONFLICT (id) DO UPDATE
            SET reason = excluded.reason, message = excluded.message, set_aside_at = excluded.set_aside_at
            """,
        ),
        (
            list(unpublishable),
            [one.reason.value for one in unpublishable.values()],
            [one.message for one in unpublishable.values()],
        ),
    )


def requeue_unpublishable(connection: Connection, definition: StreamDefinition, reason: str | None = None) -> int:
    """Queue again what was set aside, for one reason or all; gives how many. What still fails is set aside again."""
    return connection.execute(
        statement(
            definition.landing,
            """
            WITH again AS (
                DELETE FROM {unpublishable} WHERE reason = coalesce(%s, reason) RETURNING id
            )
            INSERT INTO {outbox} (id) SELECT id FROM again ORDER BY id
            """,
        ),
        (reason,),
    ).rowcount


def read_unpublishable(
    connection: Connection, definition: StreamDefinition, limit: int
) -> list[tuple[str, Rejection, datetime]]:
    """The keys of the newest records that were set aside, with why and since when."""
    rows = connection.execute(
        statement(
            definition.landing,
            "SELECT id, reason, message, set_aside_at FROM {unpublishable} ORDER BY set_aside_at DESC, id LIMIT %s",
        ),
        (limit,),
    )
    return [(key, Rejection(Reason(reason), message), at) for key, reason, message, at in rows]


def forget_erased(connection: Connection, definition: StreamDefinition, claimed: Iterable[Claimed]) -> None:
    """Delete what erased records were counted by, once these entries of theirs are published."""
    keys = [one.key for one in claimed if one.is_erased]
    if keys:
        connection.execute(
            statement(
                definition.landing,
                "UPDATE {records} SET record = NULL WHERE id = ANY(%s) AND erased_at IS NOT NULL",
            ),
            (keys,),
        )


def join_publishing(connection: Connection) -> None:
    """Be among those who publish until the transaction ends; waits while a rebuild is asked for."""
    connection.execute("SELECT pg_advisory_xact_lock_shared(hashtext(%s))", (PUBLISHING,))


def pause_publishing(connection: Connection) -> None:
    """Wait until nobody publishes, and let nobody begin to until the transaction ends. Call it inside a transaction."""
    connection.execute("SELECT pg_advisory_xact_lock(hashtext(%s))", (PUBLISHING,))


def enqueue_all(connection: Connection, definition: StreamDefinition) -> int:
    """Have every record that is not erased published again, oldest first; gives how many."""
    return connection.execute(
        statement(
            definition.landing,
            "INSERT INTO {outbox} (id) SELECT id FROM {records} WHERE erased_at IS NULL ORDER BY accepted_at",
        )
    ).rowcount
