"""The tables in Cassandra: how they are made, written and read.

Everything is written as an absolute value under a fixed key, so that repeating a write changes nothing.
"""

from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, date, datetime
from importlib.resources import files
from typing import Any

import structlog
from cassandra import ConsistencyLevel
from cassandra.auth import PlainTextAuthProvider
from cassandra.cluster import EXEC_PROFILE_DEFAULT, Cluster, ExecutionProfile, NoHostAvailable, Session
from cassandra.concurrent import execute_concurrent
from cassandra.policies import (
    ConstantReconnectionPolicy,
    DCAwareRoundRobinPolicy,
    LoadBalancingPolicy,
    TokenAwarePolicy,
    WhiteListRoundRobinPolicy,
)
from cassandra.query import BatchStatement, BatchType, SimpleStatement, dict_factory
from tenacity import Retrying, retry_if_exception_type, stop_after_delay, wait_fixed

from member_analyzer.analysis import AGE, TABLE_NAMES, Bucket, Distribution, Tally
from member_analyzer.settings import CassandraSettings

log = structlog.get_logger(__name__)

# The two queries of a stream: one writes the records themselves, the other counts them.
MEMBERS_QUERY = "members"
ANALYSIS_QUERY = "analysis"

KEY_COLUMNS: Mapping[str, tuple[str, ...]] = {
    "age": ("age_group",),
    "gender": ("gender",),
    "country": ("country",),
    "city": ("country", "city"),
}

# The longest country and city take 1.2 KB: even a batch of such rows stays below the 50 KiB that Cassandra allows.
ROWS_OF_A_BATCH = 30
# A day and a number.
BIRTHS_OF_A_BATCH = 300
BATCHES_AT_ONCE = 16

# How long a node that went away is let alone.
SECONDS_TO_RECONNECT = 2

# How the total is called where buckets are texts.
TOTAL_BUCKET = "total"

Positions = Mapping[int, int]


@dataclass(frozen=True)
class Progress:
    """How far a query came: the highest Kafka offset of each partition that it surely wrote, and that it may have."""

    analysis_date: date | None = None
    written: Positions = field(default_factory=dict)
    writing: Positions = field(default_factory=dict)
    updated_at: datetime | None = None


@dataclass(frozen=True)
class Generation:
    """One life of a stream's counts: its name, and the next offsets of each Kafka partition when it began.

    Records are counted from `begin` on; those between `look_from` and there are only rejected where they break a rule.
    """

    name: str = "first"
    begin: Positions = field(default_factory=dict)
    look_from: Positions = field(default_factory=dict)


@dataclass(frozen=True)
class Generations:
    """The generation that the tables are of, and another one where a rebuild wants that."""

    current: Generation
    wanted: Generation | None


@dataclass(frozen=True)
class Difference:
    """A bucket of a table in which the live number is not what the recount found."""

    table: str
    bucket: Bucket
    live: int
    recounted: int


@dataclass(frozen=True)
class Audit:
    """What a recount of one table of a day found: the live and the recounted total, and the buckets that differed."""

    day: date
    checked_at: datetime
    table: str
    live: int
    recounted: int
    compared: int
    differences: list[Difference]


@contextmanager
def connect_cassandra(settings: CassandraSettings, *, request_timeout: float = 30) -> Iterator[Session]:
    """A session in which every statement runs at the settings' consistency level, for so many seconds at most."""
    profile = ExecutionProfile(
        load_balancing_policy=choose_nodes(settings),
        consistency_level=ConsistencyLevel.name_to_value[settings.consistency],
        request_timeout=request_timeout,
        row_factory=dict_factory,
    )
    cluster = Cluster(
        settings.contact_points,
        port=settings.port,
        auth_provider=PlainTextAuthProvider(settings.username, settings.password.get_secret_value()),
        execution_profiles={EXEC_PROFILE_DEFAULT: profile},
        connect_timeout=settings.connect_timeout,
        # The driver's own waits grow to ten minutes.
        reconnection_policy=ConstantReconnectionPolicy(SECONDS_TO_RECONNECT, max_attempts=None),
        protocol_version=5,
    )
    try:
        yield cluster.connect()
    finally:
        cluster.shutdown()


def await_cassandra(settings: CassandraSettings, seconds: float) -> None:
    """Wait until Cassandra lets this program in. Raises NoHostAvailable where it does not within so many seconds."""

    def look() -> None:
        with connect_cassandra(settings):
            log.info("cassandra.reached", hosts=settings.contact_points, port=settings.port)

    Retrying(
        stop=stop_after_delay(seconds),
        wait=wait_fixed(SECONDS_TO_RECONNECT),
        retry=retry_if_exception_type(NoHostAvailable),
        reraise=True,
    )(look)


