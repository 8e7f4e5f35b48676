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
from member_analyzer.analysis.counts import AGE, TABLE_NAMES, Bucket, Distribution
from member_analyzer.analysis.progress import QUERY, Positions
from member_analyzer.analysis.tables import AnalysisTables
from member_analyzer.console.distribution import printable_bucket, sort_buckets
from member_analyzer.console.monitoring import Probe, UnavailableError
from member_analyzer.console.rate import Rate
from member_analyzer.console.snapshot import Snapshot
from member_analyzer.console.status import State, Status
from member_analyzer.console.status_store import MemberCounts, StatusStore
from member_analyzer.settings import CassandraSettings
from member_analyzer.streams.members.record import MEMBER

UNAVAILABLE_ERRORS: tuple[type[Exception], ...] = (DriverException, NoHostAvailable)
TIMEOUT = 5
TIMEOUT_ERRORS = (OperationTimedOut, ReadTimeout)
# Consecutive timeouts after which Cassandra counts as unavailable.
MAX_TIMEOUTS = 2
MAX_CITIES = 100
CITY = "city"

log = structlog.get_logger(__name__)

# A day, its total and the stream's progress; the tables are read again when it changes.
Version = tuple[date, int, Positions, datetime | None]


@dataclass
class Cache:
    """What this connection has read of the newest day."""

    rate: Rate = field(default_factory=Rate)
    version: Version | None = None
    cities_version: Version | None = None
    distributions: dict[str, Distribution] = field(default_factory=dict)
    created_users_estimate: int | None = None


class CassandraMonitor:
    """Reads the analysis tables and the driver's view of the cluster."""

    name = "cassandra"
    unavailable_errors: tuple[type[Exception], ...] = UNAVAILABLE_ERRORS

    def __init__(self, settings: CassandraSettings, snapshot: Snapshot, store: StatusStore) -> None:
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
            tables = self._tables = AnalysisTables(session, self._settings.keyspace, MEMBER.name)
            try:
                yield [
                    Probe(tolerate_timeout(lambda: self._check(session, tables, cache))),
                    # A probe of its own: the table of cities may be large and slow to read.
                    Probe(tolerate_timeout(lambda: self._read_cities(tables, cache))),
                    Probe(tolerate_timeout(lambda: self._estimate_created_users(tables, cache)), pause=60),
                ]
            finally:
                self._tables = None

    def _check(self, session: Session, tables: AnalysisTables, cache: Cache) -> Status:
        progress = tables.read_progress()
        # Before the tables, so that these are at least as new.
        self._snapshot.progress = {QUERY: progress}
        self._snapshot.generation = tables.read_generations().current
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
                "created_users_estimate": cache.created_users_estimate,
            },
        )

    def _read_counts(
        self, tables: AnalysisTables, cache: Cache, day: date, written: Positions, updated_at: datetime | None
    ) -> None:
        if cache.version and cache.version[0] != day:
            cache.distributions.clear()
        ages = tables.read_distribution(AGE, day)
        cache.rate.observe(ages.total, time.monotonic())
        version = (day, ages.total, written, updated_at)
        if version != cache.version:
            cache.distributions |= {AGE: ages}
            cache.distributions |= {
                table: tables.read_distribution(table, day) for table in TABLE_NAMES if table not in (AGE, CITY)
            }
            cache.version = version
        self._publish(cache)

    def _read_cities(self, tables: AnalysisTables, cache: Cache) -> None:
        version = cache.version
        if version is not None and version != cache.cities_version:
            cache.distributions[CITY] = tables.read_distribution(CITY, version[0])
            cache.cities_version = version
            self._publish(cache)

    def _estimate_created_users(self, tables: AnalysisTables, cache: Cache) -> None:
        cache.created_users_estimate = tables.estimate_created_users()

    def _publish(self, cache: Cache) -> None:
        """Publish the member counts once all tables have been read."""
        if cache.version is None or cache.distributions.keys() != set(TABLE_NAMES):
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
            tables={name: list_buckets(name, cache.distributions[name].buckets) for name in TABLE_NAMES},
            bucket_counts={name: len(cache.distributions[name].buckets) for name in TABLE_NAMES},
        )
        self._store.update_member_counts(self._published)


def list_buckets(table: str, buckets: Mapping[Bucket, int]) -> list[dict[str, Any]]:
    """The buckets as JSON values; of the cities only the largest."""
    ordered = sort_buckets(table, buckets)
    return [
        {"bucket": printable_bucket(bucket), "members": members}
        for bucket, members in (ordered[:MAX_CITIES] if table == CITY else ordered)
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
