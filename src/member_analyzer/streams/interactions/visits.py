"""Visits: the events of one visitor id without a gap above 30 minutes.

Visits only ever grow and join, whatever the order in which their events arrive. A session consists of the visits of a
person, whose ids are only known in the course of time.
"""

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from collections.abc import Set as AbstractSet
from datetime import UTC, datetime, timedelta
from operator import attrgetter
from typing import Any, Self

from member_analyzer.streams.interactions.record import PAGE, SCREEN, TRACK

# A gap of exactly this length does not end a visit.
LONGEST_GAP = 30 * 60 * 1000
MINUTE = 60 * 1000

# The dimension of all events of a day.
EVENTS = "events"
# Counts all further values once those of a visitor have LARGEST_VALUES characters, with an overhead for each. Without a
# limit, one visitor with ever new pages would make its state larger than what Cassandra accepts.
OTHER = "(other)"
LARGEST_VALUES = 500_000
_OVERHEAD = 16
# An event has at most one page or event name of 1,000 characters, and the fields of DESCRIPTIONS.
_LARGEST_EVENT = 4000
# The dimensions by which an event is counted, apart from page and event, and their fields.
DESCRIPTIONS: Mapping[str, str] = {
    "referrer": "referring_domain",
    "utm_source": "utm_source",
    "device": "device",
    "browser": "browser",
    "system": "system",
    "app_version": "app_version",
    "country": "country",
}
# What describes a session: that of its first event.
ORIGIN = ("referrer", "utm_source", "browser", "system", "device", "country")

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MILLISECOND = timedelta(milliseconds=1)
_PAGE_FIELDS = {PAGE: "path", SCREEN: "name"}
_DESCRIBED = tuple(DESCRIPTIONS.items())
_ORIGIN_FIELDS = tuple(DESCRIPTIONS[name] for name in ORIGIN)

# The values by which a visitor is counted: (day, dimension) -> values.
_Values = Mapping[tuple[str, str], AbstractSet[str]]
# The position of an event among those of a visitor: its time in milliseconds since 1970, and its message id.
Position = tuple[int, str]


def milliseconds(moment: datetime) -> int:
    """Return the milliseconds since 1970 of an aware time."""
    return (moment - _EPOCH) // _MILLISECOND


def day_of(record: Mapping[str, Any]) -> str:
    """Return the day of a record in the zone of its source, in ISO 8601; the day in UTC if the record has none."""
    day = record["day"] or record["occurred_at"].astimezone(UTC).date()
    return str(day.isoformat())


def page_of(record: Mapping[str, Any]) -> str | None:
    """Return the page of a view: the path of a page, or the name of a screen."""
    field = _PAGE_FIELDS.get(record["type"])
    page: str | None = record[field] if field else None
    return page


class Visit:
    """A visit, complete up to the events that have arrived.

    - `first` and `last` are the positions of the first and the last event, `day` is the day of the first.
    - `entry` and `exit` are the first and the last page, each with its position.
    - `origin` are the values of ORIGIN.
    - `counts` is day -> dimension -> value -> events; the dimension EVENTS counts all.
    - `minutes` is minute (milliseconds since 1970) -> [events, time of the last one].
    """

    __slots__ = ("counts", "day", "entry", "events", "exit", "first", "last", "minutes", "named", "origin", "views")

    first: Position
    last: Position
    day: str
    entry: tuple[int, str, str] | None
    exit: tuple[int, str, str] | None
    origin: list[str | None]
    events: int
    views: int
    named: int
    counts: dict[str, dict[str, dict[str, int]]]
    minutes: dict[int, list[int]]

    @classmethod
    def of(cls, record: Mapping[str, Any], at: int) -> Self:
        """Begin a visit with an event at a time in milliseconds."""
        visit = cls()
        visit.first = visit.last = (at, record["message_id"])
        visit.day = day_of(record)
        visit.origin = [record[name] for name in _ORIGIN_FIELDS]
        visit.entry = visit.exit = None
        visit.events = visit.views = visit.named = 0
        visit.counts, visit.minutes = {}, {}
        visit.add(record, at)
        return visit

    def add(self, record: Mapping[str, Any], at: int) -> None:
        """Add an event of the visit, in place."""
        position, kind, day = (at, record["message_id"]), record["type"], day_of(record)
        if position < self.first:
            self.first, self.day, self.origin = position, day, [record[name] for name in _ORIGIN_FIELDS]
        self.last = max(self.last, position)
        self.events += 1
        counts = self.counts.get(day)
        if counts is None:
            counts = self.counts[day] = {EVENTS: {"": 0}}
        counts[EVENTS][""] += 1
        if kind in (PAGE, SCREEN):
            self.views += 1
            page = page_of(record)
            if page is not None:
                _add(counts, "page", page, 1)
                here = (*position, page)
                if self.entry is None or here < self.entry:
                    self.entry = here
                if self.exit is None or here > self.exit:
                    self.exit = here
        elif kind == TRACK:
            self.named += 1
            if record["name"] is not None:
                _add(counts, "event", record["name"], 1)
        for dimension, name in _DESCRIBED:
            if (value := record[name]) is not None:
                _add(counts, dimension, value, 1)
        _add_minute(self.minutes, at - at % MINUTE, 1, at)

    def fold_values(self, known: _Values) -> None:
        """Count all values but the known ones as OTHER, in place."""
        for day, dimensions in self.counts.items():
            for dimension, values in dimensions.items():
                if dimension == EVENTS:
                    continue
                kept = known.get((day, dimension), frozenset())
                folded: dict[str, int] = {}
                for value, events in values.items():
                    name = value if value in kept else OTHER
                    folded[name] = folded.get(name, 0) + events
                dimensions[dimension] = folded

    def encode(self) -> list[Any]:
        """Return the visit as JSON values."""
        return [
            *(self.first, self.last, self.day, self.entry, self.exit, self.origin),
            *(self.events, self.views, self.named, self.counts),
            [[minute, *value] for minute, value in self.minutes.items()],
        ]

    @classmethod
    def decode(cls, encoded: Sequence[Any]) -> Self:
        """Decode the result of `encode`."""
        visit = cls()
        first, last, visit.day, entry, exit_, visit.origin, *numbers, visit.counts, minutes = encoded
        visit.first, visit.last = (first[0], first[1]), (last[0], last[1])
        visit.entry = None if entry is None else (entry[0], entry[1], entry[2])
        visit.exit = None if exit_ is None else (exit_[0], exit_[1], exit_[2])
        visit.events, visit.views, visit.named = numbers
        visit.minutes = {minute: [events, last_at] for minute, events, last_at in minutes}
        return visit


