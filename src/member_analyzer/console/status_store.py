"""Current status of all components and the current member counts, with subscriptions to their changes.

Thread-safe. A slow subscriber gets only the newest version of each event.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from threading import Lock
from typing import Any

import orjson

from member_analyzer.console.status import COMPONENTS, Component, State, Status

MEMBER_COUNTS_COMPONENT = "cassandra"

# An otherwise unchanged component is published again at this interval to update `checked_at`.
REPUBLISH_INTERVAL = timedelta(seconds=15)


@dataclass(frozen=True)
class MemberCounts:
    """Counts of the newest day: the largest buckets of each table, and the number of its buckets."""

    date: str
    total: int
    rate: float | None
    changed_at: datetime | None
    tables: Mapping[str, Sequence[Mapping[str, Any]]]
    bucket_counts: Mapping[str, int]


class Subscription:
    """Events that a subscriber has not taken yet, the newest of each name."""

    def __init__(self, wake: Callable[[], None]) -> None:
        self._wake = wake
        self._lock = Lock()
        self._pending: dict[tuple[str, str], str] = {}

    def put(self, event: str, name: str, data: str) -> None:
        """Add an event; it replaces an older one with the same name."""
        with self._lock:
            self._pending[(event, name)] = data
        self._wake()

    def take(self) -> list[tuple[str, str]]:
        """Remove and return the pending events, as (event, JSON text)."""
        with self._lock:
            pending, self._pending = self._pending, {}
        return [(event, data) for (event, _), data in pending.items()]


class StatusStore:
    """Holds the current state of the console and publishes its changes."""

    def __init__(self, now: datetime, components: Sequence[str] = COMPONENTS) -> None:
        self._lock = Lock()
        self._components = {name: Component(name, now) for name in components}
        self._published = dict(self._components)
        self._member_counts: MemberCounts | None = None
        self._subscriptions: list[Subscription] = []

    def update(self, name: str, status: Status, at: datetime) -> None:
        """Set the status of a component; `checked_at` does not advance while it is down."""
        with self._lock:
            checked_at = self._components[name].checked_at if status.state == State.DOWN else at
            self._set(name, status, at, checked_at)

    def mark_unavailable(self, name: str, error: str, impact: str, at: datetime, state: State = State.DOWN) -> None:
        """Set the error of a component that could not be checked; its last known details stay."""
        with self._lock:
            component = self._components[name]
            status = replace(component.status, state=state, error=error, impact=impact, rate=None)
            self._set(name, status, at, component.checked_at)

    def update_member_counts(self, counts: MemberCounts) -> None:
        with self._lock:
            if counts != self._member_counts:
                self._member_counts = counts
                self._publish_member_counts()

    def component(self, name: str) -> Component:
        with self._lock:
            return self._components[name]

    @contextmanager
    def subscribe(self, wake: Callable[[], None]) -> Iterator[Subscription]:
        """A subscription that starts with the full current state; `wake` is called for each event."""
        subscription = Subscription(wake)
        with self._lock:
            for name, component in self._components.items():
                subscription.put("component", name, to_json(component.document))
            if self._member_counts is not None:
                subscription.put("members", "", self._member_counts_json())
            self._subscriptions.append(subscription)
        try:
            yield subscription
        finally:
            with self._lock:
                self._subscriptions.remove(subscription)

    def _set(self, name: str, status: Status, at: datetime, checked_at: datetime | None) -> None:
        before = self._components[name]
        since = before.since if before.status.state == status.state else at
        component = self._components[name] = Component(name, since, status, checked_at)
        published = self._published[name]
        is_due = checked_at is not None and (
            published.checked_at is None or checked_at - published.checked_at >= REPUBLISH_INTERVAL
        )
        if replace(published, checked_at=checked_at) != component or is_due:
            self._published[name] = component
            self._publish("component", name, to_json(component.document))
        if name == MEMBER_COUNTS_COMPONENT and before.status.state != status.state and self._member_counts is not None:
            self._publish_member_counts()

    def _publish_member_counts(self) -> None:
        self._publish("members", "", self._member_counts_json())

    def _member_counts_json(self) -> str:
        counts = self._member_counts
        state = self._components[MEMBER_COUNTS_COMPONENT].status.state
        is_stale = state in (State.DOWN, State.UNKNOWN)
        return to_json({**vars(counts), "rate": None if is_stale else counts and counts.rate, "is_stale": is_stale})

    def _publish(self, event: str, name: str, data: str) -> None:
        for subscription in self._subscriptions:
            subscription.put(event, name, data)


def to_json(value: Any) -> str:
    """JSON text; timestamps in UTC end with a Z."""
    return orjson.dumps(value, option=orjson.OPT_UTC_Z | orjson.OPT_OMIT_MICROSECONDS).decode()
