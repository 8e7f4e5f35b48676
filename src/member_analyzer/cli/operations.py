"""The commands of whoever looks after a platform: erase, rejected, keys, rebuild, audit.

They go to the platform in a namespace on Kubernetes where one is given; otherwise to the servers that the environment
names, with its passwords; where it names none, to this machine's platform.
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
from member_analyzer.cli.terminal import shown
from member_analyzer.deadletters.rejected import RejectedRecord, find_rejected, read_rejected
from member_analyzer.deadletters.replay import ReplayServers
from member_analyzer.deadletters.replay import replay as send_again
from member_analyzer.deadletters.retention import explain_retention
from member_analyzer.kafka.reader import TopicReader, open_topic_reader
from member_analyzer.kafka.registry import USERS_VALUE, registry_client, subject_schemas
from member_analyzer.landing.api_keys import Right, create_key, read_keys, revoke_key
from member_analyzer.landing.connection import Connection, connect_landing
from member_analyzer.landing.counters import count_refused, count_unpublishable
from member_analyzer.landing.erasure import erase_members
from member_analyzer.landing.outbox import read_unpublishable
from member_analyzer.local.environment import airflow_api_environment, program_environment
from member_analyzer.local.home import open_home
from member_analyzer.local.isolation import isolate
from member_analyzer.local.supervision import hasten_process
from member_analyzer.operations.airflow import AirflowClient
from member_analyzer.operations.audit import Report, Sources, count_waiting, take_audit
from member_analyzer.operations.rebuild import request_rebuild
from member_analyzer.publishing.producer import Outbox
from member_analyzer.publishing.publisher import MemberProducer, publish_unpublished
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
from member_analyzer.streams.members.record import MEMBER, avro_schema

app = typer.Typer()
rejected_app = typer.Typer(no_args_is_help=True, help="List, show and replay what was rejected.")
app.add_typer(rejected_app, name="rejected")
keys_app = typer.Typer(no_args_is_help=True, help="Make, list and revoke the API keys of the collector.")
app.add_typer(keys_app, name="keys")
console = Console()

ReasonOption = Annotated[Reason | None, typer.Option("--reason", help="Only what was rejected for this reason.")]


@dataclass
class Servers:
    """The platform's servers, each connected to when it is first needed."""

    environment: Mapping[str, str]
    stack: ExitStack

    @cached_property
    def landing(self) -> Connection:
        """PostgreSQL."""
        return self.stack.enter_context(connect_landing(LandingSettings.of(self.environment)))

    @cached_property
    def topics(self) -> TopicReader:
        """Kafka, to read."""
        return self.stack.enter_context(open_topic_reader(KafkaSettings.of(self.environment)))

    @cached_property
    def outbox(self) -> Outbox:
        """Kafka, to write."""
        return Outbox(KafkaSettings.of(self.environment))

    @cached_property
    def tables(self) -> AnalysisTables:
        """Cassandra."""
        settings = CassandraSettings.of(self.environment)
        session = self.stack.enter_context(connect_cassandra(settings))
        return AnalysisTables(session, settings.keyspace, MEMBER.name)

    @property
    def values(self) -> ValueReader:
        """What reads the topic's values, with the schemas that the registry has now."""
        registry = registry_client(RegistrySettings.of(self.environment))
        return ValueReader(subject_schemas(registry, USERS_VALUE), avro_schema())

    @property
    def sources(self) -> Sources:
        """All that an audit looks at."""
        return Sources(self.landing, self.topics, self.tables, self.values)

    @property
    def replay_servers(self) -> ReplayServers:
        """What a replay reads and writes."""
        return ReplayServers(self.topics, self.landing, self.outbox, self.values, self.publish)

    def publish(self) -> int:
        """Publish what is unpublished; gives the number of events."""
        producer = MemberProducer(KafkaSettings.of(self.environment), RegistrySettings.of(self.environment))
        return publish_unpublished(self.landing, producer)


def chosen_cluster(context: typer.Context) -> ClusterSettings:
    """The cluster that the command is for; one without a namespace means none."""
    return context.find_object(ClusterSettings) or ClusterSettings()


def is_local(context: typer.Context, password: str = "LANDING_PASSWORD") -> bool:  # noqa: S107
    """Whether the servers are this machine's, because neither a namespace nor the environment names others."""
    return chosen_cluster(context).namespace is None and password not in os.environ


def named_environment(context: typer.Context, stack: ExitStack) -> Mapping[str, str]:
    """The variables of the servers that the namespace, or else this environment, names."""
    cluster = chosen_cluster(context)
    if cluster.namespace is None:
        return os.environ
    # The client of Kubernetes takes half a second to import, which the commands for this machine do not pay.
    from member_analyzer.cluster.connection import connect_cluster
    from member_analyzer.cluster.environment import ClusterEnvironment

    return ClusterEnvironment(connect_cluster(cluster, cluster.namespace), stack)


@contextmanager
def servers(context: typer.Context) -> Iterator[Servers]:
    """The servers of the platform that the command is for."""
    with ExitStack() as stack:
        if is_local(context):
            isolate(os.environ)
            environment: Mapping[str, str] = program_environment("operator", open_home())
        else:
            environment = named_environment(context, stack)
        yield Servers(environment, stack)


