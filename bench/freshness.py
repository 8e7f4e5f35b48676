"""Measures freshness: the time from a member's commit in landing until the analysis tables count it, under load.

    .venv/bin/python bench/freshness.py [--seconds 60] [--rates 100,1000]

Beside it, how many cores every server takes, at rest and at each rate, what of that is for one micro-batch, and the
floor: an empty micro-batch of Spark in the same run.

Members are posted to the collector of the platform that LOCAL_HOME names, which has to be up with nobody else at work;
they stay in it. The day's total in `age` is read every 100 ms: the n-th member that was committed is counted once it
says so many.
"""

import statistics
import time
from http.client import HTTPConnection
from typing import Annotated

import typer
from collector import Bodies, Collector, make_body, measure_singles, own_key
from figures import FOLDER, Figures, Output, percentiles
from members import counted, has_written, wait_until
from processor import Usage, measure_floor, measured
from totals import TotalMonitor

from member_analyzer.analysis.connection import connect_cassandra
from member_analyzer.analysis.tables import AnalysisTables
from member_analyzer.kafka.reader import open_topic_reader
from member_analyzer.landing.api_keys import split_key
from member_analyzer.landing.connection import Connection, connect_landing
from member_analyzer.landing.counters import count_landed
from member_analyzer.local.environment import program_environment
from member_analyzer.local.home import Home, open_home
from member_analyzer.settings import CassandraSettings, KafkaSettings, LandingSettings
from member_analyzer.streams.members.definition import MEMBERS

REQUESTS_PER_SECOND = 100
WARMUP_SECONDS = 15
TIMEOUT_SECONDS = 120


def wait_until_idle(tables: AnalysisTables, kafka: KafkaSettings, landing: Connection) -> None:
    """Wait until every accepted member is counted, so that the measurement starts without a backlog."""
    with open_topic_reader(kafka) as reader:

        def is_idle() -> bool:
            is_read = has_written(tables, reader.end_offsets(MEMBERS.topic))
            return is_read and count_landed(landing, MEMBERS).unpublished == 0

        wait_until(is_idle, TIMEOUT_SECONDS * 10, pause=0.5)


def commits(landing: Connection, source: str) -> list[float]:
    """The commit times of the members of a source, in order."""
    rows = landing.execute(
        "SELECT extract(epoch FROM accepted_at)::float8 FROM landing.users WHERE source = %s ORDER BY 1", (source,)
    )
    return [row[0] for row in rows]


def measure(
    home: Home, tables: AnalysisTables, landing: Connection, rate: int, seconds: float
) -> tuple[list[float], Usage]:
    """Seconds from each member's commit until it is counted, and what the servers took meanwhile."""
    url = f"http://127.0.0.1:{home.settings.collector_port}"
    size = max(1, rate // REQUESTS_PER_SECOND)
    bodies = Bodies(make_body("flat", size))
    with own_key() as key, TotalMonitor(lambda: counted(tables), TIMEOUT_SECONDS) as monitor:
        collector, source = Collector(url, key), f"collector key={key_name(key)}"

        def post(connection: HTTPConnection) -> None:
            collector.post(connection, bodies.next(), size)

        before = counted(tables)
        measure_singles(collector, post, rate / size, WARMUP_SECONDS)
        warm = len(commits(landing, source))
        with measured(home) as usage:
            measure_singles(collector, post, rate / size, seconds)
        committed = commits(landing, source)
        monitor.wait_for(before + len(committed))
        moments = monitor.moments(before + warm, before + len(committed))
    return [after - commit for commit, after in zip(committed[warm:], moments, strict=True)], usage


def measure_rest(home: Home, seconds: float) -> Usage:
    """What the servers take while nothing happens."""
    time.sleep(WARMUP_SECONDS)
    with measured(home) as usage:
        time.sleep(seconds)
    return usage


def key_name(key: str) -> str:
    """The name in an API key."""
    parts = split_key(key)
    if parts is None:
        raise ValueError("This is not an API key.")
    return parts[0]


def main(
    seconds: Annotated[float, typer.Option(help="Duration of each measurement.")] = 60,
    rates: Annotated[str, typer.Option(help="Members per second.")] = "100,1000",
    rounds: Annotated[int, typer.Option(min=1, help="Number of measurements of each rate.")] = 3,
    output: Output = FOLDER,
) -> None:
    """Measure freshness."""
    home, figures = open_home(), Figures("freshness")
    cassandra = CassandraSettings.of(program_environment("reader", home))
    landing = LandingSettings.of(program_environment("admin", home))
    with connect_cassandra(cassandra) as session, connect_landing(landing) as connection:
        tables = AnalysisTables(session, cassandra.keyspace, MEMBERS)
        wait_until_idle(tables, KafkaSettings.of(program_environment("reader", home)), connection)
        for _ in range(rounds):
            floor = measure_floor(home)
            figures.add({"floor, an empty micro-batch, ms": 1000 * floor["seconds"]})
            figures.add({"floor, CPU of an empty micro-batch, ms": 1000 * floor["cpu"]})
            figures.add(measure_rest(home, seconds).figures("at rest"))
            for rate in map(int, rates.split(",")):
                name = f"{rate:,} a second"
                delays, usage = measure(home, tables, connection, rate, seconds)
                figures.add(percentiles(name, delays, "s"))
                figures.add({f"{name}, p50, ms": 1000 * statistics.median(delays)})
                figures.add(usage.figures(name))
        for name in (f"{int(rate):,} a second" for rate in rates.split(",")):
            figures.compare(f"{name}: p50 / floor", f"{name}, p50, ms", "floor, an empty micro-batch, ms", target=4)
            batch, floor_cpu = f"{name}, CPU of a micro-batch, ms", "floor, CPU of an empty micro-batch, ms"
            figures.compare(f"{name}: CPU of a micro-batch / floor", batch, floor_cpu)
    figures.targets["at rest, cores, all"] = 0.25
    figures.show(output)


if __name__ == "__main__":
    typer.run(main)
