"""PostgreSQL's `landing.users`: what is committed here is accepted, and is the platform's debt from then on."""

import hashlib
import json
from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass
from datetime import UTC, datetime
from importlib.resources import files
from operator import itemgetter
from typing import Any

import orjson
import psycopg

from member_analyzer.member import ERASED, MEMBER, erased_event, from_either, from_random_user, read_id
from member_analyzer.record import RecordRejectedError, Rejection, is_readable, to_json
from member_analyzer.settings import LandingSettings

Connection = psycopg.Connection[tuple[Any, ...]]

SECRETS = {"password", "salt", "md5", "sha1", "sha256"}
MOST_LEVELS = 20

# The lock that publishers share, and that a rebuild takes for itself.
PUBLISHING = "member-analyzer publishing"


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
    repeated: int = 0
    rejected: int = 0

    def __add__(self, other: "Landed") -> "Landed":
        """The sum of both."""
        return Landed(self.accepted + other.accepted, self.repeated + other.repeated, self.rejected + other.rejected)


@dataclass(frozen=True)
class LandingCounts:
    """How many members landed and are not erased, how many events are still to be published, how many were rejected."""

    accepted: int
    unpublished: int
    rejected: int
    erased: int


@dataclass(frozen=True)
class Erasure:
    """What became of the ids that were to be erased."""

    erased: list[str]
    erased_before: list[str]
    unknown: list[str]


@contextmanager
def connect_landing(settings: LandingSettings) -> Iterator[Connection]:
    """A connection to the landing database; nothing is committed but by `with connection.transaction()`."""
    with psycopg.connect(**connection_parameters(settings)) as connection:
        yield connection


def connection_parameters(settings: LandingSettings) -> dict[str, Any]:
    """How psycopg connects to the landing database."""
    return {
        "host": settings.host,
        "port": settings.port,
        "dbname": settings.database,
        "user": settings.username,
        "password": settings.password.get_secret_value(),
        "sslmode": settings.sslmode,
        "connect_timeout": settings.connect_timeout,
        "application_name": "member-analyzer",
        "autocommit": True,
    }


