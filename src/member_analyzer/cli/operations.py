"""The commands for operating a platform: erase, rebuild, audit, dags."""

import time
from contextlib import ExitStack
from datetime import UTC, datetime
from typing import Annotated

import typer
from rich.box import SIMPLE
from rich.console import Console
from rich.table import Table
from tenacity import Retrying, retry_if_result, stop_after_delay, wait_fixed

from member_analyzer.cli.rejected import StreamOption, choose_topic
from member_analyzer.cli.servers import Servers, is_local, remote_environment, servers
from member_analyzer.cli.terminal import sanitize
from member_analyzer.deadletters.retention import explain_retention
from member_analyzer.landing.erasure import erase_records
from member_analyzer.local.environment import airflow_api_environment
from member_analyzer.local.home import open_home
from member_analyzer.local.supervision import restart_now
from member_analyzer.operations.airflow import AirflowClient
from member_analyzer.operations.audit import Report, Sources, count_waiting, take_audit
from member_analyzer.operations.rebuild import has_counted, has_rebuilt, request_rebuild, request_topic_rebuild
from member_analyzer.settings import (
    AirflowSettings,
    RejectedSettings,
)
from member_analyzer.streams.interactions.definition import INTERACTIONS
from member_analyzer.streams.members.definition import MEMBERS

app = typer.Typer()
console = Console()


@app.command()
def erase(
    context: typer.Context,
    ids: Annotated[list[str], typer.Argument(help="Ids of the members.", metavar="ID...")],
) -> None:
    """Erase members from landing, created_users and every count. Their ids cannot be used again.

    Their interactions are erased as well, and later ones are not stored. Events expire from the topic users after its
    retention of a week, from the topic interactions after 30 days, and rejected records after 30 days by default.
    """
    with servers(context) as platform:
        erasure = erase_records(platform.landing, platform.definition, ids)
        if erasure.erased or erasure.erased_before:
            # If Kafka is unavailable, the erasure stays in the outbox for the next publisher.
            platform.publish()
        for name in erasure.erased:
            console.print(f"{sanitize(name)} is erased", highlight=False)
        for name in erasure.erased_before:
            console.print(f"{sanitize(name)} had already been erased", highlight=False)
        for name in erasure.unknown:
            console.print(f"[red]there is no member {sanitize(name)}[/]", highlight=False)
        if erasure.erased or erasure.erased_before:
            console.print(
                explain_retention(platform.definition, RejectedSettings.of(platform.environment)), highlight=False
            )
    if erasure.unknown:
        raise typer.Exit(1)


@app.command()
def rebuild(
    context: typer.Context,
    wait: Annotated[int, typer.Option(min=0, help="Seconds to wait until the tables are complete.")] = 900,
    stream: StreamOption = MEMBERS.name,
) -> None:
    """Rebuild the tables, after the checkpoint or Cassandra was lost.

    The members are counted again from landing.users, the interactions from the topic: what has expired from it is lost.
    If no interactions are counted, as after the loss of Cassandra, both are rebuilt.
    """
    began = time.monotonic()
    with servers(context) as platform:
        if choose_topic(stream).is_direct:
            rebuild_interactions(platform, wait, restarts=is_local(context))
            return
        if not has_counted(platform.interaction_tables):
            # Nothing would be lost, and both streams run in one application: if Cassandra or the checkpoint was lost,
            # the other one would refuse to start as well.
            request_topic_rebuild(platform.topics, platform.interaction_tables, INTERACTIONS.topic, datetime.now(UTC))
        request = request_rebuild(platform.landing, platform.topics, platform.tables, datetime.now(UTC))
        console.print(f"publishing {request.records:,} members again to rebuild the tables")
        platform.publish()
        if is_local(context):
            restart_now(open_home(), "stream")
        report = wait_for_consistency(platform, wait, request.generation.name)
    print_report(report)
    console.print(
        f"rebuilt in {time.monotonic() - began:.0f} s"
        if not report.disagreements
        else "the rebuild is not complete; the log of the stream shows whether the interactions must be rebuilt first, "
        f"with `member-analyzer rebuild --stream {INTERACTIONS.name}`"
    )
    if report.disagreements:
        raise typer.Exit(1)


