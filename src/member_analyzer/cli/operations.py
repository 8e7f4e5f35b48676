"""The commands for operating a platform: erase, rejected, keys, rebuild, audit, dags.

They use the platform in the given Kubernetes namespace, otherwise the servers and passwords in the environment,
otherwise the local platform.
"""

import os
import time
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import cached_property
from typing import Annotated

import typer
from rich.box import SIMPLE
from rich.console import Console
from rich.table import Table
from tenacity import Retrying, retry_if_result, stop_after_delay, wait_fixed

from member_analyzer.analysis.connection import connect_cassandra
from member_analyzer.analysis.tables import AnalysisTables
from member_analyzer.cli.terminal import sanitize
from member_analyzer.deadletters.rejected import RejectedRecord, find_rejected, read_rejected
from member_analyzer.deadletters.replay import ReplayServers
from member_analyzer.deadletters.replay import replay as replay_records
from member_analyzer.deadletters.retention import explain_retention
from member_analyzer.kafka.reader import TopicReader, open_topic_reader
from member_analyzer.kafka.registry import registry_client, value_reader
from member_analyzer.landing.api_keys import Right, create_key, read_keys, revoke_key
from member_analyzer.landing.connection import Connection, connect_landing
from member_analyzer.landing.counters import count_rejected, count_unpublishable
from member_analyzer.landing.erasure import erase_records
from member_analyzer.landing.outbox import read_unpublishable
from member_analyzer.local.environment import airflow_api_environment, program_environment
from member_analyzer.local.home import open_home
from member_analyzer.local.isolation import isolate
from member_analyzer.local.supervision import restart_now
from member_analyzer.operations.airflow import AirflowClient
from member_analyzer.operations.audit import Report, Sources, count_waiting, take_audit
from member_analyzer.operations.rebuild import request_rebuild
from member_analyzer.publishing.producer import RecordProducer
from member_analyzer.publishing.publisher import EventProducer, publish_unpublished
from member_analyzer.records.rejection import Reason
from member_analyzer.records.wire import UnreadableValueError, ValueReader
from member_analyzer.settings import (
    AirflowSettings,
    CassandraSettings,
    ClusterSettings,
    KafkaSettings,
    LandingSettings,
    RegistrySettings,
    RejectedSettings,
)
from member_analyzer.streams.definition import StreamDefinition
from member_analyzer.streams.members.definition import MEMBERS

app = typer.Typer()
rejected_app = typer.Typer(no_args_is_help=True, help="List, show and replay rejected records.")
app.add_typer(rejected_app, name="rejected")
keys_app = typer.Typer(no_args_is_help=True, help="Create, list and revoke the collector's API keys.")
app.add_typer(keys_app, name="keys")
console = Console()

ReasonOption = Annotated[Reason | None, typer.Option("--reason", help="Only records rejected for this reason.")]


@dataclass
class Servers:
    """The platform's servers, connected lazily."""

    environment: Mapping[str, str]
    stack: ExitStack
    definition: StreamDefinition = MEMBERS

    @cached_property
    def landing(self) -> Connection:
        return self.stack.enter_context(connect_landing(LandingSettings.of(self.environment)))

    @cached_property
    def topics(self) -> TopicReader:
        return self.stack.enter_context(open_topic_reader(KafkaSettings.of(self.environment)))

    @cached_property
    def producer(self) -> RecordProducer:
        return RecordProducer(KafkaSettings.of(self.environment), self.definition.topic)

    @cached_property
    def tables(self) -> AnalysisTables:
        settings = CassandraSettings.of(self.environment)
        session = self.stack.enter_context(connect_cassandra(settings))
        return AnalysisTables(session, settings.keyspace, self.definition)

    @property
    def values(self) -> ValueReader:
        """A reader of the topic's values, with the registry's current schemas."""
        return value_reader(registry_client(RegistrySettings.of(self.environment)), self.definition)

    @property
    def sources(self) -> Sources:
        return Sources(self.landing, self.topics, self.tables, self.values)

    @property
    def replay_servers(self) -> ReplayServers:
        return ReplayServers(self.topics, self.landing, self.definition, self.producer, self.values, self.publish)

    def publish(self) -> int:
        """Publish what has landed; return the number of events."""
        kafka, registry = KafkaSettings.of(self.environment), RegistrySettings.of(self.environment)
        return publish_unpublished(self.landing, EventProducer(self.definition, kafka, registry))


