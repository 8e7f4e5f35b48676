"""Reads and writes the Cassandra tables of the interactions.

Every write is an absolute value under a fixed key, and therefore idempotent.
"""

import zlib
from collections import defaultdict
from collections.abc import Collection, Iterable, Mapping, Sequence
from datetime import UTC, date, datetime, timedelta
from typing import Any, NamedTuple

from cassandra.cluster import Session as CassandraSession
from cassandra.concurrent import execute_concurrent, execute_concurrent_with_args
from cassandra.query import UNSET_VALUE, BatchStatement, BatchType, BoundStatement, PreparedStatement

from member_analyzer.analysis.interactions.changes import ActiveRow, MemberRow, Record, Scope, SessionRow, Visitor
from member_analyzer.analysis.keyspace import INTERACTION_TABLES
from member_analyzer.analysis.progress import Generation
from member_analyzer.analysis.progress_tables import BATCHES_AT_ONCE, ROWS_OF_A_BATCH, ProgressTables
from member_analyzer.streams.definition import StreamDefinition, TopicDefinition
from member_analyzer.streams.interactions.activity import CountKey, Counts, DayCounts, DayKey, Key, MinuteKey, Session
from member_analyzer.streams.interactions.identity import MEMBER_PREFIX
from member_analyzer.streams.interactions.visitor_state import Registration, VisitorState
from member_analyzer.streams.interactions.visits import MINUTE, ORIGIN, milliseconds

KEYS_OF_A_LOOKUP = 100
# Cassandra warns of unlogged batches over more partitions, and of more than 5 KiB.
PARTITIONS_OF_A_BATCH = 10
BYTES_OF_A_BATCH = 4000
# The partitions of a day's sessions, and of its members.
SHARDS = 16
HOUR = 60 * MINUTE

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_SESSION = ("ended_at", "events", "views", "is_bounce", "entry_page", "exit_page", *ORIGIN)
_TIMELINE = (
    *("visitor", "month", "occurred_at", "source", "message_id", "type", "name", "path", "url", "title", "referrer"),
    *("utm_source", "browser", "system", "device", "country", "app_version", "is_bot", "is_late", "received_at"),
    "properties",
)


class StoredId(NamedTuple):
    """The row of an id: the digest of its content, and its origin."""

    content: str | None
    partition: int
    offset: int


def moment(milliseconds: int) -> datetime:
    """Return the time of a number of milliseconds since 1970."""
    return _EPOCH + timedelta(milliseconds=milliseconds)


def shard_of(name: str) -> int:
    """Return the shard of a person or a member; the same on all machines."""
    return zlib.crc32(name.encode()) % SHARDS


