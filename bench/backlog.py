"""Lets the stream fall behind, and measures how it catches up: time, memory, and the growth of its state.

    .venv/bin/python bench/backlog.py [--members 500000]

It uses the home that LOCAL_HOME names (`var`), and leaves the platform down. The stream is stopped while all members
land and are published; then it starts with the whole backlog before it.
"""

import json
import time
from pathlib import Path
from typing import Annotated

import typer
from members import counted, wait_until
from rich.console import Console
from rich.table import Table

from member_analyzer.analysis.connection import connect_cassandra
from member_analyzer.analysis.progress import QUERY
from member_analyzer.analysis.tables import AnalysisTables
from member_analyzer.local import platform
from member_analyzer.local.environment import airflow_api_environment, program_environment
from member_analyzer.local.home import Home, open_home
from member_analyzer.local.supervision import start_process, stop_process
from member_analyzer.operations.airflow import AirflowClient
from member_analyzer.settings import AirflowSettings, CassandraSettings, StreamSettings
from member_analyzer.streams.members.definition import MEMBERS
from member_analyzer.streams.members.record import MEMBER

console = Console()
MOST_SECONDS = 3600


def size(folder: Path) -> int:
    """Bytes of a folder's files, of which some may vanish meanwhile."""
    total = 0
    for path in folder.rglob("*"):
        try:
            total += path.stat().st_size if path.is_file() else 0
        except FileNotFoundError:
            continue
    return total


def state_sizes(home: Home) -> dict[str, int]:
    """Bytes of the checkpoint."""
    checkpoint = home.checkpoint / MEMBER.name
    return {
        "checkpoint": sum(size(one) for one in checkpoint.glob(f"*/{QUERY}")),
    }


def stream_memory(home: Home) -> int:
    """Bytes (PSS) of the stream and its JVM."""
    return next(server.memory for server in platform.list_status(home) if server.name == "stream")


def main(members: Annotated[int, typer.Option(help="Members of the backlog.")] = 500_000) -> None:
    """Measure and print."""
    home = open_home()
    try:
        platform.up(home, console)
        cassandra = CassandraSettings.of(program_environment("reader", home))
        with (
            connect_cassandra(cassandra) as session,
            AirflowClient.log_in(AirflowSettings.of(airflow_api_environment(home))) as airflow,
        ):
            tables = AnalysisTables(session, cassandra.keyspace, MEMBERS)

            airflow.wait_for_dags("user_create", seconds=60)
            airflow.wait_for_run(airflow.start_run("user_create", {"count": 5000}), seconds=300)
            wait_until(lambda: counted(tables) >= 5000, MOST_SECONDS)
            before, counted_before = state_sizes(home), counted(tables)
            stop_process(home, "stream")
            airflow.wait_for_run(
                airflow.start_run("user_create", {"count": members, "page_size": 5000}), seconds=MOST_SECONDS
            )
            began, memory = time.monotonic(), [0]

            def has_all() -> bool:
                memory.append(stream_memory(home))
                return counted(tables) >= counted_before + members

            start_process(home, "stream")
            wait_until(has_all, MOST_SECONDS, pause=0.5)
            seconds = time.monotonic() - began
            after = state_sizes(home)
    finally:
        platform.down(home, console)
    batch = StreamSettings.model_fields["max_offsets_per_trigger"].default
    figures = {
        "members of the backlog": f"{members:,}",
        "largest micro-batch, records": f"{batch:,}",
        "caught up, s (with the start of the stream)": f"{seconds:.0f}",
        "members a second": f"{members / seconds:,.0f}",
        "largest memory of the stream (PSS), MB": f"{max(memory) / 2**20:,.0f}",
    }
    for name, size_after in after.items():
        growth = (size_after - before[name]) / members * 1_000_000
        figures[f"{name}, MB after / growth for a million members"] = (
            f"{size_after / 2**20:,.0f} / {growth / 2**20:,.0f}"
        )
    table = Table("figure", "value")
    for name, value in figures.items():
        table.add_row(name, value)
    console.print(table)
    console.print_json(json.dumps(figures), indent=None)


if __name__ == "__main__":
    typer.run(main)
