"""The command `member-analyzer`."""

import logging
import os
import subprocess
import sys
import time
from typing import Annotated

import httpx2
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
from rich.table import Column, Table

from member_analyzer.cli.operations import app as operations
from member_analyzer.cli.operations import chosen_cluster
from member_analyzer.cli.run import run as run_platform
from member_analyzer.cli.terminal import shown, shown_line
from member_analyzer.cluster.failure import ClusterError
from member_analyzer.deadletters.rejected import UnknownRecordError
from member_analyzer.kafka.registry import SchemaMissingError, SchemaRefusedError
from member_analyzer.kafka.topics import TopicError
from member_analyzer.landing.roles import LandingRolesError
from member_analyzer.local import platform
from member_analyzer.local.failure import LocalError
from member_analyzer.local.home import open_home
from member_analyzer.local.isolation import isolate
from member_analyzer.logs import configure_logs
from member_analyzer.operations.airflow import AirflowError
from member_analyzer.operations.id_spool import SpoolError
from member_analyzer.operations.provision import WITHOUT_ROLES, Step
from member_analyzer.operations.provision import provision as take_steps
from member_analyzer.publishing.producer import PublishError
from member_analyzer.settings import ClusterSettings, explain_settings

app = typer.Typer(no_args_is_help=True, pretty_exceptions_enable=False, add_completion=False)
app.add_typer(operations)
console = Console()


# Release and namespace of the charts' instructions.
USUAL_NAMESPACE = "member-analyzer"
ON_THIS_MACHINE = {"up", "down", "logs", "reset", "run"}
NOT_IN_A_NAMESPACE = ON_THIS_MACHINE | {"provision"}


@app.callback()
def choose_platform(
    context: typer.Context,
    namespace: Annotated[
        str | None, typer.Option(help="Look after the platform in this namespace on Kubernetes, not this machine's.")
    ] = None,
    kube_context: Annotated[
        str | None, typer.Option("--context", help="Context of the kubeconfig, if not its current one.")
    ] = None,
) -> None:
    """Member Analyzer on this machine, or in a namespace on Kubernetes."""
    settings = ClusterSettings()
    settings = ClusterSettings(
        namespace=namespace or settings.namespace,
        context=kube_context or settings.context,
    )
    if namespace and (command := context.invoked_subcommand) in NOT_IN_A_NAMESPACE:
        raise ClusterError(f"`{command}` is for this machine's platform; in a namespace that is for helm and kubectl")
    is_status_here = context.invoked_subcommand == "status" and settings.namespace is None
    if context.invoked_subcommand in ON_THIS_MACHINE or is_status_here:
        isolate(os.environ)
    context.obj = settings


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
def status(context: typer.Context) -> None:
    """Show how every server does."""
    cluster = chosen_cluster(context)
    if cluster.namespace is not None:
        # The client of Kubernetes takes half a second to import, which the commands for this machine do not pay.
        from member_analyzer.cluster.status import show_status

        ready = show_status(cluster, cluster.namespace, console)
    else:
        ready = show_local_status()
    if not ready:
        raise typer.Exit(1)


def show_local_status() -> bool:
    """Show the servers of this machine; gives whether all are ready."""
    columns = ("server", "state", "pid", "up for", "address", "memory", "restarts")
    table = Table(*(Column(name, overflow="fold") for name in columns), box=SIMPLE)
    servers = platform.list_status(open_home())
    for server in servers:
        uptime = str(server.uptime).split(".")[0] if server.uptime else ""
        memory = f"{server.memory / 2**20:.0f} MB" if server.memory else ""
        state = "ready" if server.ready else f"{server.state}: {server.complaint}".removesuffix(": ")
        table.add_row(
            server.name, state, str(server.pid or ""), uptime, server.address, memory, describe_restarts(server)
        )
    table.caption = f"{sum(server.memory for server in servers) / 2**20:.0f} MB in all"
    console.print(table)
    for server in servers:
        if server.restarts is not None and (server.restarts.is_loop or not server.ready):
            console.print(f"{server.name}: {shown(server.restarts.message)}", highlight=False, soft_wrap=True)
    return all(server.ready for server in servers)


