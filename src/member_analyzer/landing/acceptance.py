"""Accepts records by committing them to the landing tables; an accepted record is counted exactly once."""

import hashlib
import json
from collections.abc import Callable, Iterable, Sequence
from contextlib import nullcontext
from dataclasses import dataclass
from datetime import UTC, datetime
from operator import itemgetter
from typing import Any

import orjson

from member_analyzer.landing.connection import Connection
from member_analyzer.landing.statements import statement
from member_analyzer.records.codec import to_json
from member_analyzer.records.rejection import RecordRejectedError, Rejection
from member_analyzer.records.rules import is_readable
from member_analyzer.records.secret_names import is_secret
from member_analyzer.streams.definition import StreamDefinition

# No valid record has more nesting levels.
MAX_LEVELS = 20

Read = Callable[[object, datetime], dict[str, Any]]


@dataclass(frozen=True)
class RejectedInput:
    """An invalid input: its bytes, the rejection, and its key, if it has one."""

    original: bytes
    rejection: Rejection
    key: str | None = None


@dataclass(frozen=True)
class Landed:
    """The numbers of accepted, duplicate and rejected records."""

    accepted: int = 0
    duplicate: int = 0
    rejected: int = 0

    def __add__(self, other: "Landed") -> "Landed":
        """Add the numbers."""
        return Landed(self.accepted + other.accepted, self.duplicate + other.duplicate, self.rejected + other.rejected)


def read_records(
    definition: StreamDefinition, inputs: Iterable[object], occurred_at: datetime, read: Read | None = None
) -> tuple[list[dict[str, Any]], list[RejectedInput]]:
    """Convert inputs to records, as JSON values, and collect the rejected ones.

    `read` converts one input; the default is the stream's own.
    """
    read = read or definition.read
    records: list[dict[str, Any]] = []
    rejected: list[RejectedInput] = []
    for one in inputs:
        try:
            records.append(to_json(definition.record_type, read(one, occurred_at)))
        except RecordRejectedError as error:
            rejected.append(reject(definition, one, error.rejection))
    return records, rejected


def reject(definition: StreamDefinition, given: object, rejection: Rejection) -> RejectedInput:
    """Create the rejected input to store, without secrets."""
    original = json.dumps(_without_secrets(given), sort_keys=True).encode()
    return RejectedInput(original, rejection, _key_of(definition, given))


def _key_of(definition: StreamDefinition, given: object) -> str | None:
    key = definition.read_key(given) if isinstance(given, dict) else None
    return key if isinstance(key, str) and is_readable(key) else None


def _without_secrets(value: object, levels: int = MAX_LEVELS) -> object:
    """Remove secrets and levels beyond the limit from JSON values."""
    if isinstance(value, dict | list) and levels == 0:
        return None
    if isinstance(value, dict):
        return {name: _without_secrets(one, levels - 1) for name, one in value.items() if not is_secret(name)}
    if isinstance(value, list):
        return [_without_secrets(one, levels - 1) for one in value]
    return value


def land_records(
    connection: Connection,
    definition: StreamDefinition,
    records: list[dict[str, Any]],
    rejected: Sequence[RejectedInput] = (),
    *,
    source: str,
) -> Landed:
    """Accept valid records, as JSON values, and store rejected inputs; `source` is their origin.

    Atomic and idempotent: a record whose key exists already changes nothing, so retries are harmless.
    """
    accepted = accept_records(connection, definition, records, rejected, source=source)
    return Landed(len(accepted), len(records) - len(accepted), len(rejected))


def accept_records(
    connection: Connection,
    definition: StreamDefinition,
    records: list[dict[str, Any]],
    rejected: Sequence[RejectedInput] = (),
    *,
    source: str,
) -> set[str]:
    """Like `land_records`, but return the keys that were accepted now."""
    # A consistent order, so that transactions with the same keys cannot deadlock.
    records = sorted(records, key=itemgetter(definition.key))
    originals = {hashlib.sha256(one.original).hexdigest(): one for one in rejected}
    fingerprints = sorted(originals)
    # A single statement is its own transaction, which saves two round trips.
    with connection.transaction() if rejected else nullcontext():
        rows = connection.execute(
            statement(
                definition.landing,
                """
                WITH landed AS (
                    INSERT INTO {records} (id, record, source)
                    SELECT record ->> %s, record, %s FROM json_array_elements(%s::json) AS record
                    ON CONFLICT (id) DO NOTHING
                    RETURNING id
                ), queued AS (
                    INSERT INTO {outbox} (id) SELECT id FROM landed
                )
                SELECT id FROM landed
                """,
            ),
            (definition.key, source, orjson.dumps(records).decode()),
        ).fetchall()
        if rejected:
            connection.execute(
                statement(
                    definition.landing,
                    """
                    INSERT INTO {rejected} (fingerprint, id, original, reason, message, source)
                    SELECT fingerprint, id, original, reason, message, %s
                    FROM unnest(%s::text[], %s::text[], %s::bytea[], %s::text[], %s::text[])
                        AS given (fingerprint, id, original, reason, message)
                    ON CONFLICT (fingerprint) DO NOTHING
                    """,
                ),
                (
                    source,
                    fingerprints,
                    [originals[one].key for one in fingerprints],
                    [originals[one].original for one in fingerprints],
                    [originals[one].rejection.reason.value for one in fingerprints],
                    [originals[one].rejection.message for one in fingerprints],
                ),
            )
    return {row[0] for row in rows}


def retry_rejected(connection: Connection, definition: StreamDefinition, reason: str | None = None) -> Landed:
    """Validate rejected inputs again, for one reason or all, and land those that are valid now."""
    landed = Landed()
    with connection.transaction():
        rows = connection.execute(
            statement(
                definition.landing,
                "SELECT fingerprint, original, source FROM {rejected} WHERE reason = coalesce(%s, reason) FOR UPDATE",
            ),
            (reason,),
        ).fetchall()
        for fingerprint, original, source in rows:
            records, _ = read_records(definition, [json.loads(original)], datetime.now(UTC))
            if records:
                landed += land_records(connection, definition, records, source=source)
                connection.execute(
                    statement(definition.landing, "DELETE FROM {rejected} WHERE fingerprint = %s"), (fingerprint,)
                )
            else:
                landed += Landed(rejected=1)
    return landed
