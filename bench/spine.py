"""Measures the platform of this checkout on this machine: start-up, memory, and one run of `user_create`.

    .venv/bin/python bench/spine.py [--starts 3] [--runs 3] [--count 50000]

It uses the home that LOCAL_HOME names (`var`), downloads and provisions it first where that was not done, so that every
figure is a warm one, and leaves the platform down.
"""

import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Annotated

import typer
from figures import FOLDER, Figures, Output, console
from members import counted, wait_until
from rich.table import Table

from member_analyzer.analysis.connection import connect_cassandra
from member_analyzer.analysis.tables import AnalysisTables
from member_analyzer.local import platform
from member_analyzer.local.environment import airflow_api_environment, program_environment
from member_analyzer.local.home import Home, open_home
from member_analyzer.operations.airflow import AirflowClient
from member_analyzer.settings import AirflowSettings, CassandraSettings
from member_analyzer.streams.members.definition import MEMBERS


def measure_start(home: Home, figures: Figures) -> None:
    """Start it, and take a few members: seconds until all is ready, and until the first analysis row."""
    platform.down(home, console)
    began = time.monotonic()
    platform.up(home, console)
    ready = time.monotonic() - began
    with connect(home) as bench:
        before = counted(bench.tables)
        bench.airflow.start_run("user_create", {"count": 5000})
        bench.wait_until_counted(before + 1)
        arrived = time.monotonic() - began
        figures.add({"all servers ready, s": ready, "first analysis row after the start, s": arrived})
        bench.wait_until_counted(before + 5000)


def measure_create(home: Home, count: int, figures: Figures) -> None:
    """One run of `user_create`: how fast its tasks were, how long the tables took after it, and the memory then."""
    with connect(home) as bench:
        before = counted(bench.tables)
        began = time.monotonic()
        run = bench.airflow.wait_for_run(
            bench.airflow.start_run("user_create", {"count": count, "page_size": 5000}), seconds=600
        )
        ended = time.monotonic()
        bench.wait_until_counted(before + count)
        arrived = time.monotonic()
        bench.wait_until_written()
        times = bench.airflow.task_times(run)
        seconds = {task: (one.ended - one.started).total_seconds() for task, one in times.items()}
        memory = sum(server.memory for server in platform.list_status(home))
        figures.add(
            {
                f"{count:,} members: fetch_and_land, s": seconds["fetch_and_land"],
                f"{count:,} members: publish, s": seconds["publish"],
                "members a second through both tasks": count / sum(seconds.values()),
                "whole DAG run, s": ended - began,
                "in the tables after the run, s": max(0.0, arrived - ended),
                "memory of the whole platform (PSS), GB": memory / 2**30,
            }
        )


@dataclass(frozen=True)
class Bench:
    """The connections of one measurement."""

    airflow: AirflowClient
    tables: AnalysisTables

    def wait_until_counted(self, members: int) -> None:
        """Wait until the tables hold so many members; fails after five minutes."""
        wait_until(lambda: counted(self.tables) >= members, 300)

    def wait_until_written(self) -> None:
        """Wait until created_users has what the tables have: the next measurement needs the machine alone."""
        wait_until(lambda: not self.is_writing(), 300)

    def is_writing(self) -> bool:
        """Whether created_users is still behind the analysis tables."""
        return not self.tables.read_progress().is_settled


@contextmanager
def connect(home: Home) -> Iterator[Bench]:
    """Log in to Airflow and Cassandra."""
    cassandra = CassandraSettings.of(program_environment("reader", home))
    with (
        connect_cassandra(cassandra) as session,
        AirflowClient.log_in(AirflowSettings.of(airflow_api_environment(home))) as airflow,
    ):
        airflow.wait_for_dags("user_create", seconds=60)
        yield Bench(airflow, AnalysisTables(session, cassandra.keyspace, MEMBERS))


def main(
    starts: Annotated[int, typer.Option(help="How often the platform is started.")] = 3,
    runs: Annotated[int, typer.Option(help="How often user_create runs.")] = 3,
    count: Annotated[int, typer.Option(help="Members of one run.")] = 50_000,
    output: Output = FOLDER,
) -> None:
    """Measure and print."""
    home, figures = open_home(), Figures("spine")
    try:
        platform.up(home, console)
        for _ in range(starts):
            measure_start(home, figures)
        for _ in range(runs):
            measure_create(home, count, figures)
        servers = Table("server", "memory (PSS), MB", title="Memory after the last run", title_justify="left")
        for server in platform.list_status(home):
            servers.add_row(server.name, f"{server.memory / 2**20:.0f}")
        console.print(servers)
    finally:
        platform.down(home, console)
    figures.to_reach |= {
        "all servers ready, s": 45,
        "first analysis row after the start, s": 60,
        "members a second through both tasks": 5000,
        "in the tables after the run, s": 30,
        "memory of the whole platform (PSS), GB": 4.5,
    }
    figures.show(output)


if __name__ == "__main__":
    typer.run(main)
