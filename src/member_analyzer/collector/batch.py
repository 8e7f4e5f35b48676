"""The records of one request: validated one by one, landed in one transaction, answered individually."""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Any
from uuid import uuid4

from member_analyzer.collector.idempotency import assign_ids, fingerprint_records
from member_analyzer.landing.acceptance import Refused, accept_members, refuse
from member_analyzer.landing.connection import Connection
from member_analyzer.landing.erasure import find_erased
from member_analyzer.records.codec import to_json
from member_analyzer.records.rejection import RecordRejectedError
from member_analyzer.streams.members.forms import from_either, is_random_user, read_id
from member_analyzer.streams.members.record import MEMBER


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
    """A record's id, and either the valid member as JSON values or its rejection."""

    id: str | None
    member: dict[str, Any] | None = None
    rejected: Refused | None = None


def validate(record: object, now: datetime, given_id: str | None = None) -> ValidationResult:
    """Validate a record; one without an id gets `given_id`, or a random one."""
    record = with_id(record, given_id)
    try:
        member = to_json(MEMBER, from_either(record, now))
    except RecordRejectedError as error:
        rejected = refuse(record, error.rejection)
        known = rejected.id if rejected.id is not None and len(rejected.id) <= MAX_ID_LENGTH else None
        return ValidationResult(known, rejected=rejected)
    return ValidationResult(member[MEMBER.key], member)


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
            identified[index] = validate(records[index], now, assigned[fingerprint])
    return identified


def land(connection: Connection, batch: list[ValidationResult], source: str) -> dict[str, Any]:
    """Commit the valid members, keep the rejected records, and return the response as JSON values."""
    members = {one.member[MEMBER.key]: one.member for one in reversed(batch) if one.member is not None}
    rejected = [one.rejected for one in batch if one.rejected is not None]
    accepted = accept_members(connection, list(members.values()), rejected, source=source)
    erased = find_erased(connection, existing) if (existing := members.keys() - accepted) else set()
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
