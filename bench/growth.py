"""Measures what one more batch and one day's analysis cost once many are counted, beside a scan of them all.

    .venv/bin/python bench/growth.py [--levels 100000,1000000,5000000]

After some minutes in which Java compiles the stream: at each level the stream has counted so many members; then batches
come one by one, and then the day is written anew from what is known, as at midnight. The scan is the tutorial's
analysis of the day (see `bench/spark_work.py`): it reads the whole table into memory. It uses the home that
LOCAL_HOME names, which grows by all of these members, and leaves the platform down. Use a home of its own.
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
MOST_SECONDS = 7200
# What is put at once on the way to a level.
STEP = 250_000


def fill(home: Home, tables: AnalysisTables, members: int) -> None:
    """Let the tables count so many members."""
    while (missing := members - counted(tables)) > 0:
        measure_batch(home, tables, min(missing, STEP))


def warm(home: Home, tables: AnalysisTables, members: int, seconds: float) -> None:
    """Let batches come for a while: what Java has not compiled yet would be measured at the first level only."""
    ends = time.monotonic() + seconds
    while time.monotonic() < ends:
        measure_batch(home, tables, members)


def measure_batch(home: Home, tables: AnalysisTables, members: int) -> float:
    """Seconds from the last acknowledgement of a batch until it is counted."""
    before = counted(tables)
    put_members(home, members)
    began = time.perf_counter()
    wait_until(lambda: counted(tables) >= before + members, MOST_SECONDS)
    return time.perf_counter() - began


def measure_day(tables: AnalysisTables, day_tables: AnalysisTables) -> float:
    """Seconds of what a new day begins with: every count is read, and written for the day."""
    today = datetime.now(UTC).date()

    def turn() -> None:
        tally = tables.read_tally(today)
        for table in MEMBERS.tables:
            day_tables.write_distribution(table, today, tally.distribution(table, today))

    return timed(turn)[1]


def measure_scan(session: Session, keyspace: str) -> float:
    """Seconds of the tutorial's analysis of the day."""
    return timed(lambda: analyse(session, f"{keyspace}.created_users", KEYSPACE))[1]


def main(
    levels: Annotated[str, typer.Option(help="How many members are counted at each level.")] = "100000,1000000,5000000",
    batch: Annotated[int, typer.Option(min=1, help="Members of one more batch.")] = 1000,
    batches: Annotated[int, typer.Option(min=1, help="How many of them at each level.")] = 20,
    warming: Annotated[float, typer.Option(help="Seconds of batches before the first level.")] = 180,
    rounds: Annotated[int, typer.Option(min=1, help="How often the day's analysis is measured, in turn.")] = 3,
    output: Output = FOLDER,
) -> None:
    """Measure and print."""
    configure_logs()
    home, figures = open_home(), Figures("growth")
    cassandra = CassandraSettings.of(program_environment("admin", home))
    try:
        platform.up(home, console)
        # It would publish as well, and what is measured are batches of one size.
        stop_process(home, "collector")
        with connect_cassandra(cassandra) as session:
            create_tables(session, cassandra.model_copy(update={"keyspace": KEYSPACE}), [MEMBERS])
            make_analysis_tables(session, KEYSPACE)
            tables = AnalysisTables(session, cassandra.keyspace, MEMBERS)
            day_tables = AnalysisTables(session, KEYSPACE, MEMBERS)
            warm(home, tables, batch, warming)
            for level in map(int, levels.split(",")):
                at = f"at {level:,}"
                fill(home, tables, level - batch)
                # The first one is cold: what filled the tables were batches of another size.
                seconds = [measure_batch(home, tables, batch) for _ in range(batches + 1)][1:]
                for one in seconds:
                    figures.add({f"one more batch {at}, s": one})
                for name, size in state_sizes(home).items():
                    figures.add({f"{name} {at}, MB": size / 2**20})
                figures.add({f"stream's memory (PSS) {at}, MB": stream_memory(home) / 2**20})
                for _ in range(rounds):
                    figures.add({f"the day's analysis {at}, s": measure_day(tables, day_tables)})
                    figures.add({f"tutorial's analysis {at}, s": measure_scan(session, cassandra.keyspace)})
                figures.compare(f"tutorial / ours {at}", f"tutorial's analysis {at}, s", f"the day's analysis {at}, s")
    finally:
        platform.down(home, console)
    measured = [name for name in figures.values if name.startswith("one more batch")]
    figures.compare("one more batch, last level / first", measured[-1], measured[0], to_reach=1.2)
    figures.show(output)


if __name__ == "__main__":
    typer.run(main)
