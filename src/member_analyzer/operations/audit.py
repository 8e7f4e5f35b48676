"""The audit: what every station of the members' way holds, side by side, and where they do not agree.

It counts everything again, in Python and one record at a time, and shares neither Spark nor the counts of the stream.
Its memory does not grow with the members: their ids are compared in parts, on disk.
"""

from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from datetime import date
from enum import IntEnum
from heapq import nsmallest

from member_analyzer.analysis.counts import TABLE_NAMES, Bucket, fold_births
from member_analyzer.analysis.progress import Positions, count_unread
from member_analyzer.analysis.tables import AnalysisTables
from member_analyzer.deadletters.ledger import RejectedLedger
from member_analyzer.deadletters.rejected import read_message
from member_analyzer.kafka.reader import TopicReader
from member_analyzer.kafka.topics import USERS, USERS_REJECTED
from member_analyzer.landing.connection import Connection
from member_analyzer.landing.counters import count_landed
from member_analyzer.landing.dead_letters import stream_replayed
from member_analyzer.landing.ids import stream_ids
from member_analyzer.operations.id_spool import IdSpool
from member_analyzer.records.rejection import Reason
from member_analyzer.records.rules import broken_rule
from member_analyzer.records.wire import UnreadableValueError, ValueReader
from member_analyzer.streams.members.dimensions import BIRTHS, DIMENSIONS
from member_analyzer.streams.members.record import CREATED, MEMBER

EXAMPLES = 3
# A valid record may be rejected for these: its schema was registered afterwards, or the stream could not process it.
REASONS_BESIDE_RULES = (Reason.UNKNOWN_SCHEMA, Reason.UNPROCESSABLE)


class Ids(IntEnum):
    """Where an id was found."""

    LANDED = 0
    """In `landing.users`, and not erased."""
    ERASED = 1
    """In `landing.users`, and erased."""
    CREATED = 2
    """In a valid created event on the topic, since the generation of the tables began."""
    RETRACTED = 3
    """In an erased event on the topic."""
    STORED = 4
    """In `created_users`, from a record that the topic should still hold."""
    STORED_BEFORE = 5
    """In `created_users`, from a record that is older than the oldest one that the topic holds."""


@dataclass
class Examples:
    """How many there are of something, and the first few of them."""

    count: int = 0
    names: list[str] = field(default_factory=list)

    def add(self, *names: str) -> None:
        """Count these, each of which was not counted before."""
        self.count += len(names)
        self.names = nsmallest(EXAMPLES, [*self.names, *names])

    def describe(self, what: str) -> Iterator[str]:
        """The message about them, where there are any."""
        if self.count:
            yield f"{self.count:,} {what}, for example {', '.join(self.names)}."


@dataclass
class LandedIds:
    """How many ids `landing.users` holds."""

    accepted: int = 0
    erased: int = 0


@dataclass
class TopicRecords:
    """The records of the topic `users`, by the rules of the member and by what was rejected."""

    records: int = 0
    unaccounted: Examples = field(default_factory=Examples)
    """Origins of records that are neither valid nor rejected."""
    wronged: Examples = field(default_factory=Examples)
    """Origins of records that are rejected but break no rule."""


@dataclass
class Comparison:
    """What a comparison of all ids found."""

    on_topic: int = 0
    """Members that the topic holds as created and not as erased."""
    missing: Examples = field(default_factory=Examples)
    unknown: Examples = field(default_factory=Examples)
    erased: Examples = field(default_factory=Examples)
    lost: Examples = field(default_factory=Examples)


@dataclass(frozen=True)
class Station:
    """One line of the audit: what is counted where, and what more is to say."""

    name: str
    members: int
    note: str = ""


@dataclass(frozen=True)
class Report:
    """What was found: every station, and each disagreement as a message; none means that all agree."""

    stations: list[Station]
    disagreements: list[str]


@dataclass(frozen=True)
class Sources:
    """Where the audit looks."""

    landing: Connection
    topics: TopicReader
    tables: AnalysisTables
    values: ValueReader


def count_waiting(sources: Sources) -> int:
    """How many events have not reached `created_users` yet: unpublished ones, and records the stream has not read."""
    look_from = sources.tables.read_generations().current.look_from
    written = sources.tables.read_progress().written
    oldest = sources.topics.begin_offsets(USERS)
    bounds = {partition: (oldest[partition], end) for partition, end in sources.topics.end_offsets(USERS).items()}
    return count_landed(sources.landing).unpublished + sum(count_unread(bounds, written, look_from).values())


