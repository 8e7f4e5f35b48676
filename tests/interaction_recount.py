"""An independent recount of interactions in plain Python: what the tables of the analysis must contain.

It is the specification of the analysis, so it is as simple as possible and not fast: each definition is one short
function over all the records, and it has no code in common with the stream except `age_group_on`.
"""

from collections import Counter, defaultdict
from collections.abc import Hashable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, timedelta
from itertools import pairwise
from typing import Any, NamedTuple, Protocol

from member_analyzer.streams.members.dimensions import age_group_on

Interaction = Mapping[str, Any]

LONGEST_GAP = timedelta(minutes=30)

# The dimensions of an event that are fields of the record.
FIELDS = {
    "referrer": "referring_domain",
    **{name: name for name in ("utm_source", "device", "browser", "system", "app_version", "country")},
}


class Member(Protocol):
    """What is known of a registered member."""

    @property
    def gender(self) -> str: ...
    @property
    def date_of_birth(self) -> date: ...
    @property
    def country(self) -> str: ...
    @property
    def city(self) -> str: ...


class Counts(NamedTuple):
    """Events, distinct persons and sessions."""

    events: int
    visitors: int
    sessions: int


class DayTotals(NamedTuple):
    """The totals of a day; `milliseconds` is the sum of the durations of its sessions."""

    events: int
    visitors: int
    sessions: int
    bounces: int
    milliseconds: int


class SessionTotals(NamedTuple):
    """What is known of a session besides its key."""

    day: date
    ended_at: datetime
    events: int
    views: int
    is_bounce: bool
    entry_page: str | None
    exit_page: str | None


# (source, is_bot, person, started_at)
SessionKey = tuple[str, bool, str, datetime]


@dataclass(frozen=True)
class Recount:
    """The recounted tables. Nothing that is zero throughout has an entry.

    `days` by (source, day, is_bot). `counts` by (source, day, dimension, is_bot, name, country), where the country is
    empty except for cities. `minutes` by (source, minute, is_bot), in UTC. `members` are the events of people by
    (source, day, member id), of registered members only.
    """

    days: dict[tuple[str, date, bool], DayTotals]
    counts: dict[tuple[str, date, str, bool, str, str], Counts]
    minutes: dict[tuple[str, datetime, bool], Counts]
    sessions: dict[SessionKey, SessionTotals]
    members: dict[tuple[str, date, str], int]


@dataclass(frozen=True)
class Session:
    """The events of one session, in the order in which they happened."""

    source: str
    is_bot: bool
    person: str
    events: list[Interaction]

    @property
    def key(self) -> SessionKey:
        return self.source, self.is_bot, self.person, self.events[0]["occurred_at"]

    @property
    def day(self) -> date:
        day: date = self.events[0]["day"]
        return day

    @property
    def milliseconds(self) -> int:
        duration: timedelta = self.events[-1]["occurred_at"] - self.events[0]["occurred_at"]
        return duration // timedelta(milliseconds=1)

    @property
    def views(self) -> list[Interaction]:
        return [event for event in self.events if is_view(event)]

    @property
    def pages(self) -> list[str]:
        """The pages of the views, without views that have none."""
        return [page for view in self.views if (page := page_of(view)) is not None]

    @property
    def is_bounce(self) -> bool:
        """Whether there is exactly one view, and no named event."""
        return len(self.views) == 1 and all(event["type"] != "track" for event in self.events)

    @property
    def totals(self) -> SessionTotals:
        pages = self.pages
        return SessionTotals(
            self.day,
            self.events[-1]["occurred_at"],
            len(self.events),
            len(self.views),
            self.is_bounce,
            pages[0] if pages else None,
            pages[-1] if pages else None,
        )


