"""The audit: compares the records of every stage of a stream, and reports discrepancies.

It counts everything in Python, one record at a time, independently of Spark and of the stream's counts. Memory is
bounded: keys are partitioned on disk and compared partition by partition.
"""

from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from datetime import date
from enum import IntEnum
from heapq import nsmallest

from member_analyzer.analysis.counts import Bucket, fold
from member_analyzer.analysis.progress import count_unread
from member_analyzer.analysis.tables import AnalysisTables
from member_analyzer.deadletters.ledger import RejectedLedger
from member_analyzer.deadletters.rejected import read_message
from member_analyzer.kafka.reader import TopicReader
from member_analyzer.landing.connection import Connection
from member_analyzer.landing.counters import count_landed
from member_analyzer.landing.dead_letters import stream_replayed
from member_analyzer.landing.record_keys import stream_keys
from member_analyzer.operations.id_spool import IdSpool
from member_analyzer.records.canonical import canonical
from member_analyzer.records.offsets import Offsets
from member_analyzer.records.rejection import Reason
from member_analyzer.records.rules import broken_rule
from member_analyzer.records.wire import UnreadableValueError, ValueReader
from member_analyzer.streams.definition import StreamDefinition

EXAMPLES = 3
# Valid records can have these reasons: the schema was registered later, or the stream could not process the record.
REASONS_BESIDE_RULES = (Reason.UNKNOWN_SCHEMA, Reason.UNPROCESSABLE)


class Ids(IntEnum):
    """Where an id was found."""

    LANDED = 0
    """In the landing table, and not erased."""
    ERASED = 1
    """In the landing table, and erased."""
    CREATED = 2
    """In a valid created event on the topic, since the generation of the tables began."""
    RETRACTED = 3
    """In an erased event on the topic."""
    STORED = 4
    """In a row in Cassandra, from a record within the topic's retention."""
    STORED_BEFORE = 5
    """In a row in Cassandra, from a record older than the oldest one in the topic."""


@dataclass
class Examples:
    """A count, with the first few names as examples."""

    count: int = 0
    names: list[str] = field(default_factory=list)

    def add(self, *names: str) -> None:
        """Add names that were not added before."""
        self.count += len(names)
        self.names = nsmallest(EXAMPLES, [*self.names, *names])

    def describe(self, what: str) -> Iterator[str]:
        """Yield a message if the count is not 0."""
        if self.count:
            yield f"{self.count:,} {what}, for example {', '.join(self.names)}."


@dataclass
class LandedIds:
    """The numbers of accepted and erased ids in the landing table."""

    accepted: int = 0
    erased: int = 0


@dataclass
class TopicRecords:
    """The records of the topic, compared with the rules and the dead letters."""

    records: int = 0
    unaccounted: Examples = field(default_factory=Examples)
    """Origins of invalid records without a dead letter."""
    wronged: Examples = field(default_factory=Examples)
    """Origins of valid records with a dead letter."""


@dataclass
class Comparison:
    """The result of comparing all ids."""

    on_topic: int = 0
    """Ids with a created event but no erased event on the topic."""
    missing: Examples = field(default_factory=Examples)
    unknown: Examples = field(default_factory=Examples)
    erased: Examples = field(default_factory=Examples)
    lost: Examples = field(default_factory=Examples)


@dataclass(frozen=True)
class Station:
    """One line of the audit: a stage, its number of records, and a note."""

    name: str
    records: int
    note: str = ""


@dataclass(frozen=True)
class Report:
    """The stages, and a message for each discrepancy; no message means that all stages agree."""

    stations: list[Station]
    disagreements: list[str]


@dataclass(frozen=True)
class Sources:
    """The servers that the audit reads."""

    landing: Connection
    topics: TopicReader
    tables: AnalysisTables
    values: ValueReader

    @property
    def definition(self) -> StreamDefinition:
        """The audited stream."""
        return self.tables.definition


def count_waiting(sources: Sources) -> int:
    """Count the events in flight: unpublished ones, and records that the stream has not read."""
    look_from = sources.tables.read_generations().current.look_from
    written = sources.tables.read_progress().written
    unread = count_unread(sources.topics.bounds(sources.definition.topic), written, look_from)
    return count_landed(sources.landing, sources.definition).unpublished + sum(unread.values())


