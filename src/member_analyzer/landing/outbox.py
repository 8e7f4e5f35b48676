"""The transactional outbox: accepted events that Kafka has not acknowledged yet."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime

from member_analyzer.landing.connection import Connection
from member_analyzer.landing.statements import statement
from member_analyzer.records.rejection import Reason, Rejection
from member_analyzer.streams.definition import StreamDefinition

# The advisory lock that publishers share and a rebuild holds exclusively.
PUBLISHING = "member-analyzer publishing"


@dataclass(frozen=True)
class Claimed:
    """A claimed outbox entry; `record` is the row as JSON, or None if its erasure was already published."""

    key: str
    record: str | None
    is_erased: bool = False


def claim_unpublished(connection: Connection, definition: StreamDefinition, limit: int) -> list[Claimed]:
    """Claim up to `limit` outbox entries, oldest first. Call it inside a transaction.

    Committing the transaction marks them as published; a rollback returns them to the outbox. Concurrent publishers
    skip them.
    """
    join_publishing(connection)
    # A claim that a crash of PostgreSQL loses is only published again, so this transaction, and those behind it that
    # accept records, need not wait for the disk.
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
    """Store unpublishable records and their rejections; call it in the transaction of the claim."""
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
    """Queue unpublishable records again, for one reason or all; return their number."""
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
    """Return the newest unpublishable records: key, rejection, and time."""
    rows = connection.execute(
        statement(
            definition.landing,
            "SELECT id, reason, message, set_aside_at FROM {unpublishable} ORDER BY set_aside_at DESC, id LIMIT %s",
        ),
        (limit,),
    )
    return [(key, Rejection(Reason(reason), message), at) for key, reason, message, at in rows]


def forget_erased(connection: Connection, definition: StreamDefinition, claimed: Iterable[Claimed]) -> None:
    """Delete the counted fields of erased records whose erasure events are published."""
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
    """Take the shared publishing lock until the transaction ends; waits for a rebuild."""
    connection.execute("SELECT pg_advisory_xact_lock_shared(hashtext(%s))", (PUBLISHING,))


def pause_publishing(connection: Connection) -> None:
    """Take the exclusive publishing lock until the transaction ends. Call it inside a transaction."""
    connection.execute("SELECT pg_advisory_xact_lock(hashtext(%s))", (PUBLISHING,))


def enqueue_all(connection: Connection, definition: StreamDefinition) -> int:
    """Queue every record that is not erased, oldest first; return their number."""
    return connection.execute(
        statement(
            definition.landing,
            "INSERT INTO {outbox} (id) SELECT id FROM {records} WHERE erased_at IS NULL ORDER BY accepted_at",
        )
    ).rowcount
