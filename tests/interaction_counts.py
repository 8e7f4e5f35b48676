"""The counts of batches of interactions, kept in memory as the stream keeps them in Cassandra."""

from collections.abc import Iterable, Mapping, Sequence
from datetime import date
from typing import Any

from interaction_recount import Recount
from member_analyzer.analysis.interactions.changes import (
    InteractionChanges,
    Scope,
    Visitor,
    find_erasure_changes,
    find_interaction_changes,
    find_required,
)
from member_analyzer.analysis.interactions.tables import moment
from member_analyzer.streams.interactions.activity import CountKey, DayKey, Key, MinuteKey, Session
from member_analyzer.streams.interactions.identity import MEMBER_PREFIX
from member_analyzer.streams.interactions.visitor_state import Registration, VisitorState

Interaction = dict[str, Any]


class InteractionCounts:
    """Applies batches; states are stored as they are in Cassandra."""

    def __init__(self) -> None:
        self.states: dict[Visitor, bytes] = {}
        self.counts: dict[tuple[Scope, Key], tuple[int, ...]] = {}
        self.sessions: dict[tuple[Visitor, int], Session] = {}
        self.active: dict[tuple[Visitor, int], int] = {}
        self.members: dict[tuple[Visitor, str], int] = {}
        self.late: list[Mapping[str, Any]] = []
        self._ids: set[tuple[str, str]] = set()

    def apply(self, records: Iterable[Interaction], registrations: Mapping[str, Registration]) -> None:
        """Count a batch of interactions, without duplicates."""
        new = []
        for record in records:
            name = (record["source"], record["message_id"])
            if name not in self._ids:
                self._ids.add(name)
                new.append(record)
        self._apply(new, (), registrations)

    def register(self, registrations: Mapping[str, Registration]) -> None:
        """Count members by their registration who were active before it."""
        members = [one for one in self.states if one.id.removeprefix(MEMBER_PREFIX) in registrations]
        self._apply([], members, registrations)

    def erase(self, person: str) -> set[tuple[str, bool, str]]:
        """Erase a known visitor everywhere; return the visitors that were linked to it, with their scopes."""
        persons = [one for one in self.states if one.id == person]
        states = self._load((), persons)
        linked = {(*one.scope, name) for one in persons for name in states[one].linked}
        self._store(find_erasure_changes(persons, states))
        return linked

    def _load(self, records: Sequence[Interaction], visitors: Sequence[Visitor]) -> dict[Visitor, VisitorState]:
        states: dict[Visitor, VisitorState] = {}
        while required := find_required(records, states, visitors):
            for one in required:
                states[one] = VisitorState.decode(self.states[one]) if one in self.states else VisitorState()
        return states

    def _apply(
        self, records: Sequence[Interaction], members: Sequence[Visitor], registrations: Mapping[str, Registration]
    ) -> None:
        states = self._load(records, members)
        changes = find_interaction_changes(records, states=states, registrations=registrations, members=members)
        self._store(changes)

    def _store(self, changes: InteractionChanges) -> None:
        for one, state in changes.states.items():
            _set(self.states, one, state and state.encode())
        for name, delta in changes.counts.items():
            self.counts[name] = tuple(map(sum, zip(self.counts.get(name, (0,) * len(delta)), delta, strict=True)))
        for row, (session, _) in changes.sessions.items():
            _set(self.sessions, row, session)
        for minute, last_at in changes.active.items():
            _set(self.active, minute, last_at)
        for day, events in changes.members.items():
            _set(self.members, day, events)
        self.late += changes.late

    def as_recount(self) -> Recount:
        """Return the counts in the form of a recount, without those of 0."""
        found = Recount({}, {}, {}, {}, {})
        for (scope, key), values in self.counts.items():
            if not any(values):
                continue
            match key:
                case DayKey(day):
                    found.days[(scope.source, date.fromisoformat(day), scope.is_bot)] = values[:5]
                case CountKey(day, dimension, name, country):
                    bucket = (scope.source, date.fromisoformat(day), dimension, scope.is_bot, name, country)
                    found.counts[bucket] = values
                case MinuteKey(minute):
                    found.minutes[(scope.source, moment(minute), scope.is_bot)] = values
        for (person, began), one in self.sessions.items():
            found.sessions[(person.scope.source, person.scope.is_bot, person.id, moment(began))] = (
                *(date.fromisoformat(one.day), moment(one.ended_at), one.events, one.views, one.is_bounce),
                *(one.entry_page, one.exit_page),
            )
        for (person, day), events in self.members.items():
            name = (person.scope.source, date.fromisoformat(day), person.id.removeprefix(MEMBER_PREFIX))
            found.members[name] = events
        return found


def _set(rows: dict[Any, Any], name: Any, value: Any) -> None:
    if value is None:
        rows.pop(name, None)
    else:
        rows[name] = value
