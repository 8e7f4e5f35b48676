"""Cassandra: its nodes, and the member counts of the newest day."""

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, date, datetime
from typing import Any

import structlog
from cassandra import DriverException, OperationTimedOut, ReadTimeout
from cassandra.cluster import NoHostAvailable, Session

from member_analyzer.analysis.connection import connect_cassandra
from member_analyzer.analysis.counts import Bucket, Distribution
from member_analyzer.analysis.interactions.reader import InteractionReader
from member_analyzer.analysis.progress import QUERY
from member_analyzer.analysis.progress_tables import read_refusals
from member_analyzer.analysis.tables import AnalysisTables
from member_analyzer.console.distribution import printable_bucket, sort_buckets
from member_analyzer.console.monitoring import Probe, UnavailableError
from member_analyzer.console.rate import Rate
from member_analyzer.console.snapshot import Snapshot
from member_analyzer.console.status import State, Status
from member_analyzer.console.status_store import MemberCounts, StatusStore
from member_analyzer.records.offsets import Offsets
from member_analyzer.settings import CassandraSettings
from member_analyzer.streams.definition import Dimension, StreamDefinition

UNAVAILABLE_ERRORS: tuple[type[Exception], ...] = (DriverException, NoHostAvailable)
TIMEOUT = 5
TIMEOUT_ERRORS = (OperationTimedOut, ReadTimeout)
# Consecutive timeouts after which Cassandra counts as unavailable.
MAX_TIMEOUTS = 2
# Of a large table, at most so many buckets are shown.
MAX_BUCKETS = 100

log = structlog.get_logger(__name__)

# A day, its total and the stream's progress; the tables are read again when it changes.
Version = tuple[date, int, Offsets, datetime | None]


@dataclass
class Cache:
    """What this connection has read of the newest day."""

    rate: Rate = field(default_factory=Rate)
    version: Version | None = None
    large_tables_version: Version | None = None
    distributions: dict[str, Distribution] = field(default_factory=dict)
    rows_estimate: int | None = None


