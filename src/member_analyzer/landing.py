"""PostgreSQL's `landing.users`: what is committed here is accepted, and is the platform's debt from then on."""

import hashlib
import json
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from importlib.resources import files
from operator import itemgetter
from typing import Any, LiteralString

import orjson
import psycopg
from psycopg.sql import SQL, Identifier

from member_analyzer.member import MEMBER, erased_event, from_either, from_random_user, read_id
from member_analyzer.record import Reason, RecordRejectedError, Rejection, is_readable, to_json
from member_analyzer.secret_names import is_secret
from member_analyzer.settings import LandingSettings
from member_analyzer.unreachable import unreachable_parameters

Connection = psycopg.Connection[tuple[Any, ...]]

MOST_LEVELS = 20

# So many entries of the queue are counted one by one.
MOST_COUNTED = 20_000
# So few rows of counters are read in a millisecond.
CHANGES_TO_FOLD = 200
# Kafka forgets whole segments, each of a day.
KEPT_FOR_REPLAYS = timedelta(days=7)
# Read at once of what is too much to hold.
ROWS_OF_A_STREAM = 10_000
ROWS_FORGOTTEN_AT_ONCE = 10_000

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
    """How many members landed and are not erased, how many events are still to be published, how many were rejected.

    `unpublishable` members are among the accepted ones, and cannot be published until their cause is fixed.
    """

    accepted: int
    unpublished: int
    rejected: int
    erased: int
    unpublishable: int = 0


@dataclass(frozen=True)
class Erasure:
    """What became of the ids that were to be erased."""

    erased: list[str]
    erased_before: list[str]
    unknown: list[str]


@dataclass(frozen=True)
class Claimed:
    """An entry of the queue: the member's id, and its row as JSON, None where its erasure was published already."""

    id: str
    record: str | None
    is_erased: bool = False


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
        "options": f"-c idle_in_transaction_session_timeout={settings.idle_in_transaction_timeout}s",
        **unreachable_parameters(settings.unreachable_timeout),
    }


def create_tables(connection: Connection) -> None:
    """Make the landing tables where they are not there yet."""
    statements = files("member_analyzer").joinpath("schemas", "landing.sql").read_text(encoding="utf-8")
    with connection.transaction():
        # Two programs that set up at once must not both find that a table is missing.
        connection.execute("SELECT pg_advisory_xact_lock(hashtext('member-analyzer landing tables'))")
        # A publisher holds its queue while Kafka answers: waiting for that queue must not keep others from landing.
        pause_publishing(connection)
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
        events = {key: _erasure_of(record, now) for key, record, erased_at in rows if erased_at is None}
        connection.execute(
            """
            UPDATE landing.users SET record = given.record, erased_at = %s
            FROM unnest(%s::text[], %s::json[]) AS given (id, record)
            WHERE users.id = given.id
            """,
            (now, list(events), [event and orjson.dumps(event).decode() for event in events.values()]),
        )
        connection.execute("INSERT INTO landing.unpublished (id) SELECT unnest(%s::text[])", (list(events),))
        connection.execute("DELETE FROM landing.rejected WHERE id = ANY(%s)", (wanted,))
        connection.execute("DELETE FROM landing.unpublishable WHERE id = ANY(%s)", (wanted,))
    known = {row[0] for row in rows}
    return Erasure(
        erased=[key for key in wanted if key in events],
        erased_before=[key for key in wanted if key in known - events.keys()],
        unknown=[key for key in wanted if key not in known],
    )


