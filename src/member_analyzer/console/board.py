"""The board: what is known of every station and of the members, and who is told when that changes.

Pure but for a lock: threads write it, and whoever subscribes gets the newest of each event, however slow they are.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from enum import StrEnum
from threading import Lock
from typing import Any

import orjson

# In the order of the members' way.
STATIONS = (
    *("user-api", "airflow", "collector", "landing", "kafka"),
    *("registry", "zookeeper", "spark", "cassandra", "rejected"),
)
# The station that the members' numbers are read from.
MEMBERS_FROM = "cassandra"

# So often it is told when a station was last looked at, where nothing else of it changes.
TELL_AGAIN = timedelta(seconds=15)


class State(StrEnum):
    """How a station does."""

    UP = "up"
    DEGRADED = "degraded"
    DOWN = "down"
    UNKNOWN = "unknown"


@dataclass(frozen=True)
class Look:
    """What was seen of a station: `rate` in members a second, `lag` in events, `means` for the numbers on the page."""

    state: State = State.UP
    complaint: str | None = None
    means: str | None = None
    rate: float | None = None
    lag: int | None = None
    facts: Sequence[tuple[str, str]] = ()
    detail: Mapping[str, Any] | None = None


@dataclass(frozen=True)
class Station:
    """What the board shows of a station; what was last seen of it stays while it is away."""

    name: str
    since: datetime
    seen: Look = field(default_factory=lambda: Look(State.UNKNOWN, "It was not looked at yet."))
    checked_at: datetime | None = None

    @property
    def event(self) -> dict[str, Any]:
        """The station as JSON values."""
        return {
            "name": self.name,
            "state": self.seen.state,
            "since": self.since,
            "complaint": self.seen.complaint,
            "means": self.seen.means,
            "checked_at": self.checked_at,
            "rate": self.seen.rate,
            "lag": self.seen.lag,
            "facts": self.seen.facts,
            "detail": self.seen.detail,
        }


@dataclass(frozen=True)
class Members:
    """The newest day's members: table -> its buckets with the most members, and how many buckets there are."""

    date: str
    total: int
    rate: float | None
    changed_at: datetime | None
    tables: Mapping[str, Sequence[Mapping[str, Any]]]
    buckets: Mapping[str, int]


class Mailbox:
    """The newest of each event that a subscriber has not taken yet."""

    def __init__(self, wake: Callable[[], None]) -> None:
        self._wake = wake
        self._lock = Lock()
        self._waiting: dict[tuple[str, str], str] = {}

    def put(self, event: str, name: str, data: str) -> None:
        """Have an event taken, instead of an older one of that name."""
        with self._lock:
            self._waiting[(event, name)] = data
        self._wake()

    def take(self) -> list[tuple[str, str]]:
        """What is waiting, as (event, JSON text)."""
        with self._lock:
            waiting, self._waiting = self._waiting, {}
        return [(event, data) for (event, _), data in waiting.items()]


class Board:
    """What is known now. Any thread may write and read it."""

    def __init__(self, now: datetime, stations: Sequence[str] = STATIONS) -> None:
        self._lock = Lock()
        self._stations = {name: Station(name, now) for name in stations}
        self._told = dict(self._stations)
        self._members: Members | None = None
        self._mailboxes: list[Mailbox] = []

    def show(self, name: str, seen: Look, at: datetime) -> None:
        """Take over what was seen of a station; one that was seen to be down keeps when it was last seen otherwise."""
        with self._lock:
            checked_at = self._stations[name].checked_at if seen.state == State.DOWN else at
            self._change(name, seen, at, checked_at)

    def show_away(self, name: str, complaint: str, means: str, at: datetime, state: State = State.DOWN) -> None:
        """Take over that a station does not answer, and why; what was last seen of it stays."""
        with self._lock:
            station = self._stations[name]
            seen = replace(station.seen, state=state, complaint=complaint, means=means, rate=None)
            self._change(name, seen, at, station.checked_at)

    def show_members(self, members: Members) -> None:
        """Take over the members' numbers."""
        with self._lock:
            if members != self._members:
                self._members = members
                self._tell_members()

    def station(self, name: str) -> Station:
        """A station as it is now."""
        with self._lock:
            return self._stations[name]

    @contextmanager
    def subscribe(self, wake: Callable[[], None]) -> Iterator[Mailbox]:
        """A mailbox with everything that is known, and then with what changes; `wake` is called when there is more."""
        mailbox = Mailbox(wake)
        with self._lock:
            for name, station in self._stations.items():
                mailbox.put("station", name, as_json(station.event))
            if self._members is not None:
                mailbox.put("members", "", self._members_event())
            self._mailboxes.append(mailbox)
        try:
            yield mailbox
        finally:
            with self._lock:
                self._mailboxes.remove(mailbox)

    def _change(self, name: str, seen: Look, at: datetime, checked_at: datetime | None) -> None:
        before = self._stations[name]
        since = before.since if before.seen.state == seen.state else at
        station = self._stations[name] = Station(name, since, seen, checked_at)
        told = self._told[name]
        is_old = checked_at is not None and (told.checked_at is None or checked_at - told.checked_at >= TELL_AGAIN)
        if replace(told, checked_at=checked_at) != station or is_old:
            self._told[name] = station
            self._tell("station", name, as_json(station.event))
        if name == MEMBERS_FROM and before.seen.state != seen.state and self._members is not None:
            self._tell_members()

    def _tell_members(self) -> None:
        self._tell("members", "", self._members_event())

    def _members_event(self) -> str:
        members = self._members
        is_stale = self._stations[MEMBERS_FROM].seen.state in (State.DOWN, State.UNKNOWN)
        return as_json({**vars(members), "rate": None if is_stale else members and members.rate, "is_stale": is_stale})

    def _tell(self, event: str, name: str, data: str) -> None:
        for mailbox in self._mailboxes:
            mailbox.put(event, name, data)


def as_json(value: Any) -> str:
    """JSON text; moments in UTC end with a Z."""
    return orjson.dumps(value, option=orjson.OPT_UTC_Z | orjson.OPT_OMIT_MICROSECONDS).decode()