def cluster_settings(context: typer.Context) -> ClusterSettings:
    """The cluster selected on the command line; its namespace is None for the local platform."""
    return context.find_object(ClusterSettings) or ClusterSettings()


def is_local(context: typer.Context, password: str = "LANDING_PASSWORD") -> bool:  # noqa: S107
    """Whether the command uses the local platform: neither a namespace nor the environment specifies another one."""
    return cluster_settings(context).namespace is None and password not in os.environ


def remote_environment(context: typer.Context, stack: ExitStack) -> Mapping[str, str]:
    """The variables of the platform in the selected namespace, otherwise this process's environment."""
    cluster = cluster_settings(context)
    if cluster.namespace is None:
        return os.environ
    # Imported here because the Kubernetes client takes half a second to import.
    from member_analyzer.cluster.connection import connect_cluster
    from member_analyzer.cluster.environment import ClusterEnvironment

    return ClusterEnvironment(connect_cluster(cluster, cluster.namespace), stack)


@contextmanager
def servers(context: typer.Context) -> Iterator[Servers]:
    """The servers of the selected platform."""
    with ExitStack() as stack:
        if is_local(context):
            isolate(os.environ)
            environment: Mapping[str, str] = program_environment("operator", open_home())
        else:
            environment = remote_environment(context, stack)
        yield Servers(environment, stack)


