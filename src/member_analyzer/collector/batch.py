"""The records of one request: judged one by one, landed together, and what is told of each."""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Any
from uuid import uuid4

from member_analyzer.collector.repeats import fingerprint_records, keep_ids
from member_analyzer.landing.acceptance import Refused, accept_members, refuse
from member_analyzer.landing.connection import Connection
from member_analyzer.landing.erasure import find_erased
from member_analyzer.records.codec import to_json
from member_analyzer.records.rejection import RecordRejectedError, Rejection
from member_analyzer.streams.members.forms import from_either, is_random_user, read_id
from member_analyzer.streams.members.record import MEMBER


class Outcome(StrEnum):
    """What became of a record."""

    ACCEPTED = "accepted"
    DUPLICATE = "duplicate"
    REJECTED = "rejected"
    ERASED = "erased"


LONGEST_ID = 64
ERASED = ("erased", "The member of this id was erased, and the id cannot come back.")


@dataclass(frozen=True)
class Judged:
    """One record: the id that it goes by, and the member that it is as JSON values, or why it is none."""

    id: str | None
    member: dict[str, Any] | None = None
    refused: Refused | None = None


def judge(record: object, now: datetime, given_id: str | None = None) -> Judged:
    """Tell whether a record is a valid member; one without an id is given this one, or a random one."""
    record = with_id(record, given_id)
    try:
        member = to_json(MEMBER, from_either(record, now))
    except RecordRejectedError as error:
        refused = refuse(record, error.rejection)
        known = refused.id if refused.id is not None and len(refused.id) <= LONGEST_ID else None
        return Judged(known, refused=refused)
    return Judged(member[MEMBER.key], member)


def with_id(record: object, given_id: str | None = None) -> object:
    """The record, with the given id, or a random one, where it is an object that has none."""
    if not isinstance(record, dict) or read_id(record) is not None:
        return record
    key = given_id or str(uuid4())
    if not is_random_user(record):
        return record | {"id": key}
    login = {} if record.get("login") is None else record["login"]
    return record | {"login": login | {"uuid": key}} if isinstance(login, dict) else record


def lacks_id(record: object) -> bool:
    """Whether a record would be given an id."""
    return with_id(record, "given") is not record


def identify_repeated(
    connection: Connection, records: list[object], batch: list[Judged], *, api_key: str, now: datetime, keep: timedelta
) -> list[Judged]:
    """The batch, where records without an id that this API key sent before have the ids that they were given then.

    In the transaction that lands the batch: what is rolled back was given no id.
    """
    anonymous = [index for index, record in enumerate(records) if lacks_id(record)]
    fingerprints = fingerprint_records(api_key, [records[index] for index in anonymous])
    given = keep_ids(
        connection, dict(zip(fingerprints, (batch[index].id or "" for index in anonymous), strict=True)), keep
    )
    identified = list(batch)
    for index, fingerprint in zip(anonymous, fingerprints, strict=True):
        if given[fingerprint] != batch[index].id:
            identified[index] = judge(records[index], now, given[fingerprint])
    return identified


def land(connection: Connection, batch: list[Judged], source: str) -> dict[str, Any]:
    """Commit what is valid, keep what is not, and give the answer as JSON values."""
    members = {one.member[MEMBER.key]: one.member for one in reversed(batch) if one.member is not None}
    refused = [one.refused for one in batch if one.refused is not None]
    accepted = accept_members(connection, list(members.values()), refused, source=source)
    erased = find_erased(connection, there) if (there := members.keys() - accepted) else set()
    return answer(batch, accepted, erased)


def answer(batch: Iterable[Judged], accepted: set[str], erased: set[str]) -> dict[str, Any]:
    """What is told of each record and how many there are of each outcome, as JSON values.

    Of records with one id, the first is the one that was accepted.
    """
    waiting = set(accepted)
    counts = dict.fromkeys(Outcome, 0)
    records = []
    for index, one in enumerate(batch):
        reason = message = None
        if one.refused is not None:
            outcome = Outcome.REJECTED
            reason, message = tell(one.refused.rejection)
        elif one.id in waiting:
            outcome = Outcome.ACCEPTED
            waiting.discard(one.id)
        elif one.id in erased:
            outcome = Outcome.ERASED
            reason, message = ERASED
        else:
            outcome = Outcome.DUPLICATE
        counts[outcome] += 1
        records.append({"index": index, "id": one.id, "status": outcome, "reason": reason, "message": message})
    return {**{outcome.value: count for outcome, count in counts.items()}, "records": records}


def tell(rejection: Rejection) -> tuple[str, str]:
    """The reason's code and its message."""
    return rejection.reason.value, rejection.message