def choose_nodes(settings: CassandraSettings) -> LoadBalancingPolicy:
    """Which nodes a program turns to: those that hold what it asks for, or only those that it is told of."""
    if settings.only_contact_points:
        return WhiteListRoundRobinPolicy(settings.contact_points)
    return TokenAwarePolicy(DCAwareRoundRobinPolicy(local_dc=settings.datacenter))


def create_tables(session: Session, settings: CassandraSettings) -> None:
    """Make the keyspace and its tables where they are not there yet."""
    session.execute(
        f"CREATE KEYSPACE IF NOT EXISTS {settings.keyspace} WITH replication = "
        f"{{'class': 'NetworkTopologyStrategy', '{settings.datacenter}': {settings.replication_factor}}}"
    )
    text = files("member_analyzer").joinpath("schemas", "cassandra.cql").read_text(encoding="utf-8")
    text = "\n".join(line for line in text.splitlines() if not line.startswith("--"))
    for statement in text.replace("{keyspace}", settings.keyspace).split(";"):
        if statement.strip():
            session.execute(statement)


def count_unread(bounds: Mapping[int, tuple[int, int]], written: Positions, begin: Positions) -> dict[int, int]:
    """How many records of each partition a query has not written yet.

    `bounds` are the oldest and the next offset of each partition, `written` the query's progress, `begin` the offsets
    from which its generation reads.
    """
    return {
        partition: max(0, end - max(written.get(partition, -1) + 1, begin.get(partition, 0), oldest))
        for partition, (oldest, end) in bounds.items()
    }