@app.command()
def audit(
    context: typer.Context,
    wait: Annotated[int, typer.Option(min=0, help="Seconds to wait for events in flight.")] = 60,
) -> None:
    """Compare the members at every station; exit status 1 if they do not agree."""
    with servers(context) as platform:
        report = wait_for_consistency(platform, wait)
    print_report(report)
    if report.disagreements:
        raise typer.Exit(1)


@app.command()
def dags(
    context: typer.Context,
    names: Annotated[list[str], typer.Argument(help="Names of the DAGs.", metavar="DAG...")],
    wait: Annotated[int, typer.Option(min=0, help="Seconds to wait until Airflow has parsed their files.")] = 120,
) -> None:
    """Log in to Airflow and check that it has these DAGs."""
    with ExitStack() as stack:
        local = is_local(context, "AIRFLOW_API_PASSWORD")
        environment = airflow_api_environment(open_home()) if local else remote_environment(context, stack)
        airflow = stack.enter_context(AirflowClient.log_in(AirflowSettings.of(environment)))
        airflow.wait_for_dags(*names, seconds=wait)
    console.print(f"Airflow has {', '.join(names)}.", highlight=False)


def rebuild_interactions(platform: Servers, seconds: float, *, restarts: bool) -> None:
    """Count the topic of the interactions again; exit with status 1 if that takes longer than the given seconds."""
    began, topic, tables = time.monotonic(), INTERACTIONS.topic, platform.interaction_tables
    generation = request_topic_rebuild(platform.topics, tables, topic, datetime.now(UTC))
    if restarts:
        restart_now(open_home(), "stream")
    console.print(f"counting the records of the topic {topic.name} again")
    retrying = Retrying(
        stop=stop_after_delay(seconds),
        wait=wait_fixed(1),
        retry=retry_if_result(lambda is_complete: not is_complete),
        retry_error_callback=lambda _: False,
    )
    if not retrying(lambda: has_rebuilt(platform.topics, tables, topic, generation)):
        console.print(f"the rebuild is not complete after {seconds:.0f} s; it continues while the stream runs")
        raise typer.Exit(1)
    console.print(f"rebuilt in {time.monotonic() - began:.0f} s")


def wait_for_consistency(platform: Servers, seconds: float, generation: str | None = None) -> Report:
    """The audit once everything agrees, or its result after the given seconds."""

    def attempt() -> Report:
        sources = platform.sources
        current = sources.tables.read_generations().current.name
        if generation not in (None, current):
            return Report([], [f"The stream has not started the generation {generation} yet; see its log."])
        if waiting := count_waiting(sources):
            return Report([], [f"{waiting:,} events are still in flight."])
        return take_audit(sources)

    retrying = Retrying(
        stop=stop_after_delay(seconds),
        wait=wait_fixed(1),
        retry=retry_if_result(lambda report: bool(report.disagreements)),
        retry_error_callback=lambda state: None,
    )
    return retrying(attempt) or audit_now(platform.sources)


def audit_now(sources: Sources) -> Report:
    """The audit's current result, in which events in flight are a disagreement."""
    report = take_audit(sources)
    if waiting := count_waiting(sources):
        report.disagreements.insert(0, f"{waiting:,} events are still in flight.")
    return report


def print_report(report: Report) -> None:
    """Print the stations as a table, and the disagreements below it."""
    table = Table("station", box=SIMPLE)
    table.add_column("members", justify="right")
    table.add_column("", overflow="fold")
    for station in report.stations:
        table.add_row(station.name, f"{station.records:,}", sanitize(station.note))
    console.print(table)
    if report.disagreements:
        console.print("[bold red]The stations do not agree:[/]")
        for disagreement in report.disagreements:
            console.print(f"  {sanitize(disagreement)}", highlight=False, soft_wrap=True)
    else:
        console.print("[bold green]All stations agree.[/]")
