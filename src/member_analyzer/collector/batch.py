"""The records of one request: validated one by one, landed in one transaction, answered individually."""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Any
from uuid import uuid4

from member_analyzer.collector.idempotency import assign_ids, fingerprint_records
from member_analyzer.landing.acceptance import RejectedInput, accept_records, reject
from member_analyzer.landing.connection import Connection
from member_analyzer.landing.erasure import find_erased
from member_analyzer.records.codec import to_json
from member_analyzer.records.rejection import RecordRejectedError
from member_analyzer.streams.definition import StreamDefinition
from member_analyzer.streams.members.forms import is_random_user, read_id


class Outcome(StrEnum):
    """What happened to a record."""

    ACCEPTED = "accepted"
    DUPLICATE = "duplicate"
    REJECTED = "rejected"
    ERASED = "erased"


MAX_ID_LENGTH = 64
ERASED = ("erased", "The member with this id was erased, and the id cannot be used again.")


@dataclass(frozen=True)
class ValidationResult:
    """The id of what a client sent, and either the valid record as JSON values or its rejection."""

    id: str | None
    record: dict[str, Any] | None = None
    rejected: RejectedInput | None = None


def validate(
    definition: StreamDefinition, given: object, now: datetime, given_id: str | None = None
) -> ValidationResult:
    """Validate what a client sent; what has no id gets `given_id`, or a random one."""
    given = with_id(given, given_id)
    try:
        record = to_json(definition.record_type, definition.read(given, now))
    except RecordRejectedError as error:
        rejected = reject(definition, given, error.rejection)
        known = rejected.key if rejected.key is not None and len(rejected.key) <= MAX_ID_LENGTH else None
        return ValidationResult(known, rejected=rejected)
    return ValidationResult(record[definition.key], record)


def with_id(record: object, given_id: str | None = None) -> object:
    """The record with `given_id`, or a random id, if it is an object without one."""
    if not isinstance(record, dict) or read_id(record) is not None:
        return record
    key = given_id or str(uuid4())
    if not is_random_user(record):
        return record | {"id": key}
    login = {} if record.get("login") is None else record["login"]
    return record | {"login": login | {"uuid": key}} if isinstance(login, dict) else record


def lacks_id(record: object) -> bool:
    """Whether `with_id` would add an id."""
    return with_id(record, "given") is not record


def reuse_ids(
    connection: Connection,
    definition: StreamDefinition,
    records: list[object],
    batch: list[ValidationResult],
    *,
    api_key: str,
    now: datetime,
    retention: timedelta,
) -> list[ValidationResult]:
    """The batch, in which records without an id that this API key has sent before get the ids assigned then.

    Call it in the transaction that lands the batch, so that a rollback also undoes the assignment.
    """
    anonymous = [index for index, record in enumerate(records) if lacks_id(record)]
    fingerprints = fingerprint_records(api_key, [records[index] for index in anonymous])
    assigned = assign_ids(
        connection, dict(zip(fingerprints, (batch[index].id or "" for index in anonymous), strict=True)), retention
    )
    identified = list(batch)
    for index, fingerprint in zip(anonymous, fingerprints, strict=True):
        if assigned[fingerprint] != batch[index].id:
            identified[index] = validate(definition, records[index], now, assigned[fingerprint])
    return identified


def land(
    connection: Connection, definition: StreamDefinition, batch: list[ValidationResult], source: str
) -> dict[str, Any]:
    """Commit the valid records, keep the rejected records, and return the response as JSON values."""
    records = {one.record[definition.key]: one.record for one in reversed(batch) if one.record is not None}
    rejected = [one.rejected for one in batch if one.rejected is not None]
    accepted = accept_records(connection, definition, list(records.values()), rejected, source=source)
    erased = find_erased(connection, definition, existing) if (existing := records.keys() - accepted) else set()
    return build_response(batch, accepted, erased)


def build_response(batch: Iterable[ValidationResult], accepted: set[str], erased: set[str]) -> dict[str, Any]:
    """The outcome of each record and the number of records per outcome, as JSON values.

    Of several records with the same id, the first one is the accepted one.
    """
    pending = set(accepted)
    counts = dict.fromkeys(Outcome, 0)
    records = []
    for index, one in enumerate(batch):
        reason = message = None
        if one.rejected is not None:
            outcome = Outcome.REJECTED
            rejection = one.rejected.rejection
            reason, message = rejection.reason.value, rejection.message
        elif one.id in pending:
            outcome = Outcome.ACCEPTED
            pending.discard(one.id)
        elif one.id in erased:
            outcome = Outcome.ERASED
            reason, message = ERASED
        else:
            outcome = Outcome.DUPLICATE
        counts[outcome] += 1
        records.append({"index": index, "id": one.id, "status": outcome, "reason": reason, "message": message})
    return {**{outcome.value: count for outcome, count in counts.items()}, "records": records}