def describe_restarts(server: platform.ServerStatus) -> str:
    """How often a server was restarted of late."""
    return str(server.restarts.count) if server.restarts else ""


@app.command()
def preflight(
    context: typer.Context,
    namespace: Annotated[str | None, typer.Option(help="Where the platform is to be installed.")] = None,
) -> None:
    """Show what a cluster lacks before the charts are installed; exit status 1 where it lacks anything."""
    from member_analyzer.cluster.preflight import show_preflight

    cluster = chosen_cluster(context)
    if not show_preflight(cluster, namespace or cluster.namespace or USUAL_NAMESPACE, console):
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
    command = ["tail", "-n", str(lines), *options, str(home.logs / f"{name}.log")]
    if not sys.stdout.isatty():
        subprocess.run(command, check=False)
        return
    with subprocess.Popen(command, stdout=subprocess.PIPE, encoding="utf-8", errors="replace") as tail:
        for line in tail.stdout or ():
            print(shown_line(line), flush=True)


@app.command()
def reset(yes: Annotated[bool, typer.Option("--yes", help="Do not ask.")] = False) -> None:
    """Stop the platform and delete its data and passwords; what was downloaded stays."""
    home = open_home()
    if not yes:
        typer.confirm(f"Delete all data and passwords in {home.place}?", abort=True)
    platform.reset(home, console)
    console.print(f"deleted the data and passwords in {home.place}")


@app.command()
def run(
    count: Annotated[int, typer.Option(min=1, help="How many members to take from the user API.")] = 5000,
    once: Annotated[bool, typer.Option("--once", help="Stop at the end instead of serving on.")] = False,
) -> None:
    """Start the platform, take members through it, show what came of them, and serve until Ctrl-C."""
    if not run_platform(open_home(), console, count=count, once=once):
        raise typer.Exit(1)


@app.command()
def provision(
    steps: Annotated[list[Step] | None, typer.Argument(help="Only these; all but the roles unless given.")] = None,
    wait: Annotated[int, typer.Option(min=0, help="Seconds to wait for servers that are coming up.")] = 0,
) -> None:
    """Make the landing tables, topics, schemas and Cassandra's tables that the environment names; repeatable."""
    configure_logs()
    take_steps(os.environ, steps or WITHOUT_ROLES, wait=wait, away=SERVER_AWAY)


FOR_PEOPLE = (
    *(LocalError, ClusterError, AirflowError, TopicError, SchemaRefusedError, SchemaMissingError),
    *(PublishError, UnknownRecordError, LandingRolesError, SpoolError),
)
SERVER_AWAY = (
    *(psycopg.OperationalError, NoHostAvailable, DriverException),
    *(KafkaException, httpx2.HTTPError, SchemaRegistryError),
)


def main() -> None:
    """Run the command; an error that a person can mend is one line."""
    # The commands say themselves what they do.
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(logging.WARNING))
    try:
        # However it was started, as a module for one.
        app(prog_name="member-analyzer")
    except ValidationError as error:
        tell(explain_settings(error))
        sys.exit(1)
    except FOR_PEOPLE as error:
        tell(str(error))
        sys.exit(1)
    except SERVER_AWAY as error:
        cause = " ".join(str(error).split())[:300] or type(error).__name__
        tell(f"A server does not answer as it should: {cause}. See `member-analyzer status`, then try again.")
        sys.exit(1)


def tell(error: str) -> None:
    """Print an error as one line."""
    text = "\n".join(map(shown, error.split("\n")))
    Console(stderr=True).print(f"[bold red]error:[/] {text}", highlight=False, soft_wrap=True)


if __name__ == "__main__":
    main()
