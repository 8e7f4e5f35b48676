"""The command `member-analyzer`."""

import logging
import os
import subprocess
import sys
import time
from typing import Annotated

import httpx
import psycopg
import structlog
import typer
from cassandra import DriverException
from cassandra.cluster import NoHostAvailable
from confluent_kafka import KafkaException
from confluent_kafka.schema_registry.error import SchemaRegistryError
from pydantic import ValidationError
from rich.box import SIMPLE
from rich.console import Console
from rich.markup import escape
from rich.table import Column, Table

from member_analyzer.airflow_api import AirflowError
from member_analyzer.local import platform
from member_analyzer.local.failure import LocalError
from member_analyzer.local.home import open_home
from member_analyzer.local.run import run as run_platform
from member_analyzer.operations import app as operations
from member_analyzer.provision import provision_everything
from member_analyzer.publisher import PublishError
from member_analyzer.registry import SchemaMissingError, SchemaRefusedError
from member_analyzer.rejected import UnknownRecordError
from member_analyzer.topics import TopicError

app = typer.Typer(no_args_is_help=True, pretty_exceptions_enable=False, add_completion=False)
app.add_typer(operations)
console = Console()


@app.command()
def up() -> None:
    """Start the platform on this machine and wait until every server is ready."""
    home, began = open_home(), time.monotonic()
    if platform.up(home, console):
        console.print(f"the platform is up after {time.monotonic() - began:.1f} s", highlight=False)
    else:
        console.print("the platform is up already")


@app.command()
def down() -> None:
    """Stop every server; data stays."""
    if platform.down(open_home(), console):
        console.print("the platform is down")
    else:
        console.print("the platform is not up")


@app.command()
def status() -> None:
    """Show how every server does."""
    columns = ("server", "state", "pid", "up for", "address", "memory")
    table = Table(*(Column(name, overflow="fold") for name in columns), box=SIMPLE)
    servers = platform.list_status(open_home())
    for server in servers:
        uptime = str(server.uptime).split(".")[0] if server.uptime else ""
        memory = f"{server.memory / 2**20:.0f} MB" if server.memory else ""
        state = "ready" if server.ready else f"{server.state}: {server.complaint}".removesuffix(": ")
        table.add_row(server.name, state, str(server.pid or ""), uptime, server.address, memory)
    table.caption = f"{sum(server.memory for server in servers) / 2**20:.0f} MB in all"
    console.print(table)
    if not all(server.ready for server in servers):
        raise typer.Exit(1)


@app.command()
def logs(
    name: Annotated[str, typer.Argument(help="A server's name, as `status` shows it.")],
    follow: Annotated[bool, typer.Option("--follow", "-f", help="Go on with what is added.")] = False,
    lines: Annotated[int, typer.Option("--lines", "-n", help="How many of the last lines.")] = 100,
) -> None:
    """Show the end of a server's log."""
    home = open_home()
    names = sorted(path.stem for path in home.logs.glob("*.log"))
    if name not in names:
        raise LocalError(f"there is no log of {name!r}; there are {', '.join(names) or 'none yet'}")
    options = ["-F"] if follow else []
    subprocess.run(["tail", "-n", str(lines), *options, str(home.logs / f"{name}.log")], check=False)


@app.command()
def reset(yes: Annotated[bool, typer.Option("--yes", help="Do not ask.")] = False) -> None:
    """Stop the platform and delete its data and passwords; what was downloaded stays."""
    home = open_home()
    if not yes:
        typer.confirm(f"Delete all data and passwords in {home.root}?", abort=True)
    platform.reset(home, console)
    console.print(f"deleted the data and passwords in {home.root}")


@app.command()
def run(
    count: Annotated[int, typer.Option(min=1, help="How many members to take from the user API.")] = 5000,
    once: Annotated[bool, typer.Option("--once", help="Stop at the end instead of serving on.")] = False,
) -> None:
    """Start the platform, take members through it, show what came of them, and serve until Ctrl-C."""
    if not run_platform(open_home(), console, count=count, once=once):
        raise typer.Exit(1)


@app.command()
def provision() -> None:
    """Make the landing tables, topics, schemas and Cassandra's tables that the environment names; repeatable."""
    provision_everything(os.environ)


FOR_PEOPLE = (
    *(LocalError, AirflowError, TopicError, SchemaRefusedError, SchemaMissingError, ValidationError),
    *(PublishError, UnknownRecordError),
)
SERVER_AWAY = (
    *(psycopg.OperationalError, NoHostAvailable, DriverException),
    *(KafkaException, httpx.HTTPError, SchemaRegistryError),
)


def main() -> None:
    """Run the command; an error that a person can mend is one line."""
    # The commands say themselves what they do.
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(logging.WARNING))
    try:
        app()
    except FOR_PEOPLE as error:
        tell(str(error))
        sys.exit(1)
    except SERVER_AWAY as error:
        cause = " ".join(str(error).split())[:300] or type(error).__name__
        tell(f"A server does not answer as it should: {cause}. See `member-analyzer status`, then try again.")
        sys.exit(1)


def tell(error: str) -> None:
    """Print an error as one line."""
    Console(stderr=True).print(f"[bold red]error:[/] {escape(error)}", highlight=False, soft_wrap=True)


if __name__ == "__main__":
    main()