@app.command()
def erase(
    context: typer.Context,
    ids: Annotated[list[str], typer.Argument(help="The members' ids.", metavar="ID...")],
) -> None:
    """Erase members: out of landing, created_users and every count. Their ids cannot come back.

    The topic users deletes their events after its retention of a week, and users_rejected what the stream rejected of
    them after its own, 30 days unless it is set otherwise.
    """
    with servers(context) as platform:
        erasure = erase_members(platform.landing, ids)
        if erasure.erased or erasure.erased_before:
            # Should Kafka be away, the erasure stays in the queue, for whoever publishes next.
            platform.publish()
        for name in erasure.erased:
            console.print(f"{shown(name)} is erased", highlight=False)
        for name in erasure.erased_before:
            console.print(f"{shown(name)} was erased before", highlight=False)
        for name in erasure.unknown:
            console.print(f"[red]there is no member {shown(name)}[/]", highlight=False)
        if erasure.erased or erasure.erased_before:
            console.print(explain_retention(RejectedSettings.of(platform.environment)), highlight=False)
    if erasure.unknown:
        raise typer.Exit(1)


@rejected_app.command("list")
def list_rejected(
    context: typer.Context,
    reason: ReasonOption = None,
    limit: Annotated[int, typer.Option(min=0, help="How many of the newest records to list.")] = 20,
    everything: Annotated[bool, typer.Option("--all", help="Also those that were replayed.")] = False,
) -> None:
    """List rejected records, without their contents, and how many there are of each reason."""
    with servers(context) as platform:
        every = [one for one in read_rejected(platform.topics, platform.landing) if not one.is_duplicate]
        refused = count_refused(platform.landing)
        unpublishable = count_unpublishable(platform.landing)
        stuck = read_unpublishable(platform.landing, limit) if reason in (None, Reason.UNPROCESSABLE) else []
    records = [one for one in every if reason in (None, one.reason) and (everything or not one.is_replayed)]
    table = Table(box=SIMPLE)
    # Whole, for whoever hands it to `show` or `replay`.
    table.add_column("record", no_wrap=True)
    for column in ("reason", "rejected at", "what is wrong"):
        table.add_column(column, overflow="fold")
    for one in sorted(records, key=lambda record: record.at)[max(0, len(records) - limit) :]:
        table.add_row(*map(shown, (one.origin, one.reason, one.at, one.message)))
    for key, rejection, at in stuck:
        texts = (f"landing.users {key}", rejection.reason, f"{at:%Y-%m-%d %H:%M:%S}", rejection.message)
        table.add_row(*map(shown, texts))
    console.print(table)
    reasons = Table("reason", box=SIMPLE)
    for column in ("users_rejected", "replayed", "before landing", "not publishable"):
        reasons.add_column(column, justify="right")
    for name in sorted({one.reason for one in every} | refused.keys() | unpublishable.keys()):
        own = [one.is_replayed for one in every if one.reason == name]
        counts = (own.count(False), own.count(True), refused.get(name, 0), unpublishable.get(name, 0))
        reasons.add_row(shown(name), *(f"{one:,}" for one in counts))
    console.print(reasons)


@rejected_app.command()
def show(
    context: typer.Context,
    record: Annotated[str, typer.Argument(help="As `list` shows it, for example users:3:1042.")],
) -> None:
    """Show one rejected record as it came, with what may be personal in it."""
    with servers(context) as platform:
        found = find_rejected(platform.topics, platform.landing, record)
        for name, text in describe_rejected(found, platform.values):
            console.print(f"[bold]{name:>10}[/]  {shown(text)}", highlight=False, soft_wrap=True)


def describe_rejected(record: RejectedRecord, values: ValueReader) -> Iterator[tuple[str, str]]:
    """The lines that show a record: what is known of it, and its bytes."""
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
    records: Annotated[list[str] | None, typer.Argument(help="Only these, as `list` shows them.")] = None,
    reason: ReasonOption = None,
) -> None:
    """Send rejected records again, once the cause is fixed; each passes, or is rejected again."""
    with servers(context) as platform:
        replayed = send_again(platform.replay_servers, reason=reason, origins=records or ())
        told = f"{replayed.sent:,} records of users_rejected are sent again"
        console.print(told + (f", {replayed.erased:,} are not: their members are erased" if replayed.erased else ""))
        if replayed.refused:
            console.print(f"{replayed.refused:,} records stay rejected: Kafka does not take them, see the log above")
        if not records:
            console.print(f"{replayed.landed:,} users that were rejected before landing are accepted now")


@keys_app.command()
def create(
    context: typer.Context,
    name: Annotated[str, typer.Argument(help="Whose key it is: a-z, 0-9 and -.")],
    rights: Annotated[str, typer.Option(help="What it may be used for, separated by commas: write, read, erase.")],
) -> None:
    """Make an API key for the collector, and print it: nobody can show it again."""
    wanted = {one.strip() for one in rights.split(",")}
    if unknown := wanted - set(Right):
        raise typer.BadParameter(f"{', '.join(sorted(unknown))} is no right: {', '.join(Right)} are.")
    with servers(context) as platform:
        try:
            key = create_key(platform.landing, name, [Right(one) for one in wanted])
        except ValueError as error:
            raise typer.BadParameter(str(error)) from error
    # As it is, for whoever puts it into a variable.
    typer.echo(key)