def _erasure_of(record: str, now: datetime) -> dict[str, Any] | None:
    """The event that takes a member back; None for a row that no event can be made of, so that none was published."""
    try:
        return erased_event(orjson.loads(record), now)
    except (ValueError, LookupError, TypeError, AttributeError):
        return None


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
        INSERT INTO landing.unpublishable (id, reason, sentence)
        SELECT id, reason, sentence FROM unnest(%s::text[], %s::text[], %s::text[]) AS given (id, reason, sentence)
        ON CONFLICT (id) DO UPDATE
        SET reason = excluded.reason, sentence = excluded.sentence, set_aside_at = excluded.set_aside_at
        """,
        (
            list(unpublishable),
            [one.reason.value for one in unpublishable.values()],
            [one.sentence for one in unpublishable.values()],
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
        "SELECT id, reason, sentence, set_aside_at FROM landing.unpublishable ORDER BY set_aside_at DESC, id LIMIT %s",
        (limit,),
    )
    return [(key, Rejection(Reason(reason), sentence), at) for key, reason, sentence, at in rows]


def forget_erased(connection: Connection, claimed: Iterable[Claimed]) -> None:
    """Delete what erased members were counted by, once these entries of theirs are published."""
    ids = [one.id for one in claimed if one.is_erased]
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


def mark_replayed(connection: Connection, origins: Collection[str]) -> set[str]:
    """Those of the rejected records that nobody has marked yet; they are marked once the transaction is committed."""
    rows = connection.execute(
        "INSERT INTO landing.replayed (origin) SELECT unnest(%s::text[]) ON CONFLICT DO NOTHING RETURNING origin",
        (sorted(origins),),
    )
    return {row[0] for row in rows}


def unmark_replayed(connection: Connection, origins: Collection[str]) -> None:
    """Take back that rejected records were sent again."""
    if origins:
        connection.execute("DELETE FROM landing.replayed WHERE origin = ANY(%s)", (sorted(origins),))


def read_replayed(connection: Connection) -> set[str]:
    """The origins of all rejected records that were sent again."""
    return {row[0] for row in connection.execute("SELECT origin FROM landing.replayed")}


def read_replays(connection: Connection, since: datetime) -> dict[str, datetime]:
    """The origins of the rejected records that were sent again since a moment, with when."""
    rows = connection.execute("SELECT origin, replayed_at FROM landing.replayed WHERE replayed_at >= %s", (since,))
    return {row[0]: row[1] for row in rows}


def count_landed(connection: Connection) -> LandingCounts:
    """What is in the landing tables now, from the counters, which cost the same however many members there are.

    A queue of more than MOST_COUNTED is estimated, from its ends.
    """
    counts = _read_counts(connection)
    return LandingCounts(
        accepted=counts.get("accepted", 0),
        unpublished=count_unpublished(connection),
        rejected=sum(_by_reason(counts, "rejected").values()),
        erased=counts.get("erased", 0),
        unpublishable=sum(_by_reason(counts, "unpublishable").values()),
    )


def count_unpublished(connection: Connection) -> int:
    """How many events wait to be published: exactly up to MOST_COUNTED, beyond that estimated from the queue's ends.

    The estimate counts what publishers have claimed meanwhile, too.
    """
    row = connection.execute(
        """
        SELECT (SELECT count(*) FROM (SELECT FROM landing.unpublished LIMIT %s) AS queued),
               (SELECT coalesce(max(position) - min(position) + 1, 0) FROM landing.unpublished)
        """,
        (MOST_COUNTED,),
    ).fetchone() or (0, 0)
    return int(row[0]) if row[0] < MOST_COUNTED else int(row[1])


def recount_landed(connection: Connection) -> LandingCounts:
    """What is in the landing tables now, counted row by row: to check the counters, never to show a page."""
    row = connection.execute(
        """
        SELECT (SELECT count(*) FROM landing.users WHERE erased_at IS NULL),
               (SELECT count(*) FROM landing.unpublished),
               (SELECT count(*) FROM landing.rejected),
               (SELECT count(*) FROM landing.users WHERE erased_at IS NOT NULL),
               (SELECT count(*) FROM landing.unpublishable)
        """
    ).fetchone()
    if row is None:
        raise RuntimeError("PostgreSQL gave no answer to a count.")
    return LandingCounts(*row)


def stream_ids(connection: Connection) -> Iterator[tuple[str, bool]]:
    """Every id, and whether its member is erased; a cursor of the server, so that memory does not grow with them."""
    yield from _stream(connection, "SELECT id, erased_at IS NOT NULL FROM landing.users")


def stream_replayed(connection: Connection) -> Iterator[str]:
    """The origin of every rejected record that was sent again; as `stream_ids` gives the ids."""
    for row in _stream(connection, "SELECT origin FROM landing.replayed"):
        yield row[0]


def _stream(connection: Connection, query: LiteralString) -> Iterator[Any]:
    with connection.transaction(), connection.cursor("stream") as cursor:
        cursor.itersize = ROWS_OF_A_STREAM
        yield from cursor.execute(query)


def count_refused(connection: Connection) -> dict[str, int]:
    """How many users that a source gave were rejected, by reason."""
    return _by_reason(_read_counts(connection), "rejected")


def count_unpublishable(connection: Connection) -> dict[str, int]:
    """How many accepted members cannot be published, by reason."""
    return _by_reason(_read_counts(connection), "unpublishable")


def _read_counts(connection: Connection) -> dict[str, int]:
    rows = connection.execute("SELECT name, sum(change)::bigint FROM landing.count_changes GROUP BY name")
    return {name: count for name, count in rows if count}


def _by_reason(counts: Mapping[str, int], table: str) -> dict[str, int]:
    prefix = f"{table}:"
    return {name.removeprefix(prefix): count for name, count in counts.items() if name.startswith(prefix)}


def fold_counts(connection: Connection) -> None:
    """Sum up the changes of the counters, where there are enough of them for a look at the counters to notice."""
    (changes,) = connection.execute(
        "SELECT count(*) FROM (SELECT FROM landing.count_changes LIMIT %s) AS unfolded", (CHANGES_TO_FOLD,)
    ).fetchone() or (0,)
    if changes == CHANGES_TO_FOLD:
        connection.execute("SELECT landing.fold_counts()")


def forget_rejected(connection: Connection, keep: timedelta) -> int:
    """Delete what was rejected before landing longer ago than this, and marks of replays; gives how many records.

    A mark is kept for longer than the record on the topic `users_rejected` that it is for, or that could be sent twice.
    """
    _forget(connection, "replayed", "origin", "replayed_at", keep + KEPT_FOR_REPLAYS)
    return _forget(connection, "rejected", "fingerprint", "rejected_at", keep)


def _forget(connection: Connection, table: str, key: str, moment: str, keep: timedelta) -> int:
    """Delete old rows in small transactions, so that none is too long, however many there are at the first time."""
    statement = SQL(
        """
        DELETE FROM landing.{table} WHERE {key} = ANY(ARRAY(
            SELECT {key} FROM landing.{table} WHERE {moment} < clock_timestamp() - %s::interval LIMIT %s
        ))
        """
    ).format(table=Identifier(table), key=Identifier(key), moment=Identifier(moment))
    deleted = 0
    while True:
        rows = connection.execute(statement, (keep, ROWS_FORGOTTEN_AT_ONCE)).rowcount
        deleted += rows
        if rows < ROWS_FORGOTTEN_AT_ONCE:
            return deleted
