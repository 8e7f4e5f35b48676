"""The commands for rejected records."""

from collections.abc import Collection, Iterator, Mapping
from datetime import UTC, datetime
from typing import Annotated
from zoneinfo import ZoneInfo

import typer
from rich.box import SIMPLE
from rich.console import Console
from rich.table import Table

from member_analyzer.cli.servers import Servers, servers
from member_analyzer.cli.terminal import sanitize
from member_analyzer.deadletters.items import replay_items
from member_analyzer.deadletters.rejected import RejectedRecord, find_rejected, read_rejected
from member_analyzer.deadletters.replay import replay as replay_records
from member_analyzer.kafka.registry import find_schema_id, registry_client
from member_analyzer.landing.counters import count_rejected, count_unpublishable
from member_analyzer.landing.outbox import read_unpublishable
from member_analyzer.landing.sources import read_sources
from member_analyzer.publishing.producer import OutgoingRecord
from member_analyzer.publishing.topic_encoder import TopicEncoder
from member_analyzer.records.rejection import Reason, Rejection
from member_analyzer.records.wire import UnreadableValueError, ValueReader
from member_analyzer.settings import (
    RegistrySettings,
)
from member_analyzer.streams.catalog import TOPICS, find_topic
from member_analyzer.streams.definition import StreamDefinition, TopicDefinition
from member_analyzer.streams.interactions.definition import INTERACTIONS
from member_analyzer.streams.interactions.rejected_item import read_rejected_item
from member_analyzer.streams.interactions.user_agents import classify_user_agent
from member_analyzer.streams.members.definition import MEMBERS

app = typer.Typer(no_args_is_help=True, help="List, show and replay rejected records.")
console = Console()

StreamOption = Annotated[str, typer.Option("--stream", help=f"One of: {', '.join(TOPICS)}.")]
ReasonOption = Annotated[Reason | None, typer.Option("--reason", help="Only records rejected for this reason.")]


@app.command("list")
def list_rejected(
    context: typer.Context,
    stream: StreamOption = MEMBERS.name,
    reason: ReasonOption = None,
    limit: Annotated[int, typer.Option(min=0, help="Number of records to list, newest first.")] = 20,
    everything: Annotated[bool, typer.Option("--all", help="Include replayed records.")] = False,
) -> None:
    """List rejected records without their contents, and their number by reason."""
    definition = choose_topic(stream)
    unlanded: Mapping[str, int] = {}
    unpublishable: Mapping[str, int] = {}
    stuck: list[tuple[str, Rejection, datetime]] = []
    with servers(context) as platform:
        every = [one for one in read_rejected(platform.topics, platform.landing, definition) if not one.is_duplicate]
        if isinstance(definition, StreamDefinition):
            unlanded = count_rejected(platform.landing, definition)
            unpublishable = count_unpublishable(platform.landing, definition)
            if reason in (None, Reason.UNPROCESSABLE):
                stuck = read_unpublishable(platform.landing, definition, limit)
    records = [one for one in every if reason in (None, one.reason) and (everything or not one.is_replayed)]
    table = Table(box=SIMPLE)
    # Never wrapped, so that it can be copied as an argument of `show` or `replay`.
    table.add_column("record", no_wrap=True)
    for column in ("reason", "rejected at", "message"):
        table.add_column(column, overflow="fold")
    for one in sorted(records, key=lambda record: record.at)[max(0, len(records) - limit) :]:
        table.add_row(*map(sanitize, (one.origin, one.reason, one.at, one.message)))
    for key, rejection, at in stuck:
        texts = (f"{MEMBERS.landing.records} {key}", rejection.reason, f"{at:%Y-%m-%d %H:%M:%S}", rejection.message)
        table.add_row(*map(sanitize, texts))
    console.print(table)
    reasons = Table("reason", box=SIMPLE)
    for column in (definition.dead_letter_topic.name, "replayed", "before landing", "not publishable"):
        reasons.add_column(column, justify="right")
    for name in sorted({one.reason for one in every} | unlanded.keys() | unpublishable.keys()):
        own = [one.is_replayed for one in every if one.reason == name]
        counts = (own.count(False), own.count(True), unlanded.get(name, 0), unpublishable.get(name, 0))
        reasons.add_row(sanitize(name), *(f"{one:,}" for one in counts))
    console.print(reasons)


@app.command()
def show(
    context: typer.Context,
    record: Annotated[str, typer.Argument(help="A record as shown by `list`, for example users:3:1042.")],
    stream: StreamOption = MEMBERS.name,
) -> None:
    """Show one rejected record with its contents, which may include personal data."""
    definition = choose_topic(stream)
    with servers(context) as platform:
        found = find_rejected(platform.topics, platform.landing, definition, record)
        for name, text in describe_rejected(found, platform.read_values(definition)):
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


@app.command()
def replay(
    context: typer.Context,
    records: Annotated[list[str] | None, typer.Argument(help="Only these records, as shown by `list`.")] = None,
    stream: StreamOption = MEMBERS.name,
    reason: ReasonOption = None,
) -> None:
    """Replay rejected records after their cause is fixed; each is accepted or rejected again."""
    definition = choose_topic(stream)
    with servers(context) as platform:
        if definition.is_direct:
            replay_rejected_items(platform, reason, records or ())
            return
        replayed = replay_records(platform.replay_servers, reason=reason, origins=records or ())
        skipped = f"; skipped {replayed.erased:,} of erased members" if replayed.erased else ""
        console.print(f"replayed {replayed.sent:,} records of users_rejected{skipped}")
        if replayed.unsendable:
            console.print(
                f"{replayed.unsendable:,} records remain rejected: Kafka does not accept them, see the log above"
            )
        if not records:
            console.print(f"{replayed.landed:,} users that were rejected before landing are now accepted")


def replay_rejected_items(platform: Servers, reason: Reason | None, origins: Collection[str]) -> None:
    """Replay items that the collector rejected."""
    registry = registry_client(RegistrySettings.of(platform.environment))
    encoder = TopicEncoder(INTERACTIONS, find_schema_id(registry, INTERACTIONS.subject, INTERACTIONS.schema))
    zones = {source.name: ZoneInfo(source.time_zone) for source in read_sources(platform.landing).values()}

    def encode(rejected: RejectedRecord) -> OutgoingRecord:
        interaction = read_rejected_item(
            rejected.value,
            source=rejected.source or "",
            zone=zones.get(rejected.source or "", UTC),
            received_at=datetime.fromisoformat(rejected.at),
            classify=classify_user_agent,
        )
        return encoder.encode(interaction).record

    producer = platform.make_producer(INTERACTIONS)
    topics, landing = platform.topics, platform.landing
    replayed = replay_items(topics, landing, INTERACTIONS, producer, encode, reason=reason, origins=origins)
    console.print(f"replayed {replayed.sent:,} records of {INTERACTIONS.dead_letter_topic.name}")
    if replayed.rejected:
        console.print(f"{replayed.rejected:,} records still break a rule")


def choose_topic(stream: str) -> TopicDefinition:
    """Return the definition that a command was given. Raises BadParameter if it is unknown."""
    try:
        return find_topic(stream)
    except LookupError as error:
        raise typer.BadParameter(str(error)) from error
