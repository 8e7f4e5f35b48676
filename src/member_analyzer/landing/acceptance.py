"""What is committed to `landing.users` is accepted: it is counted once, whatever fails afterwards."""

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
from member_analyzer.records.codec import to_json
from member_analyzer.records.rejection import RecordRejectedError, Rejection
from member_analyzer.records.rules import is_readable
from member_analyzer.records.secret_names import is_secret
from member_analyzer.streams.members.forms import from_either, from_random_user, read_id
from member_analyzer.streams.members.record import MEMBER

MOST_LEVELS = 20


@dataclass(frozen=True)
class Refused:
    """Something that a source gave and that is no valid record: its bytes, why, and the id it came with, if any."""

    original: bytes
    rejection: Rejection
    id: str | None = None


@dataclass(frozen=True)
class Landed:
    """What became of some records: accepted now, there already, or rejected (each a number of records)."""

    accepted: int = 0
    duplicate: int = 0
    rejected: int = 0

    def __add__(self, other: "Landed") -> "Landed":
        """The sum of both."""
        return Landed(self.accepted + other.accepted, self.duplicate + other.duplicate, self.rejected + other.rejected)


ReadMember = Callable[[object, datetime], dict[str, Any]]


def read_users(
    users: Iterable[object], occurred_at: datetime, read: ReadMember = from_random_user
) -> tuple[list[dict[str, Any]], list[Refused]]:
    """The members of users, which `read` reads, as JSON values, and what was refused of them."""
    members: list[dict[str, Any]] = []
    refused: list[Refused] = []
    for user in users:
        try:
            members.append(to_json(MEMBER, read(user, occurred_at)))
        except RecordRejectedError as error:
            refused.append(refuse(user, error.rejection))
    return members, refused


def refuse(user: object, rejection: Rejection) -> Refused:
    """A user that is no valid member, as it is kept: without passwords and their hashes, which nobody needs then."""
    return Refused(json.dumps(_without_secrets(user), sort_keys=True).encode(), rejection, _id_of(user))


def _id_of(user: object) -> str | None:
    key = read_id(user) if isinstance(user, dict) else None
    return key if isinstance(key, str) and is_readable(key) else None


def _without_secrets(value: object, levels: int = MOST_LEVELS) -> object:
    """JSON values without secrets, and without what is nested deeper than any user is."""
    if isinstance(value, dict | list) and levels == 0:
        return None
    if isinstance(value, dict):
        return {name: _without_secrets(one, levels - 1) for name, one in value.items() if not is_secret(name)}
    if isinstance(value, list):
        return [_without_secrets(one, levels - 1) for one in value]
    return value


def land_users(connection: Connection, users: Iterable[object], *, source: str) -> Landed:
    """Accept users in randomuser.me's form; `source` says where they came from. Commits all of them or none."""
    members, refused = read_users(users, datetime.now(UTC))
    return land_members(connection, members, refused, source=source)


def land_members(
    connection: Connection, members: list[dict[str, Any]], refused: Sequence[Refused] = (), *, source: str
) -> Landed:
    """Accept valid members, as JSON values, and keep what was refused; commits all of it or nothing.

    A member whose id is there already changes nothing, so that a retry, or the same page twice, is harmless.
    """
    accepted = accept_members(connection, members, refused, source=source)
    return Landed(len(accepted), len(members) - len(accepted), len(refused))


def accept_members(
    connection: Connection, members: list[dict[str, Any]], refused: Sequence[Refused] = (), *, source: str
) -> set[str]:
    """The same as `land_members`, but gives the ids that were accepted now."""
    # Always in the same order, so that two transactions with the same ids never wait for each other.
    members = sorted(members, key=itemgetter(MEMBER.key))
    originals = {hashlib.sha256(one.original).hexdigest(): one for one in refused}
    fingerprints = sorted(originals)
    # One statement is a transaction by itself: two round trips are spared.
    with connection.transaction() if refused else nullcontext():
        rows = connection.execute(
            """
            WITH landed AS (
                INSERT INTO landing.users (id, record, source)
                SELECT record ->> 'id', record, %s FROM json_array_elements(%s::json) AS record
                ON CONFLICT (id) DO NOTHING
                RETURNING id
            ), queued AS (
                INSERT INTO landing.unpublished (id) SELECT id FROM landed
            )
            SELECT id FROM landed
            """,
            (source, orjson.dumps(members).decode()),
        ).fetchall()
        if refused:
            connection.execute(
                """
                INSERT INTO landing.rejected (fingerprint, id, original, reason, message, source)
                SELECT fingerprint, id, original, reason, message, %s
                FROM unnest(%s::text[], %s::text[], %s::bytea[], %s::text[], %s::text[])
                    AS given (fingerprint, id, original, reason, message)
                ON CONFLICT (fingerprint) DO NOTHING
                """,
                (
                    source,
                    fingerprints,
                    [originals[one].id for one in fingerprints],
                    [originals[one].original for one in fingerprints],
                    [originals[one].rejection.reason.value for one in fingerprints],
                    [originals[one].rejection.message for one in fingerprints],
                ),
            )
    return {row[0] for row in rows}


def replay_refused(connection: Connection, reason: str | None = None) -> Landed:
    """Try again what a source gave and was rejected, of one reason or all; what is accepted now is rejected no more."""
    landed = Landed()
    with connection.transaction():
        rows = connection.execute(
            "SELECT fingerprint, original, source FROM landing.rejected WHERE reason = coalesce(%s, reason) FOR UPDATE",
            (reason,),
        ).fetchall()
        for fingerprint, original, source in rows:
            members, _ = read_users([json.loads(original)], datetime.now(UTC), from_either)
            if members:
                landed += land_members(connection, members, source=source)
                connection.execute("DELETE FROM landing.rejected WHERE fingerprint = %s", (fingerprint,))
            else:
                landed += Landed(rejected=1)
    return landed
