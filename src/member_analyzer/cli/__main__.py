"""The command `member-analyzer`."""

import logging
import os
import subprocess
import sys
import time
from typing import Annotated

import structlog
import typer
from pydantic import ValidationError
from rich.box import SIMPLE
from rich.console import Console
from rich.table import Column, Table

from member_analyzer.cli.keys import app as keys
from member_analyzer.cli.operations import app as operations
from member_analyzer.cli.rejected import app as rejected
from member_analyzer.cli.run import run as run_platform
from member_analyzer.cli.servers import cluster_settings
from member_analyzer.cli.sources import app as sources
from member_analyzer.cli.terminal import sanitize, sanitize_line
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
from member_analyzer.operations.provision import CONNECTION_ERRORS, WITHOUT_ROLES, Step
from member_analyzer.operations.provision import provision as run_provisioning
from member_analyzer.publishing.producer import PublishError
from member_analyzer.settings import ClusterSettings, explain_settings
from member_analyzer.streams.catalog import TOPICS

app = typer.Typer(no_args_is_help=True, pretty_exceptions_enable=False, add_completion=False)
app.add_typer(operations)
app.add_typer(rejected, name="rejected")
app.add_typer(keys, name="keys")
app.add_typer(sources, name="sources")
console = Console()


DEFAULT_NAMESPACE = "member-analyzer"
LOCAL_COMMANDS = {"up", "down", "logs", "reset", "run"}
NO_CLUSTER_COMMANDS = LOCAL_COMMANDS | {"provision"}


@app.callback()
def select_platform(
    context: typer.Context,
    namespace: Annotated[
        str | None, typer.Option(help="Kubernetes namespace of the platform; without it, the local platform is used.")
    ] = None,
    kube_context: Annotated[
        str | None, typer.Option("--context", help="kubeconfig context; defaults to the current one.")
    ] = None,
) -> None:
    """Operate Member Analyzer on this machine or on Kubernetes."""
    settings = ClusterSettings()
    settings = ClusterSettings(
        namespace=namespace or settings.namespace,
        context=kube_context or settings.context,
    )
    if namespace and (command := context.invoked_subcommand) in NO_CLUSTER_COMMANDS:
        raise ClusterError(f"`{command}` only supports the local platform; on Kubernetes use helm and kubectl")
    is_local_status = context.invoked_subcommand == "status" and settings.namespace is None
    if context.invoked_subcommand in LOCAL_COMMANDS or is_local_status:
        isolate(os.environ)
    context.obj = settings


@app.command()
def up() -> None:
    """Start the local platform and wait until all servers are ready."""
    home, began = open_home(), time.monotonic()
    if platform.up(home, console):
        console.print(f"the platform is up after {time.monotonic() - began:.1f} s", highlight=False)
    else:
        console.print("the platform is already up")


@app.command()
def down() -> None:
    """Stop the local platform; its data is kept."""
    if platform.down(open_home(), console):
        console.print("the platform is down")
    else:
        console.print("the platform is not up")


@app.command()
def status(context: typer.Context) -> None:
    """Show the status of all servers; exit status 1 unless all are ready."""
    cluster = cluster_settings(context)
    if cluster.namespace is not None:
        # Imported here because the Kubernetes client takes half a second to import.
        from member_analyzer.cluster.status import show_status

        ready = show_status(cluster, cluster.namespace, console)
    else:
        ready = show_local_status()
    if not ready:
        raise typer.Exit(1)


def show_local_status() -> bool:
    """Show the local servers; return whether all are ready."""
    columns = ("server", "state", "pid", "up for", "address", "memory", "restarts")
    table = Table(*(Column(name, overflow="fold") for name in columns), box=SIMPLE)
    servers = platform.list_status(open_home())
    for server in servers:
        uptime = str(server.uptime).split(".")[0] if server.uptime else ""
        memory = f"{server.memory / 2**20:.0f} MB" if server.memory else ""
        state = "ready" if server.ready else f"{server.state}: {server.error}".removesuffix(": ")
        table.add_row(
            server.name, state, str(server.pid or ""), uptime, server.address, memory, describe_restarts(server)
        )
    table.caption = f"{sum(server.memory for server in servers) / 2**20:.0f} MB in total"
    console.print(table)
    for server in servers:
        if server.restarts is not None and (server.restarts.is_loop or not server.ready):
            console.print(f"{server.name}: {sanitize(server.restarts.message)}", highlight=False, soft_wrap=True)
    return all(server.ready for server in servers)