class CassandraMonitor:
    """Reads the analysis tables and the driver's view of the cluster."""

    name = "cassandra"
    unavailable_errors: tuple[type[Exception], ...] = UNAVAILABLE_ERRORS

    def __init__(
        self, settings: CassandraSettings, snapshot: Snapshot, store: StatusStore, definition: StreamDefinition
    ) -> None:
        self._definition = definition
        self._large_tables = [one.table for one in definition.dimensions if is_large(one)]
        self._small_tables = [one.table for one in definition.dimensions if not is_large(one)]
        self._settings = settings.model_copy(update={"connect_timeout": min(settings.connect_timeout, TIMEOUT)})
        self._snapshot = snapshot
        self._store = store
        self._tables: AnalysisTables | None = None
        self._published: MemberCounts | None = None

    @property
    def tables(self) -> AnalysisTables:
        """The tables over the open connection. Raises UnavailableError if there is none."""
        if self._tables is None:
            raise UnavailableError("Not connected.")
        return self._tables

    def impact(self, last_seen: str) -> str:
        return (
            f"The member counts are as of {last_seen}. No data is lost: new members wait in landing and Kafka, "
            "and the stream counts them once Cassandra is back."
        )

    @contextmanager
    def connect(self) -> Iterator[Sequence[Probe]]:
        with connect_cassandra(self._settings, request_timeout=TIMEOUT) as session:
            cache = Cache()
            tables = self._tables = AnalysisTables(session, self._settings.keyspace, self._definition)
            interactions = InteractionReader(session, self._settings.keyspace)
            try:
                yield [
                    Probe(tolerate_timeout(lambda: self._check(session, tables, interactions, cache))),
                    # A probe of its own: large tables are slow to read.
                    Probe(tolerate_timeout(lambda: self._read_large_tables(tables, cache))),
                    Probe(tolerate_timeout(lambda: self._estimate_rows(tables, cache)), pause=60),
                ]
            finally:
                self._tables = None

    def _check(self, session: Session, tables: AnalysisTables, interactions: InteractionReader, cache: Cache) -> Status:
        progress = tables.read_progress()
        # Before the tables, so that these are at least as new.
        self._snapshot.progress = {QUERY: progress}
        self._snapshot.generation = tables.read_generations().current
        self._snapshot.interactions = interactions.read_lag()
        self._snapshot.refusals = read_refusals(session, self._settings.keyspace)
        if progress.analysis_date is not None:
            self._read_counts(tables, cache, progress.analysis_date, progress.written, progress.updated_at)
        nodes = describe_nodes(session)
        down = [node for node in nodes if not node["is_up"]]
        total = cache.version[1] if cache.version else 0
        return Status(
            State.DEGRADED if down else State.UP,
            f"Nodes down: {', '.join(node['address'] for node in down)}." if down else None,
            "The other nodes hold replicas of the data; the counts are correct as long as these nodes are up."
            if down
            else None,
            rate=cache.rate.per_second,
            facts=[
                ("Members", f"{total:,}"),
                ("Nodes", f"{len(nodes) - len(down)} of {len(nodes)} up"),
                ("Keyspace", self._settings.keyspace),
            ],
            detail={
                "nodes": nodes,
                "keyspace": self._settings.keyspace,
                "created_users_estimate": cache.rows_estimate,
            },
        )

    def _read_counts(
        self, tables: AnalysisTables, cache: Cache, day: date, written: Offsets, updated_at: datetime | None
    ) -> None:
        if cache.version and cache.version[0] != day:
            cache.distributions.clear()
        first, *others = self._small_tables
        distribution = tables.read_distribution(first, day)
        cache.rate.observe(distribution.total, time.monotonic())
        version = (day, distribution.total, written, updated_at)
        if version != cache.version:
            cache.distributions |= {first: distribution}
            cache.distributions |= {table: tables.read_distribution(table, day) for table in others}
            cache.version = version
        self._publish(cache)

    def _read_large_tables(self, tables: AnalysisTables, cache: Cache) -> None:
        version = cache.version
        if version is not None and version != cache.large_tables_version:
            cache.distributions |= {table: tables.read_distribution(table, version[0]) for table in self._large_tables}
            cache.large_tables_version = version
            self._publish(cache)

    def _estimate_rows(self, tables: AnalysisTables, cache: Cache) -> None:
        cache.rows_estimate = tables.estimate_rows()

    def _publish(self, cache: Cache) -> None:
        """Publish the member counts once all tables have been read."""
        if cache.version is None or cache.distributions.keys() != set(self._definition.tables):
            return
        day, total, _, updated_at = cache.version
        before = self._published
        has_changed = before is not None and (before.date, before.total) != (day.isoformat(), total)
        changed_at = datetime.now(UTC) if has_changed else before.changed_at if before else updated_at
        self._published = MemberCounts(
            date=day.isoformat(),
            total=total,
            rate=cache.rate.per_second,
            changed_at=changed_at,
            tables={
                one.table: list_buckets(one, cache.distributions[one.table].buckets)
                for one in self._definition.dimensions
            },
            bucket_counts={table: len(cache.distributions[table].buckets) for table in self._definition.tables},
        )
        self._store.update_member_counts(self._published)


def is_large(dimension: Dimension) -> bool:
    """Whether a table may have many buckets, as one of several columns."""
    return len(dimension.key_columns) > 1


def list_buckets(dimension: Dimension, buckets: Mapping[Bucket, int]) -> list[dict[str, Any]]:
    """The buckets as JSON values; of a large table only the largest."""
    ordered = sort_buckets(dimension, buckets)
    return [
        {"bucket": printable_bucket(bucket), "members": members}
        for bucket, members in (ordered[:MAX_BUCKETS] if is_large(dimension) else ordered)
    ]


def describe_nodes(session: Session) -> list[dict[str, Any]]:
    """The nodes of the cluster as known to the driver."""
    return [
        {
            "address": str(node.address),
            "is_up": bool(node.is_up),
            "datacenter": node.datacenter,
            "rack": node.rack,
            "version": node.release_version,
        }
        for node in sorted(session.cluster.metadata.all_hosts(), key=lambda host: str(host.address))
    ]


def tolerate_timeout(check: Callable[[], Status | None]) -> Callable[[], Status | None]:
    """A check that ignores a single timeout, because an error would close the session that requests share."""
    timeouts = 0

    def check_tolerantly() -> Status | None:
        nonlocal timeouts
        try:
            status = check()
        except TIMEOUT_ERRORS as error:
            timeouts += 1
            if timeouts >= MAX_TIMEOUTS:
                raise
            log.warning("console.read_timeout", component="cassandra", error=type(error).__name__)
            return None
        timeouts = 0
        return status

    return check_tolerantly
