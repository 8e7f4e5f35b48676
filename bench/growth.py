"""Measures how the cost of a batch and of a day's analysis grows with the number of members, compared with a full scan.

    .venv/bin/python bench/growth.py [--levels 100000,1000000,5000000]

After a warm-up of the JVM, the tables are filled to each level; then single batches are measured, and then writing the
counts for a new day, as at midnight. The full scan is the tutorial's daily analysis (see `bench/spark_work.py`), which
reads the whole table into memory. It adds all of these members to the home LOCAL_HOME, and leaves the platform stopped.
Use a separate home.
"""

import time
from datetime import UTC, datetime
from typing import Annotated

import typer
from backlog import state_sizes, stream_memory
from cassandra.cluster import Session
from figures import FOLDER, Figures, Output, console, timed
from members import counted, put_members, wait_until
from spark_work import analyse, make_analysis_tables

from member_analyzer.analysis.connection import connect_cassandra
from member_analyzer.analysis.keyspace import create_tables
from member_analyzer.analysis.tables import AnalysisTables
from member_analyzer.local import platform
from member_analyzer.local.environment import program_environment
from member_analyzer.local.home import Home, open_home
from member_analyzer.local.supervision import stop_process
from member_analyzer.logs import configure_logs
from member_analyzer.settings import CassandraSettings
from member_analyzer.streams.members.definition import MEMBERS

KEYSPACE = "bench_growth"
TIMEOUT_SECONDS = 7200
# Batch size while filling the tables.
FILL_BATCH = 250_000


def fill(home: Home, tables: AnalysisTables, members: int) -> None:
    """Add members until the tables have counted the given number."""
    while (missing := members - counted(tables)) > 0:
        measure_batch(home, tables, min(missing, FILL_BATCH))


def warm_up(home: Home, tables: AnalysisTables, members: int, seconds: float) -> None:
    """Process batches for a while, so that the JVM's compilation does not affect the first level."""
    ends = time.monotonic() + seconds
    while time.monotonic() < ends:
        measure_batch(home, tables, members)


def measure_batch(home: Home, tables: AnalysisTables, members: int) -> float:
    """The seconds from the last acknowledgement of a batch until it is counted."""
    before = counted(tables)
    put_members(home, members)
    began = time.perf_counter()
    wait_until(lambda: counted(tables) >= before + members, TIMEOUT_SECONDS)
    return time.perf_counter() - began


def measure_day(tables: AnalysisTables, day_tables: AnalysisTables) -> float:
    """The seconds of starting a new day: reading all counts and writing them for the day."""
    today = datetime.now(UTC).date()

    def roll_over() -> None:
        tally = tables.read_tally(today)
        for table in MEMBERS.tables:
            day_tables.write_distribution(table, today, tally.distribution(table, today))

    return timed(roll_over)[1]


def measure_scan(session: Session, keyspace: str) -> float:
    """The seconds of the tutorial's daily analysis."""
    return timed(lambda: analyse(session, f"{keyspace}.created_users", KEYSPACE))[1]


def main(
    levels: Annotated[str, typer.Option(help="Numbers of members.")] = "100000,1000000,5000000",
    batch: Annotated[int, typer.Option(min=1, help="Members per measured batch.")] = 1000,
    batches: Annotated[int, typer.Option(min=1, help="Measured batches per level.")] = 20,
    warmup: Annotated[float, typer.Option(help="Seconds of warm-up before the first level.")] = 180,
    rounds: Annotated[int, typer.Option(min=1, help="Measurements of the daily analysis per level.")] = 3,
    output: Output = FOLDER,
) -> None:
    """Measure the growth of the cost."""
    configure_logs()
    home, figures = open_home(), Figures("growth")
    cassandra = CassandraSettings.of(program_environment("admin", home))
    try:
        platform.up(home, console)
        # It would also publish, and split the batches.
        stop_process(home, "collector")
        with connect_cassandra(cassandra) as session:
            create_tables(session, cassandra.model_copy(update={"keyspace": KEYSPACE}), [MEMBERS])
            make_analysis_tables(session, KEYSPACE)
            tables = AnalysisTables(session, cassandra.keyspace, MEMBERS)
            day_tables = AnalysisTables(session, KEYSPACE, MEMBERS)
            warm_up(home, tables, batch, warmup)
            for level in map(int, levels.split(",")):
                at = f"at {level:,}"
                fill(home, tables, level - batch)
                # Skip the first one: the batches before it had another size.
                seconds = [measure_batch(home, tables, batch) for _ in range(batches + 1)][1:]
                for one in seconds:
                    figures.add({f"one more batch {at}, s": one})
                for name, size in state_sizes(home).items():
                    figures.add({f"{name} {at}, MB": size / 2**20})
                figures.add({f"stream's memory (PSS) {at}, MB": stream_memory(home) / 2**20})
                for _ in range(rounds):
                    figures.add({f"daily analysis {at}, s": measure_day(tables, day_tables)})
                    figures.add({f"tutorial's analysis {at}, s": measure_scan(session, cassandra.keyspace)})
                figures.compare(f"tutorial / ours {at}", f"tutorial's analysis {at}, s", f"daily analysis {at}, s")
    finally:
        platform.down(home, console)
    measured = [name for name in figures.values if name.startswith("one more batch")]
    figures.compare("one more batch, last level / first", measured[-1], measured[0], target=1.2)
    figures.show(output)


if __name__ == "__main__":
    typer.run(main)