def describe_restarts(server: platform.ServerStatus) -> str:
    """The number of recent restarts."""
    return str(server.restarts.count) if server.restarts else ""


@app.command()
def preflight(
    context: typer.Context,
    namespace: Annotated[str | None, typer.Option(help="Namespace to install the platform in.")] = None,
) -> None:
    """Check a cluster's prerequisites before installing the charts; exit status 1 if any is missing."""
    from member_analyzer.cluster.preflight import show_preflight

    cluster = cluster_settings(context)
    if not show_preflight(cluster, namespace or cluster.namespace or DEFAULT_NAMESPACE, console):
        raise typer.Exit(1)


@app.command()
def logs(
    name: Annotated[str, typer.Argument(help="Name of a server, as shown by `status`.")],
    follow: Annotated[bool, typer.Option("--follow", "-f", help="Print new lines as they are written.")] = False,
    lines: Annotated[int, typer.Option("--lines", "-n", help="Number of lines to show.")] = 100,
) -> None:
    """Show the last lines of a server's log."""
    home = open_home()
    names = sorted(path.stem for path in home.logs.glob("*.log"))
    if name not in names:
        raise LocalError(f"there is no log of {name!r}; available logs: {', '.join(names) or 'none yet'}")
    options = ["-F"] if follow else []
    command = ["tail", "-n", str(lines), *options, str(home.logs / f"{name}.log")]
    if not sys.stdout.isatty():
        subprocess.run(command, check=False)
        return
    with subprocess.Popen(command, stdout=subprocess.PIPE, encoding="utf-8", errors="replace") as tail:
        for line in tail.stdout or ():
            print(sanitize_line(line), flush=True)


@app.command()
def reset(yes: Annotated[bool, typer.Option("--yes", help="Do not ask for confirmation.")] = False) -> None:
    """Stop the local platform and delete its data, logs and passwords; downloads are kept."""
    home = open_home()
    if not yes:
        typer.confirm(f"Delete all data and passwords in {home.path}?", abort=True)
    platform.reset(home, console)
    console.print(f"deleted the data and passwords in {home.path}")


@app.command()
def run(
    count: Annotated[int, typer.Option(min=1, help="Number of members to fetch from the user API.")] = 5000,
    once: Annotated[bool, typer.Option("--once", help="Exit after showing the results.")] = False,
) -> None:
    """Start the local platform, ingest members, show the results, and serve until Ctrl-C."""
    if not run_platform(open_home(), console, count=count, once=once):
        raise typer.Exit(1)


@app.command()
def provision(
    steps: Annotated[list[Step] | None, typer.Argument(help="Steps to run; by default all except the roles.")] = None,
    wait: Annotated[int, typer.Option(min=0, help="Seconds to wait for servers that are starting.")] = 0,
) -> None:
    """Create the landing tables, topics, schemas and Cassandra tables on the servers in the environment; idempotent."""
    configure_logs()
    run_provisioning(os.environ, TOPICS.values(), steps or WITHOUT_ROLES, wait=wait)


USER_ERRORS = (
    *(LocalError, ClusterError, AirflowError, TopicError, SchemaRefusedError, SchemaMissingError),
    *(PublishError, UnknownRecordError, LandingRolesError, SpoolError),
)


def main() -> None:
    """Run the command; print expected errors as one line, without a traceback."""
    # The commands print their own progress.
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(logging.WARNING))
    try:
        # Also when it runs as a module.
        app(prog_name="member-analyzer")
    except ValidationError as error:
        print_error(explain_settings(error))
        sys.exit(1)
    except USER_ERRORS as error:
        print_error(str(error))
        sys.exit(1)
    except CONNECTION_ERRORS as error:
        cause = " ".join(str(error).split())[:300] or type(error).__name__
        print_error(f"A server is unavailable: {cause}. Check `member-analyzer status`, then try again.")
        sys.exit(1)


def print_error(error: str) -> None:
    """Print an error message to standard error."""
    text = "\n".join(map(sanitize, error.split("\n")))
    Console(stderr=True).print(f"[bold red]error:[/] {text}", highlight=False, soft_wrap=True)


if __name__ == "__main__":
    main()
