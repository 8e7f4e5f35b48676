"""Measures how the stream counts interactions: throughput of a backlog, and the time from the response to the tables.

    .venv/bin/python bench/interaction_stream.py [--rounds 3] [--interactions 30000] [--visitors 3000]

The ceiling in the same run is Cassandra's driver alone: it writes the timelines and the ids of as many interactions,
which is a part of what the stream writes. It uses the platform of the home LOCAL_HOME (default `var`), with new
sources.
"""

import random
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from typing import Annotated, Any

import orjson
import typer
from cassandra.cluster import Session
from figures import FOLDER, Figures, Output, percentiles, timed
from interactions import Tracker, make_item, name_source, own_source
from processor import Usage, measured
from totals import TotalMonitor

from member_analyzer.analysis.connection import connect_cassandra
from member_analyzer.analysis.interactions.tables import InteractionTables
from member_analyzer.local.environment import program_environment
from member_analyzer.local.home import Home, open_home
from member_analyzer.settings import CassandraSettings
from member_analyzer.streams.interactions.definition import INTERACTIONS
from member_analyzer.streams.interactions.tracking import read_interaction
from member_analyzer.streams.interactions.user_agents import classify_user_agent
from member_analyzer.streams.members.definition import MEMBERS

ITEMS_OF_A_REQUEST = 500
TIMEOUT_SECONDS = 1200
WARMUP_SECONDS = 15
REQUESTS_PER_SECOND = 20


def make_items(source: str, count: int, visitors: int, now: datetime) -> list[dict[str, Any]]:
    """Page views of visitors within the last hours, each with an id of its own."""
    chance = random.Random(source)  # noqa: S311
    return [
        make_item(chance.randrange(500))
        | {
            "messageId": f"{source}-{number}",
            "anonymousId": f"{source}-{chance.randrange(visitors)}",
            "timestamp": (now - timedelta(seconds=(count - number) / 10)).isoformat(),
        }
        for number in range(count)
    ]


def in_bodies(items: Sequence[dict[str, Any]], size: int) -> Iterator[bytes]:
    """The bodies of requests."""
    for begin in range(0, len(items), size):
        yield orjson.dumps({"batch": items[begin : begin + size], "sentAt": datetime.now(UTC).isoformat()})


def count_events(session: Session, keyspace: str, source: str) -> Callable[[], int]:
    """Return what counts the interactions of a source, of today and of the days beside it."""
    select = session.prepare(
        f"SELECT events FROM {keyspace}.interaction_days WHERE source = ? AND day = ? AND is_bot = false"  # noqa: S608
    )

    def count() -> int:
        today = datetime.now(UTC).date()
        days = [today + timedelta(days=shift) for shift in (-1, 0, 1)]
        return sum(row["events"] for day in days for row in session.execute(select, (source, day)))

    return count


@contextmanager
def cassandra(home: Home) -> Iterator[tuple[Session, str]]:
    """A session, and the keyspace."""
    settings = CassandraSettings.of(program_environment("admin", home))
    with connect_cassandra(settings) as session:
        yield session, settings.keyspace


def monitored(session: Session, keyspace: str, source: str) -> TotalMonitor:
    """A monitor of the counted interactions of a source."""
    return TotalMonitor(count_events(session, keyspace, source), TIMEOUT_SECONDS)


def measure_backlog(home: Home, session: Session, keyspace: str, count: int, visitors: int) -> tuple[float, Usage]:
    """Interactions per second from the first count until all are counted, and what the servers took."""
    source = name_source()
    bodies = list(in_bodies(make_items(source, count, visitors, datetime.now(UTC)), ITEMS_OF_A_REQUEST))
    with own_source(source) as key, monitored(session, keyspace, source) as monitor:
        collector = Tracker(f"http://127.0.0.1:{home.settings.collector_port}", key)
        connection = collector.connect()
        with measured(home) as usage:
            for body in bodies:
                collector.post(connection, body, ITEMS_OF_A_REQUEST)
            monitor.wait_for(count)
        first, total = monitor.seen[1]
        return (count - total) / (monitor.seen[-1][0] - first), usage


