"""The audit: what every station of the members' way holds, side by side, and where they do not agree.

It counts everything again, in Python and one record at a time, and shares neither Spark nor the counts of the stream.
"""

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import date

from member_analyzer.analysis import TABLE_NAMES, Bucket, fold_births
from member_analyzer.landing import Connection, LandingCounts, count_landed, read_erased, read_ids
from member_analyzer.member import BIRTHS, CREATED, DIMENSIONS, MEMBER
from member_analyzer.record import Reason, broken_rule
from member_analyzer.rejected import RejectedRecord, read_rejected
from member_analyzer.tables import AnalysisTables, count_unread
from member_analyzer.topic_reader import TopicReader
from member_analyzer.topics import USERS
from member_analyzer.wire import UnreadableValueError, ValueReader

EXAMPLES = 3
# A valid record may be rejected for these: its schema was registered afterwards, or the stream could not process it.
REASONS_BESIDE_RULES = (Reason.UNKNOWN_SCHEMA, "unprocessable")


@dataclass
class TopicContents:
    """What the topic `users` holds, by the rules of the member and by what was rejected."""

    records: int = 0
    created: set[str] = field(default_factory=set)
    """Ids of valid created events, since the generation of the tables began."""
    erased: set[str] = field(default_factory=set)
    unaccounted: set[str] = field(default_factory=set)
    """Origins of records that are neither valid nor rejected."""
    wronged: set[str] = field(default_factory=set)
    """Origins of records that are rejected but break no rule."""


@dataclass(frozen=True)
class Station:
    """One line of the audit: what is counted where, and what more is to say."""

    name: str
    members: int
    note: str = ""


@dataclass(frozen=True)
class Report:
    """What was found: every station, and each disagreement as a sentence; none means that all agree."""

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
    landed, ids = count_landed(sources.landing), read_ids(sources.landing)
    every = read_rejected(sources.topics, sources.landing)
    topic = read_topic(sources, {record.origin: record for record in every})
    rejected = [record for record in every if not record.is_repeated]
    day = sources.tables.read_progress().analysis_date
    stored, expected = count_stored(sources, day or date.min)
    tables = {name: sources.tables.read_distribution(name, day) for name in TABLE_NAMES} if day else {}
    stations = [
        Station("landing.users", landed.accepted, _landing_note(landed)),
        Station("topic users", len(topic.created - topic.erased), f"{topic.records:,} records"),
        Station("created_users", len(stored)),
        *(
            Station(name, sum(one.buckets.values()), f"total {one.total:,}, {len(one.buckets):,} buckets on {day}")
            for name, one in tables.items()
        ),
        Station("users_rejected", len(rejected), _reasons(rejected)),
    ]
    disagreements = [
        *_not_in("members of landing.users are missing from created_users", ids - stored),
        *_not_in("members of created_users are in neither landing.users nor the topic", stored - ids - topic.created),
        *_not_in("members of created_users are erased", stored & (topic.erased | read_erased(sources.landing))),
        *_not_in("members of the topic are missing from created_users", topic.created - topic.erased - stored),
        *_not_in("records of the topic break a rule of today but are not in users_rejected", topic.unaccounted),
        *_not_in("records of users_rejected break no rule of today", topic.wronged),
    ]
    for name, one in tables.items():
        wrong = [
            bucket
            for bucket in one.buckets.keys() | expected[name].keys()
            if one.buckets.get(bucket, 0) != expected[name][bucket]
        ]
        if one.total != len(stored):
            disagreements.append(
                f"The table {name} has the total {one.total:,}, but created_users {len(stored):,} rows."
            )
        if wrong:
            shown = ", ".join(" / ".join(bucket) for bucket in sorted(wrong)[:EXAMPLES])
            disagreements.append(f"The table {name} differs from created_users in {len(wrong):,} buckets: {shown}.")
    if not tables and (ids or stored):
        disagreements.append("The stream has not written any analysis table yet.")
    return Report(stations, disagreements)


def read_topic(sources: Sources, rejected: Mapping[str, RejectedRecord]) -> TopicContents:
    """Every record of the topic `users`; `rejected` is origin -> what the stream rejected."""
    contents = TopicContents()
    begin = sources.tables.read_generations().current.begin
    for message in sources.topics.read(USERS):
        contents.records += 1
        origin = f"{message.topic()}:{message.partition()}:{message.offset()}"
        try:
            event = sources.values.read(message.value())
        except UnreadableValueError:
            event = {}
        is_valid = broken_rule(MEMBER, event) is None
        if origin in rejected:
            found = rejected[origin]
            if is_valid and not found.is_replayed and found.reason not in REASONS_BESIDE_RULES:
                contents.wronged.add(origin)
        elif not is_valid:
            contents.unaccounted.add(origin)
        elif event["kind"] != CREATED:
            contents.erased.add(event[MEMBER.key])
        elif (message.offset() or 0) >= begin.get(message.partition() or 0, 0):
            contents.created.add(event[MEMBER.key])
    return contents


def count_stored(sources: Sources, day: date) -> tuple[set[str], Mapping[str, Counter[Bucket]]]:
    """The ids of `created_users`, and what the analysis tables of a day must hold: table -> bucket -> members."""
    ids: set[str] = set()
    counts: dict[str, Counter[Bucket]] = {dimension.name: Counter() for dimension in DIMENSIONS}
    for row in sources.tables.read_created_users():
        ids.add(row[MEMBER.key])
        for dimension in DIMENSIONS:
            counts[dimension.name][tuple(str(row[column]) for column in dimension.columns)] += 1
    births = {date.fromisoformat(bucket[0]): members for bucket, members in counts.pop(BIRTHS).items()}
    return ids, {**counts, "age": Counter(fold_births(births, day))}


def _landing_note(landed: LandingCounts) -> str:
    return f"{landed.unpublished:,} unpublished, {landed.erased:,} erased, {landed.rejected:,} rejected before landing"


def _reasons(rejected: list[RejectedRecord]) -> str:
    reasons = Counter(record.reason for record in rejected)
    told = [f"{reason} {count:,}" for reason, count in reasons.most_common()]
    return ", ".join([*told, f"{sum(record.is_replayed for record in rejected):,} of them replayed"])


def _not_in(what: str, names: set[str]) -> Iterable[str]:
    if names:
        yield f"{len(names):,} {what}, for example {', '.join(sorted(names)[:EXAMPLES])}."