def add_events(visits: Sequence[Visit], events: Iterable[tuple[int, Mapping[str, Any]]]) -> list[Visit]:
    """Return the visits with more events, as (time in milliseconds, record); visits that do not change are the same.

    Visits are in the order of time, and the result is too. If the visits have as many values as a visitor may have, new
    values are counted as OTHER.
    """
    added: list[Visit] = []
    for at, record in sorted(events, key=lambda one: (one[0], one[1]["message_id"])):
        if added and at - added[-1].last[0] <= LONGEST_GAP:
            added[-1].add(record, at)
        else:
            added.append(Visit.of(record, at))
    if _has_most_values(visits):
        known = _values_of(visits)
        for visit in added:
            visit.fold_values(known)
    return [_join(group) for group in group_by_gap([*visits, *added])]


def group_by_gap(visits: Iterable[Visit]) -> list[list[Visit]]:
    """Group visits that have no gap between them, in the order of time."""
    groups: list[list[Visit]] = []
    end = 0
    for visit in sorted(visits, key=attrgetter("first")):
        if groups and visit.first[0] - end <= LONGEST_GAP:
            groups[-1].append(visit)
            end = max(end, visit.last[0])
        else:
            groups.append([visit])
            end = visit.last[0]
    return groups


def _join(visits: Sequence[Visit]) -> Visit:
    """Return one visit of several, which are in the order of time."""
    if len(visits) == 1:
        return visits[0]
    joined = Visit()
    begin = visits[0]
    joined.first, joined.day, joined.origin = begin.first, begin.day, begin.origin
    joined.last = max(one.last for one in visits)
    joined.entry = min((one.entry for one in visits if one.entry is not None), default=None)
    joined.exit = max((one.exit for one in visits if one.exit is not None), default=None)
    joined.events = sum(one.events for one in visits)
    joined.views = sum(one.views for one in visits)
    joined.named = sum(one.named for one in visits)
    joined.counts, joined.minutes = {}, {}
    for one in visits:
        for day, dimensions in one.counts.items():
            counts = joined.counts.setdefault(day, {})
            for dimension, values in dimensions.items():
                for value, events in values.items():
                    _add(counts, dimension, value, events)
        for minute, (events, last_at) in one.minutes.items():
            _add_minute(joined.minutes, minute, events, last_at)
    return joined


def _has_most_values(visits: Sequence[Visit]) -> bool:
    """Whether a visitor has as many values as it may have."""
    if sum(visit.events for visit in visits) * _LARGEST_EVENT < LARGEST_VALUES:
        return False
    characters = sum(
        len(value) + _OVERHEAD
        for visit in visits
        for dimensions in visit.counts.values()
        for values in dimensions.values()
        for value in values
    )
    return characters >= LARGEST_VALUES


def _values_of(visits: Iterable[Visit]) -> _Values:
    found: defaultdict[tuple[str, str], set[str]] = defaultdict(set)
    for visit in visits:
        for day, dimensions in visit.counts.items():
            for dimension, values in dimensions.items():
                found[(day, dimension)].update(values)
    return found


def _add(counts: dict[str, dict[str, int]], dimension: str, value: str, events: int) -> None:
    values = counts.get(dimension)
    if values is None:
        counts[dimension] = {value: events}
    else:
        values[value] = values.get(value, 0) + events


def _add_minute(minutes: dict[int, list[int]], minute: int, events: int, last_at: int) -> None:
    known = minutes.get(minute)
    if known is None:
        minutes[minute] = [events, last_at]
    else:
        minutes[minute] = [known[0] + events, max(known[1], last_at)]
