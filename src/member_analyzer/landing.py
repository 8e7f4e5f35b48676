"""PostgreSQL's `landing.users`: what is committed here is accepted, and is the platform's debt from then on."""

import hashlib
import json
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from importlib.resources import files
from typing import Any

import orjson
import psycopg

from member_analyzer.member import MEMBER, from_random_user
from member_analyzer.record import RecordRejectedError, Rejection, to_json
from member_analyzer.settings import LandingSettings

Connection = psycopg.Connection[tuple[Any, ...]]

SECRETS = {"password", "salt", "md5", "sha1", "sha256"}


@dataclass(frozen=True)
class Refused:
    """Something that a source gave and that is no valid record: its bytes, and why."""

    original: bytes
    rejection: Rejection


@dataclass(frozen=True)
class Landed:
    """What became of some records: accepted now, there already, or rejected (each a number of records)."""

    accepted: int = 0
    repeated: int = 0
    rejected: int = 0

    def __add__(self, other: "Landed") -> "Landed":
        """The sum of both."""
        return Landed(self.accepted + other.accepted, self.repeated + other.repeated, self.rejected + other.rejected)


@dataclass(frozen=True)
class LandingCounts:
    """How many members landed, how many of them are still to be published, and how many were rejected."""

    accepted: int
    unpublished: int
    rejected: int


@contextmanager
def connect_landing(settings: LandingSettings) -> Iterator[Connection]:
    """A connection to the landing database; nothing is committed but by `with connection.transaction()`."""
    with psycopg.connect(
        host=settings.host,
        port=settings.port,
        dbname=settings.database,
        user=settings.username,
        password=settings.password.get_secret_value(),
        connect_timeout=settings.connect_timeout,
        application_name="member-analyzer",
        autocommit=True,
    ) as connection:
        yield connection


def create_tables(connection: Connection) -> None:
    """Make the landing tables where they are not there yet."""
    statements = files("member_analyzer").joinpath("schemas", "landing.sql").read_text(encoding="utf-8")
    with connection.transaction():
        # Two programs that set up at once must not both find that a table is missing.
        connection.execute("SELECT pg_advisory_xact_lock(hashtext('member-analyzer landing tables'))")
        connection.execute(statements.encode())


def read_users(users: Iterable[object], occurred_at: datetime) -> tuple[list[dict[str, Any]], list[Refused]]:
    """The members of users in randomuser.me's form as JSON values, and what was refused of them."""
    members: list[dict[str, Any]] = []
    refused: list[Refused] = []
    for user in users:
        try:
            members.append(to_json(MEMBER, from_random_user(user, occurred_at)))
        except RecordRejectedError as error:
            refused.append(Refused(json.dumps(_without_secrets(user), sort_keys=True).encode(), error.rejection))
    return members, refused


def _without_secrets(user: object) -> object:
    """A user without the password and its hashes, which nobody needs to see why it was refused."""
    if isinstance(user, dict) and isinstance(user.get("login"), dict):
        return user | {"login": {name: value for name, value in user["login"].items() if name not in SECRETS}}
    return user


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
    with connection.transaction():
        inserted = connection.execute(
            """
            WITH landed AS (
                INSERT INTO landing.users (id, record, source)
                SELECT record ->> 'id', record, %s FROM json_array_elements(%s::json) AS record
                ON CONFLICT (id) DO NOTHING
                RETURNING id
            )
            INSERT INTO landing.unpublished (id) SELECT id FROM landed
            """,
            (source, orjson.dumps(members).decode()),
        )
        accepted = inserted.rowcount
        if refused:
            connection.execute(
                """
                INSERT INTO landing.rejected (fingerprint, original, reason, sentence, source)
                SELECT fingerprint, original, reason, sentence, %s
                FROM unnest(%s::text[], %s::bytea[], %s::text[], %s::text[])
                    AS given (fingerprint, original, reason, sentence)
                ON CONFLICT (fingerprint) DO NOTHING
                """,
                (
                    source,
                    [hashlib.sha256(one.original).hexdigest() for one in refused],
                    [one.original for one in refused],
                    [one.rejection.reason.value for one in refused],
                    [one.rejection.sentence for one in refused],
                ),
            )
    return Landed(accepted, len(members) - accepted, len(refused))


def claim_unpublished(connection: Connection, limit: int) -> list[tuple[str, dict[str, Any]]]:
    """Up to `limit` members that are still to be published, oldest first, as (id, JSON values).

    They count as published once the transaction is committed, and as unpublished again when it is rolled back. Until
    then nobody else gets them: any number of publishers work side by side. Call it inside a transaction.
    """
    rows = connection.execute(
        """
        WITH claimed AS (
            SELECT position, id FROM landing.unpublished ORDER BY position LIMIT %s FOR UPDATE SKIP LOCKED
        ), done AS (
            DELETE FROM landing.unpublished USING claimed WHERE unpublished.position = claimed.position
        )
        SELECT users.id, users.record::text FROM claimed JOIN landing.users USING (id) ORDER BY position
        """,
        (limit,),
    )
    return [(key, orjson.loads(record)) for key, record in rows]


def count_landed(connection: Connection) -> LandingCounts:
    """What is in the landing tables now."""
    row = connection.execute(
        """
        SELECT (SELECT count(*) FROM landing.users),
               (SELECT count(*) FROM landing.unpublished),
               (SELECT count(*) FROM landing.rejected)
        """
    ).fetchone()
    if row is None:
        raise RuntimeError("PostgreSQL gave no answer to a count.")
    return LandingCounts(*row)