@dataclass
class Tally:
    """Counts by key; persons and sessions are counted once for each key."""

    events: Counter[Hashable] = field(default_factory=Counter)
    visitors: defaultdict[Hashable, set[str]] = field(default_factory=lambda: defaultdict(set))
    sessions: defaultdict[Hashable, set[SessionKey]] = field(default_factory=lambda: defaultdict(set))

    def add_event(self, key: Hashable, person: str) -> None:
        self.events[key] += 1
        self.visitors[key].add(person)

    def add_session(self, key: Hashable, session: Session) -> None:
        self.sessions[key].add(session.key)

    def counts(self) -> dict[Any, Counts]:
        return {
            key: Counts(self.events[key], len(self.visitors[key]), len(self.sessions[key]))
            for key in {*self.events, *self.sessions}
        }


def recount(records: Iterable[Interaction], members: Mapping[str, Member]) -> Recount:
    """Count records of the topic in any order, where the first of several with one source and message id counts.

    `members` are the registered members by id. No record may be too late to be counted, or of an erased member.
    """
    sessions = find_sessions(records)
    return Recount(
        days=count_days(sessions),
        counts=count_dimensions(sessions, members),
        minutes=count_minutes(sessions),
        sessions={session.key: session.totals for session in sessions},
        members=count_members(sessions, members),
    )


# Persons and sessions


def find_sessions(records: Iterable[Interaction]) -> list[Session]:
    """All sessions. Each event that is not a duplicate is in exactly one of them."""
    sessions = []
    for (source, is_bot), events in group(drop_duplicates(records)).items():
        for person, own in find_persons(events).items():
            sessions += [Session(source, is_bot, person, part) for part in split_at_gaps(sorted(own, key=position))]
    return sessions


def drop_duplicates(records: Iterable[Interaction]) -> list[Interaction]:
    """The first record of each source and message id, whatever else the others contain."""
    first: dict[tuple[str, str], Interaction] = {}
    for record in records:
        first.setdefault((record["source"], record["message_id"]), record)
    return list(first.values())


def group(events: Iterable[Interaction]) -> dict[tuple[str, bool], list[Interaction]]:
    """The events that are counted apart, links included: of each source, and in it of bots (True) and people."""
    groups: dict[tuple[str, bool], list[Interaction]] = defaultdict(list)
    for event in events:
        groups[event["source"], event["is_bot"] == "true"].append(event)
    return groups


def position(event: Interaction) -> tuple[datetime, str]:
    """The position in the order of events. Message ids are compared by code points."""
    return event["occurred_at"], event["message_id"]


def find_persons(events: Sequence[Interaction]) -> dict[str, list[Interaction]]:
    """The events of each person: a known visitor with the anonymous visitors that belong to it, or an anonymous one."""
    owners = find_owners(events)
    persons: dict[str, list[Interaction]] = defaultdict(list)
    for event in events:
        # Known visitors have no owner: they never become one person.
        visitor: str = event["visitor"]
        persons[owners.get(visitor, visitor)].append(event)
    return persons


def find_owners(events: Iterable[Interaction]) -> dict[str, str]:
    """The known visitor (m: or u:) to whom each linked anonymous visitor (a:) belongs, by the earliest evidence."""
    owners: dict[str, str] = {}
    for event in sorted(events, key=position):
        if event["visitor"].startswith(("m:", "u:")):
            ids = [event["anonymous_id"]]
            if event["type"] == "alias":
                ids.append(event["previous_id"])
            for one in ids:
                if one is not None:
                    owners.setdefault(f"a:{one}", event["visitor"])
    return owners


def split_at_gaps(events: list[Interaction]) -> Iterator[list[Interaction]]:
    """Split ordered events wherever more than 30 minutes are between two of them."""
    part = events[:1]
    for earlier, later in pairwise(events):
        if later["occurred_at"] - earlier["occurred_at"] > LONGEST_GAP:
            yield part
            part = []
        part.append(later)
    yield part


# Values of the dimensions


def is_view(event: Interaction) -> bool:
    return event["type"] in ("page", "screen")


