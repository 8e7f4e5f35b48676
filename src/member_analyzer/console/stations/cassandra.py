"""Cassandra: its nodes, and the members' numbers themselves."""

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
from member_analyzer.console.board import Board, Look, Members, State
from member_analyzer.console.distribution import order_buckets, show_bucket
from member_analyzer.console.rate import Rate
from member_analyzer.console.sightings import Sightings
from member_analyzer.console.watch import AwayError, Glance
from member_analyzer.settings import CassandraSettings
from member_analyzer.streams.members.record import MEMBER

AWAY: tuple[type[Exception], ...] = (DriverException, NoHostAvailable)
TIMEOUT = 5
SLOW = (OperationTimedOut, ReadTimeout)
# So many slow reads, one after the other, and Cassandra counts as unavailable.
MOST_SLOW_READS = 2
MOST_CITIES = 100
CITY = "city"

log = structlog.get_logger(__name__)

# A day's total and how far the stream came: what must change before a table does.
Mark = tuple[date, int, Positions, datetime | None]


@dataclass
class Readings:
    """What was read of the newest day so far, over one connection."""

    rate: Rate = field(default_factory=Rate)
    mark: Mark | None = None
    cities_mark: Mark | None = None
    distributions: dict[str, Distribution] = field(default_factory=dict)
    estimate: int | None = None


class CassandraSource:
    """What holds the counts, and the members themselves."""

    name = "cassandra"
    away: tuple[type[Exception], ...] = AWAY

    def __init__(self, settings: CassandraSettings, sightings: Sightings, board: Board) -> None:
        self._settings = settings.model_copy(update={"connect_timeout": min(settings.connect_timeout, TIMEOUT)})
        self._sightings = sightings
        self._board = board
        self._tables: AnalysisTables | None = None
        self._shown: Members | None = None

    @property
    def tables(self) -> AnalysisTables:
        """The tables, over the connection that is open. Raises AwayError where there is none."""
        if self._tables is None:
            raise AwayError("Cassandra is not connected.")
        return self._tables

    def means(self, since: str) -> str:
        """The numbers are old."""
        return (
            f"The members' numbers are those of {since}. Nothing is lost: what arrives meanwhile waits in landing and "
            "in Kafka, and the stream counts it when Cassandra is back."
        )

    @contextmanager
    def connect(self) -> Iterator[Sequence[Glance]]:
        """The numbers often, the table of all cities as seldom as its size asks for, the estimate seldom."""
        with connect_cassandra(self._settings, request_timeout=TIMEOUT) as session:
            readings = Readings()
            tables = self._tables = AnalysisTables(session, self._settings.keyspace, MEMBER.name)
            try:
                yield [
                    Glance(tolerate_slow_read(lambda: self._look(session, tables, readings))),
                    Glance(tolerate_slow_read(lambda: self._read_cities(tables, readings))),
                    Glance(tolerate_slow_read(lambda: self._estimate(tables, readings)), rest=60),
                ]
            finally:
                self._tables = None

    def _look(self, session: Session, tables: AnalysisTables, readings: Readings) -> Look:
        progress = tables.read_progress()
        # First of all how far the stream came: what the tables hold is at least as new.
        self._sightings.progress = {QUERY: progress}
        self._sightings.generation = tables.read_generations().current
        if progress.analysis_date is not None:
            self._read_members(tables, readings, progress.analysis_date, progress.written, progress.updated_at)
        nodes = describe_nodes(session)
        away = [node for node in nodes if not node["is_up"]]
        total = readings.mark[1] if readings.mark else 0
        return Look(
            State.DEGRADED if away else State.UP,
            f"Away: {', '.join(node['address'] for node in away)}." if away else None,
            "The other nodes hold copies and answer for it; the numbers are right as long as they do."
            if away
            else None,
            rate=readings.rate.per_second,
            facts=[
                ("Members", f"{total:,}"),
                ("Nodes", f"{len(nodes) - len(away)} of {len(nodes)} up"),
                ("Keyspace", self._settings.keyspace),
            ],
            detail={
                "nodes": nodes,
                "keyspace": self._settings.keyspace,
                "created_users_estimate": readings.estimate,
            },
        )

    def _read_members(
        self, tables: AnalysisTables, readings: Readings, day: date, written: Positions, updated_at: datetime | None
    ) -> None:
        if readings.mark and readings.mark[0] != day:
            readings.distributions.clear()
        ages = tables.read_distribution(AGE, day)
        readings.rate.note(ages.total, time.monotonic())
        mark = (day, ages.total, written, updated_at)
        if mark != readings.mark:
            readings.distributions |= {AGE: ages}
            readings.distributions |= {
                table: tables.read_distribution(table, day) for table in TABLE_NAMES if table not in (AGE, CITY)
            }
            readings.mark = mark
        self._show(readings)

    def _read_cities(self, tables: AnalysisTables, readings: Readings) -> None:
        mark = readings.mark
        if mark is not None and mark != readings.cities_mark:
            readings.distributions[CITY] = tables.read_distribution(CITY, mark[0])
            readings.cities_mark = mark
            self._show(readings)

    def _estimate(self, tables: AnalysisTables, readings: Readings) -> None:
        readings.estimate = tables.estimate_created_users()

    def _show(self, readings: Readings) -> None:
        """Put the members on the board, once every table was read."""
        if readings.mark is None or readings.distributions.keys() != set(TABLE_NAMES):
            return
        day, total, _, updated_at = readings.mark
        before = self._shown
        is_moved = before is not None and (before.date, before.total) != (day.isoformat(), total)
        changed_at = datetime.now(UTC) if is_moved else before.changed_at if before else updated_at
        self._shown = Members(
            date=day.isoformat(),
            total=total,
            rate=readings.rate.per_second,
            changed_at=changed_at,
            tables={name: list_buckets(name, readings.distributions[name].buckets) for name in TABLE_NAMES},
            buckets={name: len(readings.distributions[name].buckets) for name in TABLE_NAMES},
        )
        self._board.show_members(self._shown)


def list_buckets(table: str, buckets: Mapping[Bucket, int]) -> list[dict[str, Any]]:
    """The buckets as the page shows them; of cities those with the most members."""
    ordered = order_buckets(table, buckets)
    return [
        {"bucket": show_bucket(bucket), "members": members}
        for bucket, members in (ordered[:MOST_CITIES] if table == CITY else ordered)
    ]


def describe_nodes(session: Session) -> list[dict[str, Any]]:
    """The nodes of the cluster, as the driver knows them."""
    return [
        {
            "address": str(node.address),
            "is_up": bool(node.is_up),
            "datacenter": node.datacenter,
            "rack": node.rack,
            "version": node.release_version,
        }
        for node in sorted(session.cluster.metadata.all_hosts(), key=lambda one: str(one.address))
    ]


def tolerate_slow_read(look: Callable[[], Look | None]) -> Callable[[], Look | None]:
    """A look that sees nothing new when a read is slow, so that the session, which requests share, stays open."""
    slow_reads = 0

    def look_again() -> Look | None:
        nonlocal slow_reads
        try:
            seen = look()
        except SLOW as error:
            slow_reads += 1
            if slow_reads >= MOST_SLOW_READS:
                raise
            log.warning("console.slow_read", station="cassandra", error=type(error).__name__)
            return None
        slow_reads = 0
        return seen

    return look_again