class InteractionTables(ProgressTables):
    """Reads and writes the tables of the interactions and the progress of their stream.

    `members` is the definition of the stream of members, to whom the interactions are joined.
    """

    def __init__(
        self, session: CassandraSession, keyspace: str, definition: TopicDefinition, members: StreamDefinition
    ) -> None:
        super().__init__(session, keyspace, definition)
        self._members = members

    def begin_generation(self, generation: Generation, today: date) -> None:
        """Empty the tables and begin a generation. Idempotent. Only the stream calls it."""
        for table in INTERACTION_TABLES:
            self._session.execute(f"TRUNCATE {self._keyspace}.{table}", timeout=120)
        self._restart_progress(generation)

    # Lookups of a batch

    def find_ids(self, ids: Iterable[tuple[str, str]]) -> dict[tuple[str, str], StoredId]:
        """Read the rows of these ids, by (source, message id)."""
        rows = self._look_up(
            "SELECT source, message_id, content, kafka_partition, kafka_offset "  # noqa: S608
            f"FROM {self._keyspace}.interaction_ids WHERE source = ? AND message_id IN ?",
            ids,
        )
        return {
            (row["source"], row["message_id"]): StoredId(row["content"], row["kafka_partition"], row["kafka_offset"])
            for row in rows
        }

    def read_states(self, visitors: Iterable[Visitor]) -> dict[Visitor, VisitorState]:
        """Read the states of these visitors; those without a row have an empty state."""
        states = {visitor: VisitorState() for visitor in visitors}
        rows = self._look_up(
            "SELECT source, visitor, is_bot, state "  # noqa: S608
            f"FROM {self._keyspace}.interaction_visitors WHERE source = ? AND visitor IN ?",
            {(visitor.scope.source, visitor.id) for visitor in states},
        )
        for row in rows:
            visitor = Visitor(Scope(row["source"], row["is_bot"]), row["visitor"])
            if visitor in states:
                states[visitor] = VisitorState.decode(row["state"])
        return states

    def find_registrations(self, member_ids: Collection[str]) -> dict[str, Registration]:
        """Read what these members were registered with; unregistered ones are left out."""
        key = self._members.key
        rows = self._look_up(
            f"SELECT {key}, gender, date_of_birth, country, city "  # noqa: S608
            f"FROM {self._keyspace}.{self._members.table} WHERE {key} IN ?",
            [(member_id,) for member_id in member_ids],
        )
        return {
            row[key]: Registration(row["gender"], row["date_of_birth"].date(), row["country"], row["city"])
            for row in rows
        }

    def find_erased(self, member_ids: Collection[str]) -> set[str]:
        """Return those of these members that are erased."""
        erasure, key = self._members.erasure, self._members.key
        if erasure is None:
            return set()
        rows = self._look_up(
            f"SELECT {key} FROM {self._keyspace}.{erasure.table} WHERE {key} IN ?",  # noqa: S608
            [(member_id,) for member_id in member_ids],
        )
        return {row[key] for row in rows}

    def read_counts(self, keys: Iterable[tuple[Scope, Key]]) -> dict[tuple[Scope, Key], tuple[int, ...]]:
        """Read these counts; those without a row are 0."""
        counts: dict[tuple[Scope, Key], tuple[int, ...]] = {}
        by_name: defaultdict[tuple[Any, ...], set[str]] = defaultdict(set)
        days, hours = set(), set()
        for scope, key in keys:
            counts[(scope, key)] = (DayCounts if isinstance(key, DayKey) else Counts)()
            match key:
                case DayKey(day):
                    days.add((scope.source, date.fromisoformat(day)))
                case MinuteKey(minute):
                    hours.add((scope.source, moment(minute - minute % HOUR)))
                case CountKey(day, dimension, name):
                    by_name[(scope.source, date.fromisoformat(day), dimension, scope.is_bot)].add(name)

        def note(row: Mapping[str, Any], key: Key, kind: type[DayCounts] | type[Counts]) -> None:
            found = (Scope(row["source"], row["is_bot"]), key)
            if found in counts:
                counts[found] = kind(*(row[name] or 0 for name in kind._fields))

        for row in self._read("interaction_days", "source = ? AND day = ?", days):
            note(row, DayKey(row["day"].date().isoformat()), DayCounts)
        for row in self._read("interaction_minutes", "source = ? AND hour = ?", hours):
            note(row, MinuteKey(milliseconds(row["minute"].replace(tzinfo=UTC))), Counts)
        lookups = [(*partition, names) for partition, all_names in by_name.items() for names in _slices(all_names)]
        where = "source = ? AND day = ? AND dimension = ? AND is_bot = ? AND name IN ?"
        for row in self._read("interaction_counts", where, lookups):
            day = row["day"].date().isoformat()
            note(row, CountKey(day, row["dimension"], row["name"], row["country"]), Counts)
        return counts

    # Rows of a batch, which are written before it is counted

    def write_ids(self, rows: Iterable[tuple[Record, int, int]]) -> None:
        """Write the ids of interactions with their Kafka partitions and offsets."""
        columns = ("source", "message_id", "content", "kafka_partition", "kafka_offset")
        insert = self._prepare_insert("interaction_ids", columns)
        self._write_each(
            insert,
            ((record["source"], record["message_id"], record["content"], *position) for record, *position in rows),
        )

    def write_timeline(self, records: Iterable[Record], *, are_late: bool = False) -> None:
        """Write what visitors did."""
        insert = self._prepare_insert("interaction_timeline", _TIMELINE)

        def values(record: Record) -> tuple[Any, ...]:
            row = {
                **record,
                "month": record["occurred_at"].date().replace(day=1),
                "is_bot": record["is_bot"] == "true",
                "is_late": are_late or None,
            }
            return tuple(UNSET_VALUE if row[name] is None else row[name] for name in _TIMELINE)

        self._write_each(insert, map(values, records))

    # What a journal contains

    def write_states(self, states: Mapping[Visitor, VisitorState | None]) -> None:
        """Write the states of visitors; None deletes one."""
        insert = self._prepare_insert("interaction_visitors", ("source", "visitor", "is_bot", "state"))
        self._write_each(
            insert,
            (
                (one.scope.source, one.id, one.scope.is_bot, state.encode())
                for one, state in states.items()
                if state is not None
            ),
        )
        delete = self._prepare_delete("interaction_visitors", ("source", "visitor", "is_bot"))
        self._write_each(
            delete, ((one.scope.source, one.id, one.scope.is_bot) for one, state in states.items() if state is None)
        )

    def write_counts(self, counts: Mapping[tuple[Scope, Key], Sequence[int]]) -> None:
        """Write absolute counts."""
        partitions: defaultdict[tuple[Any, ...], list[tuple[PreparedStatement, tuple[Any, ...]]]] = defaultdict(list)
        insert_day = self._prepare_insert("interaction_days", ("source", "day", "is_bot", *DayCounts._fields))
        insert_minute = self._prepare_insert(
            "interaction_minutes", ("source", "hour", "minute", "is_bot", *Counts._fields)
        )
        insert_count = self._prepare_insert(
            "interaction_counts", ("source", "day", "dimension", "is_bot", "name", "country", *Counts._fields)
        )
        for (scope, key), values in counts.items():
            match key:
                case DayKey(text):
                    day = date.fromisoformat(text)
                    row = (insert_day, (scope.source, day, scope.is_bot, *values))
                    partitions[("day", scope.source, day)].append(row)
                case MinuteKey(minute):
                    hour = moment(minute - minute % HOUR)
                    row = (insert_minute, (scope.source, hour, moment(minute), scope.is_bot, *values))
                    partitions[("hour", scope.source, hour)].append(row)
                case CountKey(text, dimension, name, country):
                    partition = (scope.source, date.fromisoformat(text), dimension, scope.is_bot)
                    partitions[partition].append((insert_count, (*partition, name, country, *values)))
        self._write_partitions(partitions.values())

    def write_sessions(self, sessions: Mapping[SessionRow, tuple[Session | None, str | None]]) -> None:
        """Write sessions, as in `InteractionChanges`."""
        by_day = self._prepare_insert(
            "interaction_sessions", ("source", "day", "shard", "started_at", "person", "is_bot", *_SESSION)
        )
        by_person = self._prepare_insert(
            "interaction_sessions_by_person", ("person", "month", "started_at", "source", "is_bot", "day", *_SESSION)
        )
        delete_of_day = self._prepare_delete(
            "interaction_sessions", ("source", "day", "shard", "started_at", "person", "is_bot")
        )
        delete_of_person = self._prepare_delete(
            "interaction_sessions_by_person", ("person", "month", "started_at", "source", "is_bot")
        )
        statements: list[BoundStatement] = []
        for (person, began), (session, deleted_day) in sessions.items():
            started_at, (source, is_bot) = moment(began), person.scope
            month, shard = started_at.date().replace(day=1), shard_of(person.id)
            if deleted_day is not None:
                day = date.fromisoformat(deleted_day)
                statements.append(delete_of_day.bind((source, day, shard, started_at, person.id, is_bot)))
            if session is None:
                statements.append(delete_of_person.bind((person.id, month, started_at, source, is_bot)))
                continue
            day = date.fromisoformat(session.day)
            values = (
                *(moment(session.ended_at), session.events, session.views, session.is_bounce),
                *(session.entry_page, session.exit_page, *session.origin),
            )
            statements.append(by_day.bind((source, day, shard, started_at, person.id, is_bot, *values)))
            statements.append(by_person.bind((person.id, month, started_at, source, is_bot, day, *values)))
        self._write_statements(statements)

    def write_active(self, rows: Mapping[ActiveRow, int | None]) -> None:
        """Write when persons were active, as in `InteractionChanges`."""
        insert = self._prepare_insert("interaction_active", ("source", "minute", "person", "is_bot", "last_at"))
        delete = self._prepare_delete("interaction_active", ("source", "minute", "person", "is_bot"))
        partitions: defaultdict[tuple[str, int], list[tuple[PreparedStatement, tuple[Any, ...]]]] = defaultdict(list)
        for (person, minute), last_at in rows.items():
            key = (person.scope.source, moment(minute), person.id, person.scope.is_bot)
            row = (delete, key) if last_at is None else (insert, (*key, moment(last_at)))
            partitions[(person.scope.source, minute)].append(row)
        self._write_partitions(partitions.values())

    def write_members(self, rows: Mapping[MemberRow, int | None]) -> None:
        """Write the events of members on days, as in `InteractionChanges`."""
        insert = self._prepare_insert("interaction_members", ("source", "day", "shard", "member_id", "events"))
        delete = self._prepare_delete("interaction_members", ("source", "day", "shard", "member_id"))
        partitions: defaultdict[tuple[Any, ...], list[tuple[PreparedStatement, tuple[Any, ...]]]] = defaultdict(list)
        for (person, day), events in rows.items():
            member_id = person.id.removeprefix(MEMBER_PREFIX)
            partition = (person.scope.source, date.fromisoformat(day), shard_of(member_id))
            key = (*partition, member_id)
            partitions[partition].append((delete, key) if events is None else (insert, (*key, events)))
        self._write_partitions(partitions.values())

    def read_sources(self) -> set[str]:
        """Read the sources that have sent interactions."""
        rows = self._read("interaction_sources", "stream = ?", [(self._stream,)])
        return {row["source"] for row in rows}

    def write_sources(self, sources: Iterable[str]) -> None:
        """Add sources that have sent interactions."""
        self._write_each(
            self._prepare_insert("interaction_sources", ("stream", "source")), ((self._stream, one) for one in sources)
        )

    def read_erasures(self, most: int) -> list[str]:
        """Read the ids of erased members whose interactions are to be erased, at most this many."""
        select = self._prepare(f"SELECT key FROM {self._keyspace}.stream_erasures WHERE stream = ? LIMIT ?")  # noqa: S608
        return [row["key"] for row in self._session.execute(select, (self._stream, most))]

    def delete_erasure(self, member_id: str) -> None:
        """Record that the interactions of a member are erased."""
        delete = self._prepare_delete("stream_erasures", ("stream", "key"))
        self._session.execute(delete, (self._stream, member_id))

    def erase_people(self, visitors: Collection[str], months: Iterable[date]) -> None:
        """Delete the timelines and the sessions of visitors in these months, each given by its first day.

        The days on which members were active are deleted as well, as far as sessions show them.
        """
        keys = [(visitor, month) for visitor in visitors for month in months]
        delete_of_day = self._prepare_delete(
            "interaction_sessions", ("source", "day", "shard", "started_at", "person", "is_bot")
        )
        sessions = list(self._read("interaction_sessions_by_person", "person = ? AND month = ?", keys))
        self._write_each(
            delete_of_day,
            (
                (row["source"], row["day"], shard_of(row["person"]), row["started_at"], row["person"], row["is_bot"])
                for row in sessions
            ),
        )
        delete_of_member = self._prepare_delete("interaction_members", ("source", "day", "shard", "member_id"))
        self._write_each(delete_of_member, {key for row in sessions for key in _member_keys(row)})
        for table, name in (("interaction_sessions_by_person", "person"), ("interaction_timeline", "visitor")):
            delete = self._prepare_delete(table, (name, "month"))
            self._write_each(delete, keys)

    def write_lag(self, as_of: datetime, unread: int) -> None:
        """Write up to when all interactions are counted, and how many are not counted yet."""
        insert = self._prepare_insert("interaction_lag", ("stream", "as_of", "unread"))
        self._session.execute(insert, (self._stream, as_of, unread))

    def _prepare_insert(self, table: str, columns: Sequence[str]) -> PreparedStatement:
        return self._prepare(
            f"INSERT INTO {self._keyspace}.{table} ({', '.join(columns)}) "  # noqa: S608
            f"VALUES ({', '.join('?' for _ in columns)})"
        )

    def _prepare_delete(self, table: str, keys: Sequence[str]) -> PreparedStatement:
        where = " AND ".join(f"{key} = ?" for key in keys)
        return self._prepare(f"DELETE FROM {self._keyspace}.{table} WHERE {where}")  # noqa: S608

    def _look_up(self, select: str, keys: Iterable[tuple[str, ...]]) -> Iterable[Mapping[str, Any]]:
        """Yield the rows of a statement for keys, whose last parts are looked up together."""
        by_first: defaultdict[tuple[str, ...], set[str]] = defaultdict(set)
        for *first, last in keys:
            by_first[tuple(first)].add(last)
        lookups = [(*first, names) for first, all_names in by_first.items() for names in _slices(all_names)]
        return self._execute(self._prepare(select), lookups)

    def _read(self, table: str, where: str, keys: Iterable[tuple[Any, ...]]) -> Iterable[Mapping[str, Any]]:
        return self._execute(self._prepare(f"SELECT * FROM {self._keyspace}.{table} WHERE {where}"), [*keys])  # noqa: S608

    def _execute(self, statement: PreparedStatement, values: Sequence[tuple[Any, ...]]) -> Iterable[Mapping[str, Any]]:
        for _, rows in execute_concurrent_with_args(self._session, statement, values, concurrency=BATCHES_AT_ONCE):
            yield from rows

    def _write_each(self, statement: PreparedStatement, values: Iterable[tuple[Any, ...]]) -> None:
        """Write rows of many partitions."""
        self._write_statements(statement.bind(row) for row in values)

    def _write_statements(self, statements: Iterable[BoundStatement]) -> None:
        """Execute writes of many partitions, several in one request, which costs the driver much less."""
        batches: list[tuple[BatchStatement, None]] = []
        rows = size = 0
        for statement in statements:
            length = sum(len(value) for value in statement.values if isinstance(value, bytes))
            if not batches or rows == PARTITIONS_OF_A_BATCH or size + length > BYTES_OF_A_BATCH:
                batches.append((BatchStatement(batch_type=BatchType.UNLOGGED), None))
                rows = size = 0
            batches[-1][0].add(statement)
            rows, size = rows + 1, size + length
        execute_concurrent(self._session, batches, concurrency=BATCHES_AT_ONCE)

    def _write_partitions(self, partitions: Iterable[Sequence[tuple[PreparedStatement, tuple[Any, ...]]]]) -> None:
        """Write the rows of each partition in unlogged batches, each of which is atomic."""
        batches = []
        for rows in partitions:
            for begin in range(0, len(rows), ROWS_OF_A_BATCH):
                batch = BatchStatement(batch_type=BatchType.UNLOGGED)
                for statement, values in rows[begin : begin + ROWS_OF_A_BATCH]:
                    batch.add(statement, values)
                batches.append((batch, None))
        execute_concurrent(self._session, batches, concurrency=BATCHES_AT_ONCE)


def _member_keys(session: Mapping[str, Any]) -> Iterable[tuple[str, date, int, str]]:
    """Yield the keys of `interaction_members` for the days of a session, if it is that of a member."""
    if session["person"].startswith(MEMBER_PREFIX):
        member_id = session["person"].removeprefix(MEMBER_PREFIX)
        first = session["day"].date()
        # The day in the zone of the source may be a day later than in UTC.
        days = (session["ended_at"].date() - first).days + 1
        for shift in range(max(0, days) + 1):
            yield session["source"], first + timedelta(days=shift), shard_of(member_id), member_id


def _slices(names: Iterable[str]) -> Iterable[list[str]]:
    names = sorted(names)
    for begin in range(0, len(names), KEYS_OF_A_LOOKUP):
        yield names[begin : begin + KEYS_OF_A_LOOKUP]