class AnalysisTables:
    """Reads and writes the analysis tables and the progress of one stream."""

    def __init__(self, session: Session, keyspace: str, stream: str) -> None:
        self._session = session
        self._keyspace = keyspace
        self._stream = stream
        self._inserts = {
            table: session.prepare(
                f"INSERT INTO {keyspace}.{table} (analysis_date, {', '.join(keys)}, members, total) "  # noqa: S608
                f"VALUES (?, {', '.join('?' for _ in keys)}, ?, ?)"
            )
            for table, keys in KEY_COLUMNS.items()
        }
        self._insert_birth = session.prepare(
            f"INSERT INTO {keyspace}.births (stream, date_of_birth, members) VALUES (?, ?, ?)"  # noqa: S608
        )
        self._write_after_earlier_programs()

    def _write_after_earlier_programs(self) -> None:
        """Let this session's writes win over those of a program whose clock was ahead of this one's.

        Of two writes Cassandra keeps the one with the later timestamp, which is the clock of whoever wrote.
        """
        rows = self._session.execute(
            f"SELECT WRITETIME(updated_at) AS written FROM {self._keyspace}.stream_progress WHERE stream = %s",  # noqa: S608
            (self._stream,),
        )
        clock = self._session.cluster.timestamp_generator
        with clock.lock:
            clock.last = max(clock.last, *(row["written"] or 0 for row in rows), 0)

    def write_distribution(self, table: str, day: date, distribution: Distribution) -> None:
        """Write buckets of one table's day, and the day's total with each of them."""
        insert = self._inserts[table]
        self._write(
            (insert, (day, *bucket, members, distribution.total)) for bucket, members in distribution.buckets.items()
        )

    def write_births(self, births: Mapping[date, int]) -> None:
        """Write how many members were born on these days."""
        self._write(
            ((self._insert_birth, (self._stream, born, members)) for born, members in births.items()),
            rows_of_a_batch=BIRTHS_OF_A_BATCH,
        )

    def read_distribution(self, table: str, day: date) -> Distribution:
        """One table of one day, empty where there is none; of its buckets only age groups may hold nobody."""
        keys = KEY_COLUMNS[table]
        rows = self._session.execute(
            f"SELECT {', '.join(keys)}, members, total FROM {self._keyspace}.{table} WHERE analysis_date = %s",  # noqa: S608
            (day,),
        )
        buckets: dict[Bucket, int] = {}
        total = 0
        for row in rows:
            total = row["total"] or 0
            if row["members"] or (table == "age" and row["members"] is not None):
                buckets[tuple(row[key] for key in keys)] = row["members"]
        return Distribution(buckets, total)

    def read_days(self) -> list[date]:
        """Every day of which there is an analysis, the newest first."""
        rows = self._session.execute(f"SELECT DISTINCT analysis_date FROM {self._keyspace}.{AGE}")  # noqa: S608
        return sorted((row["analysis_date"].date() for row in rows), reverse=True)

    def read_births(self) -> dict[date, int]:
        """How many members were born on each day."""
        rows = self._session.execute(
            f"SELECT date_of_birth, members FROM {self._keyspace}.births WHERE stream = %s",  # noqa: S608
            (self._stream,),
        )
        return {row["date_of_birth"].date(): row["members"] for row in rows}

    def read_tally(self, day: date) -> Tally:
        """Every count as the tables hold it, from a day's partitions and the births."""
        distributions = {table: self.read_distribution(table, day) for table in TABLE_NAMES}
        return Tally(
            total=distributions["age"].total,
            births=self.read_births(),
            buckets={table: dict(one.buckets) for table, one in distributions.items() if table != "age"},
        )

    def read_progress(self, query: str) -> Progress:
        """How far a query of this stream came; an empty one where it never wrote."""
        row = self._session.execute(
            f"SELECT analysis_date, written, writing, updated_at FROM {self._keyspace}.stream_progress "  # noqa: S608
            "WHERE stream = %s AND query = %s",
            (self._stream, query),
        ).one()
        if row is None:
            return Progress()
        day = row["analysis_date"]
        return Progress(
            day.date() if day else None,
            dict(row["written"] or {}),
            dict(row["writing"] or {}),
            row["updated_at"].replace(tzinfo=UTC) if row["updated_at"] else None,
        )

    def begin_writing(self, query: str, positions: Positions) -> None:
        """Note that a query is about to write what it read up to these offsets."""
        self._session.execute(
            f"UPDATE {self._keyspace}.stream_progress SET writing = %s, updated_at = %s "  # noqa: S608
            "WHERE stream = %s AND query = %s",
            (dict(positions), datetime.now(UTC), self._stream, query),
        )

    def end_writing(self, query: str, positions: Positions, day: date | None = None) -> None:
        """Note that a query has written what it read up to these offsets, in the partitions of a day."""
        self._session.execute(
            f"UPDATE {self._keyspace}.stream_progress SET writing = %s, written = %s, analysis_date = %s, "  # noqa: S608
            "updated_at = %s WHERE stream = %s AND query = %s",
            (dict(positions), dict(positions), day, datetime.now(UTC), self._stream, query),
        )

    def read_generations(self) -> Generations:
        """Which life of the counts the tables are of, and which one is wanted."""
        row = self._session.execute(
            "SELECT current, current_begin, current_look_from, wanted, wanted_begin, wanted_look_from "  # noqa: S608
            f"FROM {self._keyspace}.stream_generations WHERE stream = %s",
            (self._stream,),
        ).one()
        if row is None:
            return Generations(Generation(), None)
        current, wanted = (
            Generation(row[name], dict(row[f"{name}_begin"] or {}), dict(row[f"{name}_look_from"] or {}))
            if row[name]
            else None
            for name in ("current", "wanted")
        )
        current = current or Generation()
        return Generations(current, wanted if wanted != current else None)

    def want_generation(self, wanted: Generation) -> None:
        """Ask the stream to count anew from some offsets on."""
        self._write_generation("wanted", wanted)

    def begin_generation(self, generation: Generation, today: date) -> None:
        """Empty every table but for the days before, and begin a generation; repeatable. Only for the stream itself."""
        newest = self.read_progress(ANALYSIS_QUERY).analysis_date or today
        for table in TABLE_NAMES:
            # The newest day is later than today where a clock was ahead.
            for day in {today, max(newest, today)}:
                self._session.execute(
                    f"DELETE FROM {self._keyspace}.{table} WHERE analysis_date = %s",  # noqa: S608
                    (day,),
                )
        for table in ("births", "stream_refusals"):
            self._session.execute(f"DELETE FROM {self._keyspace}.{table} WHERE stream = %s", (self._stream,))  # noqa: S608
        self._session.execute(f"TRUNCATE {self._keyspace}.created_users", timeout=120)
        for query in (MEMBERS_QUERY, ANALYSIS_QUERY):
            # Not deleted: its timestamp tells the next program after which one it has to write.
            self.end_writing(query, {})
        self._write_generation("current", generation)

    def _write_generation(self, which: str, generation: Generation) -> None:
        self._session.execute(
            f"UPDATE {self._keyspace}.stream_generations "  # noqa: S608
            f"SET {which} = %s, {which}_begin = %s, {which}_look_from = %s WHERE stream = %s",
            (generation.name, dict(generation.begin), dict(generation.look_from), self._stream),
        )

    def refuse(self, schema_id: int, positions: Positions) -> None:
        """Note that records of a schema were rejected up to these offsets because the registry did not know it."""
        self._session.execute(
            f"UPDATE {self._keyspace}.stream_refusals SET positions = positions + %s "  # noqa: S608
            "WHERE stream = %s AND schema_id = %s",
            (dict(positions), self._stream, schema_id),
        )

    def read_refusals(self, schema_ids: Iterable[int]) -> dict[int, Positions]:
        """Up to which offsets records of these schemas were rejected, by schema id."""
        select = f"SELECT positions FROM {self._keyspace}.stream_refusals WHERE stream = %s AND schema_id = %s"  # noqa: S608
        rows = {schema_id: self._session.execute(select, (self._stream, schema_id)).one() for schema_id in schema_ids}
        return {schema_id: dict(row["positions"]) for schema_id, row in rows.items() if row is not None}

    def read_created_users(self) -> Iterator[dict[str, Any]]:
        """The id of every member of `created_users`, and what it is counted by; reads the whole table."""
        yield from self._session.execute(
            SimpleStatement(
                f"SELECT id, date_of_birth, gender, country, city FROM {self._keyspace}.created_users",  # noqa: S608
                fetch_size=5000,
            )
        )

    def estimate_created_users(self) -> int:
        """About how many rows `created_users` has, as the nodes told some minutes ago; 0 before they first did."""
        select = (
            "SELECT partitions_count FROM system.table_estimates "
            "WHERE keyspace_name = %s AND table_name = 'created_users' AND range_type = 'primary'"
        )
        # Each node only tells of its own ranges.
        nodes = [node for node in self._session.cluster.metadata.all_hosts() if node.is_up]
        return sum(
            row["partitions_count"]
            for node in nodes
            for row in self._session.execute(select, (self._keyspace,), host=node)
        )

    def write_audit(self, found: Audit) -> None:
        """Keep what a recount of one table compared and found."""
        insert = (
            f"INSERT INTO {self._keyspace}.analysis_audit "  # noqa: S608
            "(analysis_date, checked_at, table_name, bucket, live, recounted, compared, differing) "
            "VALUES (%s, %s, %s, %s, %s, %s, %s, %s)"
        )
        key = (found.day, found.checked_at, found.table)
        self._session.execute(insert, (*key, "", found.live, found.recounted, found.compared, len(found.differences)))
        for one in found.differences:
            bucket = " / ".join(one.bucket) or TOTAL_BUCKET
            self._session.execute(insert, (*key, bucket, one.live, one.recounted, None, None))

    def read_audits(self, day: date) -> list[Audit]:
        """What the recounts of a day found, the newest first."""
        rows = self._session.execute(
            "SELECT checked_at, table_name, bucket, live, recounted, compared, differing "  # noqa: S608
            f"FROM {self._keyspace}.analysis_audit WHERE analysis_date = %s",
            (day,),
        )
        audits: dict[tuple[datetime, str], Audit] = {}
        for row in rows:
            key = (row["checked_at"].replace(tzinfo=UTC), row["table_name"])
            if row["bucket"] == "":
                audits[key] = Audit(day, *key, row["live"], row["recounted"], row["compared"], [])
            else:
                difference = Difference(row["table_name"], (row["bucket"],), row["live"], row["recounted"])
                audits[key].differences.append(difference)
        return list(audits.values())

    def delete_created_users(self, ids: Iterable[str]) -> None:
        """Delete members' rows, now and for good: an event of theirs that is read again does not bring them back."""
        delete = self._session.prepare(f"DELETE FROM {self._keyspace}.created_users WHERE id = ?")  # noqa: S608
        execute_concurrent(self._session, [(delete, (member,)) for member in ids], concurrency=BATCHES_AT_ONCE)

    def _write(
        self, rows: Iterable[tuple[object, tuple[object, ...]]], *, rows_of_a_batch: int = ROWS_OF_A_BATCH
    ) -> None:
        """The rows of a call lie in one partition, so that each batch of them is one atomic write."""
        batches: list[BatchStatement] = []
        for number, (statement, values) in enumerate(rows):
            if number % rows_of_a_batch == 0:
                batches.append(BatchStatement(batch_type=BatchType.UNLOGGED))
            batches[-1].add(statement, values)
        if batches:
            execute_concurrent(self._session, [(batch, None) for batch in batches], concurrency=BATCHES_AT_ONCE)

    def stream_members(self) -> Iterator[dict[str, Any]]:
        """Every row of `created_users`, a page at a time: the id, what it is counted by, and its origin in Kafka.

        The columns kafka_partition and kafka_offset are the place of the record that the row was written from.
        """
        yield from self._session.execute(
            SimpleStatement(
                "SELECT id, date_of_birth, gender, country, city, kafka_partition, kafka_offset "  # noqa: S608
                f"FROM {self._keyspace}.created_users",
                fetch_size=5000,
            )
        )