@keys_app.command("list")
def list_keys(context: typer.Context) -> None:
    """List the API keys, revoked ones too, without their secrets."""
    with servers(context) as platform:
        keys = read_keys(platform.landing)
    table = Table(box=SIMPLE)
    for column in ("key", "rights", "made at", "revoked at"):
        table.add_column(column, overflow="fold")
    for one in keys.values():
        revoked_at = f"{one.revoked_at:%Y-%m-%d %H:%M:%S}" if one.revoked_at else ""
        table.add_row(one.name, ", ".join(sorted(one.rights)), f"{one.created_at:%Y-%m-%d %H:%M:%S}", revoked_at)
    console.print(table)


@keys_app.command()
def revoke(context: typer.Context, name: Annotated[str, typer.Argument(help="Whose key it is.")]) -> None:
    """Take an API key out of use, for good."""
    with servers(context) as platform:
        is_revoked = revoke_key(platform.landing, name)
    if not is_revoked:
        console.print(f"[red]there is no key {shown(name)} in use[/]", highlight=False)
        raise typer.Exit(1)
    console.print(f"the key {shown(name)} is revoked", highlight=False)


@app.command()
def rebuild(
    context: typer.Context,
    wait: Annotated[int, typer.Option(min=0, help="Seconds to wait for the tables to be whole again.")] = 900,
) -> None:
    """Count everything again from landing.users: after the checkpoint or Cassandra was lost."""
    began = time.monotonic()
    with servers(context) as platform:
        asked = request_rebuild(platform.landing, platform.topics, platform.tables, datetime.now(UTC))
        console.print(f"{asked.members:,} members are published again, and the tables begin anew")
        platform.publish()
        if is_local(context):
            hasten_process(open_home(), "stream")
        report = wait_for_agreement(platform, wait, asked.generation.name)
    print_report(report)
    console.print(f"rebuilt in {time.monotonic() - began:.0f} s" if not report.disagreements else "not rebuilt yet")
    if report.disagreements:
        raise typer.Exit(1)


@app.command()
def audit(
    context: typer.Context,
    wait: Annotated[int, typer.Option(min=0, help="Seconds to wait for members that are on their way.")] = 60,
) -> None:
    """Show what every station holds, side by side; exit status 1 where they do not agree."""
    with servers(context) as platform:
        report = wait_for_agreement(platform, wait)
    print_report(report)
    if report.disagreements:
        raise typer.Exit(1)


@app.command()
def dags(
    context: typer.Context,
    names: Annotated[list[str], typer.Argument(help="The DAGs' names.", metavar="DAG...")],
    wait: Annotated[int, typer.Option(min=0, help="Seconds to wait until Airflow has read their files.")] = 120,
) -> None:
    """Log in to Airflow, and see that it knows these DAGs."""
    with ExitStack() as stack:
        local = is_local(context, "AIRFLOW_API_PASSWORD")
        environment = airflow_api_environment(open_home()) if local else named_environment(context, stack)
        airflow = stack.enter_context(AirflowClient.log_in(AirflowSettings.of(environment)))
        airflow.wait_for_dags(*names, seconds=wait)
    console.print(f"Airflow knows {', '.join(names)}.", highlight=False)


def wait_for_agreement(platform: Servers, seconds: float, generation: str | None = None) -> Report:
    """The audit once everything agrees, or as it is after so many seconds."""

    def look() -> Report:
        sources = platform.sources
        current = sources.tables.read_generations().current.name
        if generation not in (None, current):
            return Report([], [f"The stream has not begun the generation {generation} yet; see its log."])
        if waiting := count_waiting(sources):
            return Report([], [f"{waiting:,} events are still on their way."])
        return take_audit(sources)

    retrying = Retrying(
        stop=stop_after_delay(seconds),
        wait=wait_fixed(1),
        retry=retry_if_result(lambda report: bool(report.disagreements)),
        retry_error_callback=lambda state: None,
    )
    return retrying(look) or report_now(platform.sources)


def report_now(sources: Sources) -> Report:
    """The audit as it is, with what is on its way as a disagreement."""
    report = take_audit(sources)
    if waiting := count_waiting(sources):
        report.disagreements.insert(0, f"{waiting:,} events are still on their way.")
    return report


def print_report(report: Report) -> None:
    """The stations as a table, and the disagreements below it."""
    table = Table("station", box=SIMPLE)
    table.add_column("members", justify="right")
    table.add_column("", overflow="fold")
    for station in report.stations:
        table.add_row(station.name, f"{station.members:,}", shown(station.note))
    console.print(table)
    if report.disagreements:
        console.print("[bold red]The stations do not agree:[/]")
        for disagreement in report.disagreements:
            console.print(f"  {shown(disagreement)}", highlight=False, soft_wrap=True)
    else:
        console.print("[bold green]All stations agree.[/]")