def page_of(event: Interaction) -> str | None:
    """The path of a page view, or the name of a screen."""
    page: str | None = {"page": event["path"], "screen": event["name"]}.get(event["type"])
    return page


def event_values(event: Interaction) -> dict[str, str]:
    """The values of an event, by dimension."""
    values = {"page": page_of(event), "event": event["name"] if event["type"] == "track" else None}
    values |= {dimension: event[name] for dimension, name in FIELDS.items()}
    return {dimension: value for dimension, value in values.items() if value is not None}


def session_values(session: Session) -> dict[str, str]:
    """The values of a session as a whole, by dimension."""
    pages = session.pages
    return {"entry_page": pages[0], "exit_page": pages[-1]} if pages else {}


def member_values(member: Member, day: date) -> Iterator[tuple[str, str, str]]:
    """The (dimension, name, country) of a member on a day; the country is empty except for the city."""
    yield "age_group", age_group_on(day, member.date_of_birth), ""
    yield "gender", member.gender, ""
    yield "member_country", member.country, ""
    yield "city", member.city, member.country


def registered_id(person: str, members: Mapping[str, Member]) -> str | None:
    """The id of a person who is a registered member."""
    return person[2:] if person.startswith("m:") and person[2:] in members else None


# Counts


def count_days(sessions: Iterable[Session]) -> dict[tuple[str, date, bool], DayTotals]:
    tally = Tally()
    bounces: Counter[Hashable] = Counter()
    milliseconds: Counter[Hashable] = Counter()
    for session in sessions:
        for event in session.events:
            tally.add_event((session.source, event["day"], session.is_bot), session.person)
        began = (session.source, session.day, session.is_bot)
        tally.add_session(began, session)
        bounces[began] += session.is_bounce
        milliseconds[began] += session.milliseconds
    return {key: DayTotals(*counts, bounces[key], milliseconds[key]) for key, counts in tally.counts().items()}


def count_dimensions(
    sessions: Iterable[Session], members: Mapping[str, Member]
) -> dict[tuple[str, date, str, bool, str, str], Counts]:
    """Counts of events are by the day of the event, counts of sessions by the day on which the session began."""
    tally = Tally()
    for session in sessions:
        source, is_bot, person = session.source, session.is_bot, session.person
        for event in session.events:
            for dimension, name in event_values(event).items():
                tally.add_event((source, event["day"], dimension, is_bot, name, ""), person)
                tally.add_session((source, session.day, dimension, is_bot, name, ""), session)
        for dimension, name in session_values(session).items():
            for _ in session.events:
                tally.add_event((source, session.day, dimension, is_bot, name, ""), person)
            tally.add_session((source, session.day, dimension, is_bot, name, ""), session)
        member_id = registered_id(person, members)
        if member_id is not None:
            for event in session.events:
                for dimension, name, country in member_values(members[member_id], event["day"]):
                    tally.add_event((source, event["day"], dimension, is_bot, name, country), person)
            for dimension, name, country in member_values(members[member_id], session.day):
                tally.add_session((source, session.day, dimension, is_bot, name, country), session)
    return tally.counts()


def count_minutes(sessions: Iterable[Session]) -> dict[tuple[str, datetime, bool], Counts]:
    tally = Tally()
    for session in sessions:
        for event in session.events:
            tally.add_event((session.source, minute_of(event), session.is_bot), session.person)
        tally.add_session((session.source, minute_of(session.events[0]), session.is_bot), session)
    return tally.counts()


def minute_of(event: Interaction) -> datetime:
    moment: datetime = event["occurred_at"]
    return moment.astimezone(UTC).replace(second=0, microsecond=0)


def count_members(sessions: Iterable[Session], members: Mapping[str, Member]) -> dict[tuple[str, date, str], int]:
    counts: Counter[tuple[str, date, str]] = Counter()
    for session in sessions:
        member_id = registered_id(session.person, members)
        if member_id is not None and not session.is_bot:
            counts.update((session.source, event["day"], member_id) for event in session.events)
    return dict(counts)