def take_audit(sources: Sources) -> Report:
    """Read and compare everything. What arrives meanwhile looks like a disagreement: see `count_waiting` first."""
    with IdSpool(len(Ids)) as ids, RejectedLedger() as rejected:
        landed = read_landed(sources, ids)
        read_rejections(sources, rejected)
        topic = read_topic(sources, rejected, ids)
        # After the topic was read: what it has deleted by now was read, or is no longer asked for.
        oldest = sources.topics.begin_offsets(USERS)
        day = sources.tables.read_progress().analysis_date
        stored, expected = count_stored(sources, day or date.min, oldest, ids)
        found = compare_ids(ids)
        reasons, replayed = rejected.count()
    tables = {name: sources.tables.read_distribution(name, day) for name in TABLE_NAMES} if day else {}
    others = count_landed(sources.landing)
    note = f"{others.unpublished:,} unpublished, {landed.erased:,} erased, {others.rejected:,} rejected before landing"
    stations = [
        Station("landing.users", landed.accepted, note),
        Station("topic users", found.on_topic, f"{topic.records:,} records"),
        Station("created_users", stored),
        *(
            Station(name, sum(one.buckets.values()), f"total {one.total:,}, {len(one.buckets):,} buckets on {day}")
            for name, one in tables.items()
        ),
        Station("users_rejected", reasons.total(), _describe_reasons(reasons, replayed)),
    ]
    disagreements = [
        *found.missing.describe("members of landing.users are missing from created_users"),
        *found.unknown.describe("members of created_users are in neither landing.users nor the topic"),
        *found.erased.describe("members of created_users are erased"),
        *found.lost.describe("members of the topic are missing from created_users"),
        *topic.unaccounted.describe("records of the topic break a rule of today but are not in users_rejected"),
        *topic.wronged.describe("records of users_rejected break no rule of today"),
    ]
    for name, one in tables.items():
        wrong = [
            bucket
            for bucket in one.buckets.keys() | expected[name].keys()
            if one.buckets.get(bucket, 0) != expected[name][bucket]
        ]
        if one.total != stored:
            disagreements.append(f"The table {name} has the total {one.total:,}, but created_users {stored:,} rows.")
        if wrong:
            shown = ", ".join(" / ".join(bucket) for bucket in sorted(wrong)[:EXAMPLES])
            disagreements.append(f"The table {name} differs from created_users in {len(wrong):,} buckets: {shown}.")
    if others.unpublishable:
        disagreements.append(
            f"{others.unpublishable:,} members of landing.users cannot be published: "
            "`member-analyzer rejected list` shows them."
        )
    if not tables and (landed.accepted or stored):
        disagreements.append("The stream has not written any analysis table yet.")
    return Report(stations, disagreements)


def read_landed(sources: Sources, ids: IdSpool) -> LandedIds:
    """Every id of `landing.users`."""
    landed = LandedIds()
    for name, is_erased in stream_ids(sources.landing):
        ids.add(Ids.ERASED if is_erased else Ids.LANDED, name)
        if is_erased:
            landed.erased += 1
        else:
            landed.accepted += 1
    return landed


def read_rejections(sources: Sources, rejected: RejectedLedger) -> None:
    """Every record of `users_rejected`, and which of them were sent again."""
    rejected.add(read_message(message) for message in sources.topics.read(USERS_REJECTED))
    rejected.mark_replayed(stream_replayed(sources.landing))


def read_topic(sources: Sources, rejected: RejectedLedger, ids: IdSpool) -> TopicRecords:
    """Every record of the topic `users`."""
    topic = TopicRecords()
    begin = sources.tables.read_generations().current.begin
    for message in sources.topics.read(USERS):
        topic.records += 1
        partition, offset = message.partition() or 0, message.offset() or 0
        try:
            event = sources.values.read(message.value())
        except UnreadableValueError:
            event = {}
        is_valid = broken_rule(MEMBER, event) is None
        found = rejected.find(USERS.name, partition, offset)
        if found is not None:
            if is_valid and not found.is_replayed and found.reason not in REASONS_BESIDE_RULES:
                topic.wronged.add(f"{USERS.name}:{partition}:{offset}")
        elif not is_valid:
            topic.unaccounted.add(f"{USERS.name}:{partition}:{offset}")
        elif event["kind"] != CREATED:
            ids.add(Ids.RETRACTED, event[MEMBER.key])
        elif offset >= begin.get(partition, 0):
            ids.add(Ids.CREATED, event[MEMBER.key])
    return topic


def count_stored(
    sources: Sources, day: date, oldest: Positions, ids: IdSpool
) -> tuple[int, Mapping[str, Counter[Bucket]]]:
    """How many rows `created_users` has, and what the tables of a day must hold: table -> bucket -> members.

    `oldest` is the oldest offset that each partition of the topic holds.
    """
    stored = 0
    counts: dict[str, Counter[Bucket]] = {dimension.name: Counter() for dimension in DIMENSIONS}
    for row in sources.tables.stream_members():
        stored += 1
        offset = row["kafka_offset"]
        is_older = offset is not None and offset < oldest.get(row["kafka_partition"], 0)
        ids.add(Ids.STORED_BEFORE if is_older else Ids.STORED, row[MEMBER.key])
        for dimension in DIMENSIONS:
            counts[dimension.name][tuple([str(row[column]) for column in dimension.columns])] += 1
    births = {date.fromisoformat(bucket[0]): members for bucket, members in counts.pop(BIRTHS).items()}
    return stored, {**counts, "age": Counter(fold_births(births, day))}


def compare_ids(ids: IdSpool) -> Comparison:
    """Which ids are not where they have to be."""
    found = Comparison()
    for part in ids.read_parts():
        landed, erased, created, retracted, stored, stored_before = part
        every = stored | stored_before
        on_topic = created - retracted
        found.on_topic += len(on_topic)
        found.missing.add(*(landed - every))
        # Whether an expired record created the member is no longer known.
        found.unknown.add(*(stored - landed - created))
        found.erased.add(*(every & (retracted | erased)))
        found.lost.add(*(on_topic - every))
    return found


def _describe_reasons(reasons: Counter[str], replayed: int) -> str:
    listed = [f"{reason} {count:,}" for reason, count in reasons.most_common()]
    return ", ".join([*listed, f"{replayed:,} of them replayed"])