def take_audit(sources: Sources) -> Report:
    """Read and compare everything. Records in flight look like discrepancies: call `count_waiting` first."""
    definition = sources.definition
    landing_table, rows = f"landing.{definition.landing.records}", definition.table
    dead_letters = definition.dead_letter_topic.name
    with IdSpool(len(Ids)) as ids, RejectedLedger() as rejected:
        landed = read_landed(sources, ids)
        read_rejections(sources, rejected)
        topic = read_topic(sources, rejected, ids)
        # Read after the topic, so that records expired meanwhile are not reported as missing.
        oldest = sources.topics.begin_offsets(definition.topic)
        day = sources.tables.read_progress().analysis_date
        stored, expected = count_stored(sources, day or date.min, oldest, ids)
        found = compare_ids(ids)
        reasons, replayed = rejected.count()
    tables = {name: sources.tables.read_distribution(name, day) for name in definition.tables} if day else {}
    others = count_landed(sources.landing, definition)
    note = f"{others.unpublished:,} unpublished, {landed.erased:,} erased, {others.rejected:,} rejected before landing"
    stations = [
        Station(landing_table, landed.accepted, note),
        Station(f"topic {definition.topic.name}", found.on_topic, f"{topic.records:,} records"),
        Station(rows, stored),
        *(
            Station(name, sum(one.buckets.values()), f"total {one.total:,}, {len(one.buckets):,} buckets on {day}")
            for name, one in tables.items()
        ),
        Station(dead_letters, reasons.total(), _describe_reasons(reasons, replayed)),
    ]
    disagreements = [
        *found.missing.describe(f"{definition.unit} in {landing_table} are missing from {rows}"),
        *found.unknown.describe(f"{definition.unit} in {rows} are in neither {landing_table} nor the topic"),
        *found.erased.describe(f"{definition.unit} in {rows} are erased"),
        *found.lost.describe(f"{definition.unit} in the topic are missing from {rows}"),
        *topic.unaccounted.describe(f"records in the topic break a current rule but are not in {dead_letters}"),
        *topic.wronged.describe(f"records in {dead_letters} break no current rule"),
    ]
    for name, one in tables.items():
        wrong = [
            bucket
            for bucket in one.buckets.keys() | expected[name].keys()
            if one.buckets.get(bucket, 0) != expected[name][bucket]
        ]
        if one.total != stored:
            disagreements.append(f"The table {name} has the total {one.total:,}, but {rows} has {stored:,} rows.")
        if wrong:
            shown = ", ".join(" / ".join(bucket) for bucket in sorted(wrong)[:EXAMPLES])
            disagreements.append(f"The table {name} differs from {rows} in {len(wrong):,} buckets: {shown}.")
    if others.unpublishable:
        disagreements.append(
            f"{others.unpublishable:,} {definition.unit} in {landing_table} cannot be published: "
            "`member-analyzer rejected list` lists them."
        )
    if not tables and (landed.accepted or stored):
        disagreements.append("The stream has not written any analysis table yet.")
    return Report(stations, disagreements)


def read_landed(sources: Sources, ids: IdSpool) -> LandedIds:
    """Read every id of the landing table."""
    landed = LandedIds()
    for name, is_erased in stream_keys(sources.landing, sources.definition):
        ids.add(Ids.ERASED if is_erased else Ids.LANDED, name)
        if is_erased:
            landed.erased += 1
        else:
            landed.accepted += 1
    return landed


def read_rejections(sources: Sources, rejected: RejectedLedger) -> None:
    """Read every dead letter and the replay marks."""
    definition = sources.definition
    rejected.add(read_message(message, definition) for message in sources.topics.read(definition.dead_letter_topic))
    rejected.mark_replayed(stream_replayed(sources.landing))


def read_topic(sources: Sources, rejected: RejectedLedger, ids: IdSpool) -> TopicRecords:
    """Read every record of the topic."""
    topic, definition = TopicRecords(), sources.definition
    begin = sources.tables.read_generations().current.begin
    for message in sources.topics.read(definition.topic):
        topic.records += 1
        partition, offset = message.partition() or 0, message.offset() or 0
        try:
            event = sources.values.read(message.value())
        except UnreadableValueError:
            event = {}
        # The stream applies the rules to the normalized record: text of invisible characters alone is missing.
        is_valid = broken_rule(definition.record_type, canonical(definition.record_type, event)) is None
        found = rejected.find(definition.topic.name, partition, offset)
        if found is not None:
            if is_valid and not found.is_replayed and found.reason not in REASONS_BESIDE_RULES:
                topic.wronged.add(f"{definition.topic.name}:{partition}:{offset}")
        elif not is_valid:
            topic.unaccounted.add(f"{definition.topic.name}:{partition}:{offset}")
        elif definition.is_erasure(event):
            ids.add(Ids.RETRACTED, event[definition.key])
        elif offset >= begin.get(partition, 0):
            ids.add(Ids.CREATED, event[definition.key])
    return topic


def count_stored(
    sources: Sources, day: date, oldest: Offsets, ids: IdSpool
) -> tuple[int, Mapping[str, Counter[Bucket]]]:
    """Count the rows in Cassandra, and compute the expected tables of a day: table -> bucket -> records.

    `oldest` are the oldest offsets of the topic.
    """
    stored, definition = 0, sources.definition
    counts: dict[str, Counter[Bucket]] = {dimension.name: Counter() for dimension in definition.dimensions}
    for row in sources.tables.read_rows():
        stored += 1
        offset = row["kafka_offset"]
        is_older = offset is not None and offset < oldest.get(row["kafka_partition"], 0)
        ids.add(Ids.STORED_BEFORE if is_older else Ids.STORED, row[definition.key])
        for dimension in definition.dimensions:
            counts[dimension.name][tuple([str(row[column]) for column in dimension.columns])] += 1
    return stored, {one.table: Counter(fold(one, counts[one.name], day)) for one in definition.dimensions}


def compare_ids(ids: IdSpool) -> Comparison:
    """Compare the ids of all stages."""
    found = Comparison()
    for part in ids.read_parts():
        landed, erased, created, retracted, stored, stored_before = part
        every = stored | stored_before
        on_topic = created - retracted
        found.on_topic += len(on_topic)
        found.missing.add(*(landed - every))
        # Rows from expired records cannot be verified against the topic.
        found.unknown.add(*(stored - landed - created))
        found.erased.add(*(every & (retracted | erased)))
        found.lost.add(*(on_topic - every))
    return found


def _describe_reasons(reasons: Counter[str], replayed: int) -> str:
    listed = [f"{reason} {count:,}" for reason, count in reasons.most_common()]
    return ", ".join([*listed, f"{replayed:,} of them replayed"])