@app.command()
def erase(
    context: typer.Context,
    ids: Annotated[list[str], typer.Argument(help="Ids of the members.", metavar="ID...")],
) -> None:
    """Erase members from landing, created_users and every count. Their ids cannot be used again.

    Their events expire from the topic users after its retention of a week, and their rejected records from
    users_rejected after its retention of 30 days by default.
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


@rejected_app.command("list")
def list_rejected(
    context: typer.Context,
    reason: ReasonOption = None,
    limit: Annotated[int, typer.Option(min=0, help="Number of records to list, newest first.")] = 20,
    everything: Annotated[bool, typer.Option("--all", help="Include replayed records.")] = False,
) -> None:
    """List rejected records without their contents, and their number by reason."""
    with servers(context) as platform:
        every = [
            one for one in read_rejected(platform.topics, platform.landing, platform.definition) if not one.is_duplicate
        ]
        unlanded = count_rejected(platform.landing, platform.definition)
        unpublishable = count_unpublishable(platform.landing, platform.definition)
        stuck = (
            read_unpublishable(platform.landing, platform.definition, limit)
            if reason in (None, Reason.UNPROCESSABLE)
            else []
        )
    records = [one for one in every if reason in (None, one.reason) and (everything or not one.is_replayed)]
    table = Table(box=SIMPLE)
    # Never wrapped, so that it can be copied as an argument of `show` or `replay`.
    table.add_column("record", no_wrap=True)
    for column in ("reason", "rejected at", "message"):
        table.add_column(column, overflow="fold")
    for one in sorted(records, key=lambda record: record.at)[max(0, len(records) - limit) :]:
        table.add_row(*map(sanitize, (one.origin, one.reason, one.at, one.message)))
    for key, rejection, at in stuck:
        texts = (f"landing.users {key}", rejection.reason, f"{at:%Y-%m-%d %H:%M:%S}", rejection.message)
        table.add_row(*map(sanitize, texts))
    console.print(table)
    reasons = Table("reason", box=SIMPLE)
    for column in ("users_rejected", "replayed", "before landing", "not publishable"):
        reasons.add_column(column, justify="right")
    for name in sorted({one.reason for one in every} | unlanded.keys() | unpublishable.keys()):
        own = [one.is_replayed for one in every if one.reason == name]
        counts = (own.count(False), own.count(True), unlanded.get(name, 0), unpublishable.get(name, 0))
        reasons.add_row(sanitize(name), *(f"{one:,}" for one in counts))
    console.print(reasons)


@rejected_app.command()
def show(
    context: typer.Context,
    record: Annotated[str, typer.Argument(help="A record as shown by `list`, for example users:3:1042.")],
) -> None:
    """Show one rejected record with its contents, which may include personal data."""
    with servers(context) as platform:
        found = find_rejected(platform.topics, platform.landing, platform.definition, record)
        for name, text in describe_rejected(found, platform.values):
            console.print(f"[bold]{name:>10}[/]  {sanitize(text)}", highlight=False, soft_wrap=True)


def describe_rejected(record: RejectedRecord, values: ValueReader) -> Iterator[tuple[str, str]]:
    """The lines of `show`: metadata, headers, fields and raw bytes."""
    yield "record", record.origin
    yield "reason", record.reason
    yield "message", record.message
    yield "at", record.at
    yield "replayed", "yes" if record.is_replayed else "no"
    yield "key", repr(record.key)
    for name, value in record.headers:
        yield "header", f"{name} = {value!r}"
    try:
        fields = {name: value for name, value in values.read(record.value).items() if value is not None}
        for name, value in fields.items():
            yield "field", f"{name} = {value}"
    except UnreadableValueError as error:
        yield "unreadable", str(error)
    yield "value", repr(record.value)


@rejected_app.command()
def replay(
    context: typer.Context,
    records: Annotated[list[str] | None, typer.Argument(help="Only these records, as shown by `list`.")] = None,
    reason: ReasonOption = None,
) -> None:
    """Replay rejected records after their cause is fixed; each is accepted or rejected again."""
    with servers(context) as platform:
        replayed = replay_records(platform.replay_servers, reason=reason, origins=records or ())
        skipped = f"; skipped {replayed.erased:,} of erased members" if replayed.erased else ""
        console.print(f"replayed {replayed.sent:,} records of users_rejected{skipped}")
        if replayed.unsendable:
            console.print(
                f"{replayed.unsendable:,} records remain rejected: Kafka does not accept them, see the log above"
            )
        if not records:
            console.print(f"{replayed.landed:,} users that were rejected before landing are now accepted")


@keys_app.command()
def create(
    context: typer.Context,
    name: Annotated[str, typer.Argument(help="Name of the key: a-z, 0-9 and -.")],
    rights: Annotated[str, typer.Option(help="Comma-separated rights of the key: write, read, erase.")],
) -> None:
    """Create an API key for the collector and print it; it cannot be shown again."""
    requested = {one.strip() for one in rights.split(",")}
    if unknown := requested - set(Right):
        raise typer.BadParameter(f"unknown right {', '.join(sorted(unknown))}; the rights are {', '.join(Right)}")
    with servers(context) as platform:
        try:
            key = create_key(platform.landing, name, [Right(one) for one in requested])
        except ValueError as error:
            raise typer.BadParameter(str(error)) from error
    # Unformatted, for use in scripts.
    typer.echo(key)


@keys_app.command("list")
def list_keys(context: typer.Context) -> None:
    """List all API keys, including revoked ones, without their secrets."""
    with servers(context) as platform:
        keys = read_keys(platform.landing)
    table = Table(box=SIMPLE)
    for column in ("key", "rights", "created at", "revoked at"):
        table.add_column(column, overflow="fold")
    for one in keys.values():
        revoked_at = f"{one.revoked_at:%Y-%m-%d %H:%M:%S}" if one.revoked_at else ""
        table.add_row(one.name, ", ".join(sorted(one.rights)), f"{one.created_at:%Y-%m-%d %H:%M:%S}", revoked_at)
    console.print(table)


@keys_app.command()
def revoke(context: typer.Context, name: Annotated[str, typer.Argument(help="Name of the key.")]) -> None:
    """Revoke an API key permanently."""
    with servers(context) as platform:
        is_revoked = revoke_key(platform.landing, name)
    if not is_revoked:
        console.print(f"[red]there is no active key {sanitize(name)}[/]", highlight=False)
        raise typer.Exit(1)
    console.print(f"the key {sanitize(name)} is revoked", highlight=False)


@app.command()
def rebuild(
    context: typer.Context,
    wait: Annotated[int, typer.Option(min=0, help="Seconds to wait until the tables are complete.")] = 900,
) -> None:
    """Rebuild the tables from landing.users, after the checkpoint or Cassandra was lost."""
    began = time.monotonic()
    with servers(context) as platform:
        request = request_rebuild(platform.landing, platform.topics, platform.tables, datetime.now(UTC))
        console.print(f"publishing {request.records:,} members again to rebuild the tables")
        platform.publish()
        if is_local(context):
            restart_now(open_home(), "stream")
        report = wait_for_consistency(platform, wait, request.generation.name)
    print_report(report)
    console.print(
        f"rebuilt in {time.monotonic() - began:.0f} s" if not report.disagreements else "the rebuild is not complete"
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