def measure_freshness(
    home: Home, session: Session, keyspace: str, rate: int, seconds: float
) -> tuple[list[float], Usage]:
    """Seconds from the response to each request until its interactions are counted."""
    source, size = name_source(), max(1, rate // REQUESTS_PER_SECOND)
    answered: list[float] = []
    with own_source(source) as key, monitored(session, keyspace, source) as monitor:
        collector = Tracker(f"http://127.0.0.1:{home.settings.collector_port}", key)
        connection = collector.connect()

        def send(duration: float) -> None:
            begin = time.monotonic()
            for number in range(round(duration * rate / size)):
                time.sleep(max(0.0, begin + number * size / rate - time.monotonic()))
                now = datetime.now(UTC).isoformat()
                items = [
                    make_item(one) | {"messageId": f"{source}-{len(answered)}-{one}", "timestamp": now}
                    for one in range(size)
                ]
                collector.post(connection, next(in_bodies(items, size)), size)
                answered.extend([time.time()] * size)

        send(WARMUP_SECONDS)
        warm = len(answered)
        with measured(home) as usage:
            send(seconds)
        monitor.wait_for(len(answered))
        moments = monitor.moments(warm, len(answered))
    return [counted - answer for answer, counted in zip(answered[warm:], moments, strict=True)], usage


def measure_driver(session: Session, keyspace: str, count: int, visitors: int) -> float:
    """Interactions per second whose timelines and ids the driver alone writes."""
    source = name_source()
    tables = InteractionTables(session, keyspace, INTERACTIONS, MEMBERS)
    records = [
        read_interaction(item, source=source, zone=UTC, received_at=datetime.now(UTC), classify=classify_user_agent)
        for item in make_items(source, count, visitors, datetime.now(UTC))
    ]

    def write() -> None:
        for begin in range(0, count, 5000):
            part = records[begin : begin + 5000]
            tables.write_ids((record, 0, 0) for record in part)
            tables.write_timeline(part)

    _, seconds = timed(write)
    return count / seconds


def main(
    rounds: Annotated[int, typer.Option(min=1, help="Number of measurements of each kind.")] = 3,
    interactions: Annotated[int, typer.Option(min=1000, help="Interactions of a backlog.")] = 30_000,
    visitors: Annotated[int, typer.Option(min=1, help="Visitors of a backlog.")] = 3000,
    seconds: Annotated[float, typer.Option(help="Duration of each measurement of the freshness.")] = 60,
    rates: Annotated[str, typer.Option(help="Interactions per second, separated by commas.")] = "100,1000",
    output: Output = FOLDER,
) -> None:
    """Measure how the stream counts interactions."""
    figures, home = Figures("interaction_stream"), open_home()
    counted, ceiling = "counted of a backlog, per second", "timelines and ids by the driver alone, per second"
    with cassandra(home) as (session, keyspace):
        for _ in range(rounds):
            speed, usage = measure_backlog(home, session, keyspace, interactions, visitors)
            per_second = {f"backlog, cores, {name}": cores for name, cores in usage.cores.items() if cores > 0.05}
            figures.add(
                {counted: speed, ceiling: measure_driver(session, keyspace, interactions, visitors)} | per_second
            )
            for rate in map(int, rates.split(",")):
                delays, usage = measure_freshness(home, session, keyspace, rate, seconds)
                figures.add(percentiles(f"counted at {rate} a second", delays, "s"))
                figures.add(
                    {f"at {rate} a second, cores, {name}": usage.cores[name] for name in ("stream", "cassandra")}
                )
    figures.compare("counted, as a share of the driver alone", counted, ceiling, target=0.6)
    figures.targets |= {counted: 6000, "counted at 1000 a second, p50, s": 2, "counted at 1000 a second, p95, s": 4}
    figures.show(output)


if __name__ == "__main__":
    typer.run(main)