def create_tables(connection: Connection) -> None:
    """Make the landing tables where they are not there yet."""
    statements = files("member_analyzer").joinpath("schemas", "landing.sql").read_text(encoding="utf-8")
    with connection.transaction():
        # Two programs that set up at once must not both find that a table is missing.
        connection.execute("SELECT pg_advisory_xact_lock(hashtext('member-analyzer landing tables'))")
        connection.execute(statements.encode())


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
        return {name: _without_secrets(one, levels - 1) for name, one in value.items() if name not in SECRETS}
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
                INSERT INTO landing.rejected (fingerprint, id, original, reason, sentence, source)
                SELECT fingerprint, id, original, reason, sentence, %s
                FROM unnest(%s::text[], %s::text[], %s::bytea[], %s::text[], %s::text[])
                    AS given (fingerprint, id, original, reason, sentence)
                ON CONFLICT (fingerprint) DO NOTHING
                """,
                (
                    source,
                    fingerprints,
                    [originals[one].id for one in fingerprints],
                    [originals[one].original for one in fingerprints],
                    [originals[one].rejection.reason.value for one in fingerprints],
                    [originals[one].rejection.sentence for one in fingerprints],
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


def erase_members(connection: Connection, ids: Iterable[str]) -> Erasure:
    """Erase members: their rows here now, what was counted of them once their erasure is published.

    Of their rows the ids stay, so that no retry brings them back; the fields that they were counted by stay until Kafka
    has the erasure. What was rejected of these ids before landing is deleted. Commits all of it or nothing.
    """
    wanted = list(dict.fromkeys(ids))
    now = datetime.now(UTC)
    with connection.transaction():
        rows = connection.execute(
            "SELECT id, record::text, erased_at FROM landing.users WHERE id = ANY(%s) ORDER BY id FOR UPDATE", (wanted,)
        ).fetchall()
        events = {key: erased_event(orjson.loads(record), now) for key, record, erased_at in rows if erased_at is None}
        connection.execute(
            """
            UPDATE landing.users SET record = given.record, erased_at = %s
            FROM unnest(%s::text[], %s::json[]) AS given (id, record)
            WHERE users.id = given.id
            """,
            (now, list(events), [orjson.dumps(event).decode() for event in events.values()]),
        )
        connection.execute("INSERT INTO landing.unpublished (id) SELECT unnest(%s::text[])", (list(events),))
        connection.execute("DELETE FROM landing.rejected WHERE id = ANY(%s)", (wanted,))
    known = {row[0] for row in rows}
    return Erasure(
        erased=[key for key in wanted if key in events],
        erased_before=[key for key in wanted if key in known - events.keys()],
        unknown=[key for key in wanted if key not in known],
    )


def claim_unpublished(connection: Connection, limit: int) -> list[tuple[str, dict[str, Any] | None]]:
    """Up to `limit` events that are still to be published, oldest first, as (id, JSON values).

    The values are None where the erasure of the member was published already, so that nothing is left to say. Events
    count as published once the transaction is committed, and as unpublished again when it is rolled back. Until then
    nobody else gets them: any number of publishers work side by side. Call it inside a transaction.
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
        SELECT users.id, users.record::text FROM claimed JOIN landing.users USING (id) ORDER BY position
        """,
        (limit,),
    )
    return [(key, record and orjson.loads(record)) for key, record in rows]


def forget_erased(connection: Connection, events: Iterable[dict[str, Any]]) -> None:
    """Delete what erased members were counted by, once these events of theirs are published."""
    ids = [event[MEMBER.key] for event in events if event["kind"] == ERASED]
    if ids:
        connection.execute(
            "UPDATE landing.users SET record = NULL WHERE id = ANY(%s) AND erased_at IS NOT NULL", (ids,)
        )


def find_erased(connection: Connection, ids: Collection[str]) -> set[str]:
    """Those of the ids whose members were erased."""
    rows = connection.execute("SELECT id FROM landing.users WHERE id = ANY(%s) AND erased_at IS NOT NULL", (list(ids),))
    return {row[0] for row in rows}


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


def read_ids(connection: Connection) -> set[str]:
    """The ids of all members that are not erased."""
    return {row[0] for row in connection.execute("SELECT id FROM landing.users WHERE erased_at IS NULL")}


def read_erased(connection: Connection) -> set[str]:
    """The ids of all members that were erased."""
    return {row[0] for row in connection.execute("SELECT id FROM landing.users WHERE erased_at IS NOT NULL")}


def mark_replayed(connection: Connection, origins: Collection[str]) -> set[str]:
    """Those of the rejected records that nobody has marked yet; they are marked once the transaction is committed."""
    rows = connection.execute(
        "INSERT INTO landing.replayed (origin) SELECT unnest(%s::text[]) ON CONFLICT DO NOTHING RETURNING origin",
        (sorted(origins),),
    )
    return {row[0] for row in rows}


def read_replayed(connection: Connection) -> set[str]:
    """The origins of all rejected records that were sent again."""
    return {row[0] for row in connection.execute("SELECT origin FROM landing.replayed")}


def read_replays(connection: Connection, since: datetime) -> dict[str, datetime]:
    """The origins of the rejected records that were sent again since a moment, with when."""
    rows = connection.execute("SELECT origin, replayed_at FROM landing.replayed WHERE replayed_at >= %s", (since,))
    return {row[0]: row[1] for row in rows}


def count_landed(connection: Connection) -> LandingCounts:
    """What is in the landing tables now."""
    row = connection.execute(
        """
        SELECT (SELECT count(*) FROM landing.users WHERE erased_at IS NULL),
               (SELECT count(*) FROM landing.unpublished),
               (SELECT count(*) FROM landing.rejected),
               (SELECT count(*) FROM landing.users WHERE erased_at IS NOT NULL)
        """
    ).fetchone()
    if row is None:
        raise RuntimeError("PostgreSQL gave no answer to a count.")
    return LandingCounts(*row)


def count_refused(connection: Connection) -> dict[str, int]:
    """How many users that a source gave were rejected, by reason."""
    return dict(connection.execute("SELECT reason, count(*) FROM landing.rejected GROUP BY reason").fetchall())
