"""What a person's visits amount to: sessions, and what they add to the counts.

The counts of a source are the sums over its persons, so that a change of one person is the difference of two results.
"""

from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from datetime import date
from typing import Any, NamedTuple

from member_analyzer.streams.interactions.visitor_state import Registration
from member_analyzer.streams.interactions.visits import EVENTS, MINUTE, Visit, group_by_gap
from member_analyzer.streams.members.dimensions import age_group_on

# Days of all zones that begin or end within this distance of a time, in milliseconds, with a change of the clocks.
_LONGEST_DAY = 26 * 60 * MINUTE


class DayKey(NamedTuple):
    """The totals of a day (ISO 8601)."""

    day: str


class CountKey(NamedTuple):
    """The value of a dimension on a day; `country` is that of a city, else empty."""

    day: str
    dimension: str
    name: str
    country: str = ""


class MinuteKey(NamedTuple):
    """A minute, in milliseconds since 1970."""

    minute: int


class DayCounts(NamedTuple):
    """What is counted for a day; sessions are those that began on it."""

    events: int = 0
    visitors: int = 0
    sessions: int = 0
    bounces: int = 0
    milliseconds: int = 0
    late: int = 0
    erased: int = 0


class Counts(NamedTuple):
    """What is counted for a value of a dimension, and for a minute."""

    events: int = 0
    visitors: int = 0
    sessions: int = 0


Key = DayKey | CountKey | MinuteKey


class Session(NamedTuple):
    """A session: when it began and ended, in milliseconds since 1970, and what describes it."""

    started_at: int
    ended_at: int
    day: str
    events: int
    views: int
    is_bounce: bool
    entry_page: str | None
    exit_page: str | None
    origin: tuple[str | None, ...]


@dataclass(frozen=True)
class Activity:
    """What a person did in a source: what it adds to the counts, its sessions, and when it was active.

    `counts` is by the values of a key, which `name_key` reads; `sessions` is by the time of their begin; `active` is
    minute -> time of the last event in it; `registered_days` is day -> events, if the person is a registered member.
    """

    counts: dict[tuple[Any, ...], tuple[int, ...]] = field(default_factory=dict)
    sessions: dict[int, Session] = field(default_factory=dict)
    active: dict[int, int] = field(default_factory=dict)
    registered_days: dict[str, int] = field(default_factory=dict)


def near(visits: Iterable[Visit], begin: int, end: int) -> list[Visit]:
    """Return the visits of a person that a change between two times may affect: sessions near it, as a whole."""
    found: list[Visit] = []
    for group in group_by_gap(visits):
        if group[0].first[0] <= end + _LONGEST_DAY and max(one.last[0] for one in group) >= begin - _LONGEST_DAY:
            found += group
    return found


def describe_activity(visits: Iterable[Visit], registration: Registration | None = None) -> Activity:
    """Return what a person's visits amount to; members are also counted by their registration."""
    # The keys are plain tuples, which equal those of the classes: creating named ones takes half of the time.
    events: defaultdict[Any, int] = defaultdict(int)
    sessions: defaultdict[Any, int] = defaultdict(int)
    bounces: defaultdict[str, int] = defaultdict(int)
    durations: defaultdict[str, int] = defaultdict(int)
    days: defaultdict[str, int] = defaultdict(int)
    activity = Activity()
    groups = group_by_gap(visits)
    for group in groups:
        for visit in group:
            for day, dimensions in visit.counts.items():
                for dimension, values in dimensions.items():
                    if dimension == EVENTS:
                        days[day] += values[""]
                    else:
                        for value, count in values.items():
                            events[(day, dimension, value, "")] += count
            for minute, (count, last_at) in visit.minutes.items():
                events[(minute,)] += count
                activity.active[minute] = max(last_at, activity.active.get(minute, last_at))
    for day, total in days.items():
        events[(day,)] += total
        for bucket in _registered(registration, day):
            events[bucket] += total
    if registration is not None:
        activity.registered_days.update(days)
    visitors = set(events)
    for group in groups:
        session = _describe_session(group)
        day = session.day
        activity.sessions[session.started_at] = session
        bounces[day] += session.is_bounce
        durations[day] += session.ended_at - session.started_at
        keys: set[Any] = {(day,), (session.started_at - session.started_at % MINUTE,)}
        keys.update(_registered(registration, day))
        for visit in group:
            for dimensions in visit.counts.values():
                for dimension, values in dimensions.items():
                    if dimension != EVENTS:
                        keys.update([(day, dimension, value, "") for value in values])
        for dimension, page in (("entry_page", session.entry_page), ("exit_page", session.exit_page)):
            if page is not None:
                bucket = (day, dimension, page, "")
                keys.add(bucket)
                visitors.add(bucket)
                events[bucket] += session.events
        for key in keys:
            sessions[key] += 1
    for key in events.keys() | sessions.keys():
        activity.counts[key] = (events.get(key, 0), int(key in visitors), sessions.get(key, 0))
    for key in {(day,) for day in (*days, *bounces)}:
        activity.counts[key] = (*activity.counts[key], bounces.get(key[0], 0), durations.get(key[0], 0), 0, 0)
    return activity


def name_key(key: tuple[Any, ...]) -> Key:
    """Return the key of a count with its class."""
    if len(key) == len(CountKey._fields):
        return CountKey(*key)
    return DayKey(*key) if isinstance(key[0], str) else MinuteKey(*key)


def _describe_session(visits: Sequence[Visit]) -> Session:
    first = visits[0]
    entry = min((one.entry for one in visits if one.entry is not None), default=None)
    last = max((one.exit for one in visits if one.exit is not None), default=None)
    views, named = sum(one.views for one in visits), sum(one.named for one in visits)
    return Session(
        started_at=first.first[0],
        ended_at=max(one.last[0] for one in visits),
        day=first.day,
        events=sum(one.events for one in visits),
        views=views,
        is_bounce=views == 1 and named == 0,
        entry_page=entry and entry[2],
        exit_page=last and last[2],
        origin=tuple(first.origin),
    )


def _registered(registration: Registration | None, day: str) -> list[tuple[str, str, str, str]]:
    """Return the buckets in which a registered member is counted on a day."""
    if registration is None:
        return []
    return [
        (day, "age_group", age_group_on(date.fromisoformat(day), registration.date_of_birth), ""),
        (day, "gender", registration.gender, ""),
        (day, "member_country", registration.country, ""),
        (day, "city", registration.city, registration.country),
    ]
