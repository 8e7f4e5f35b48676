"""Computes the changes of a micro-batch of interactions, from the stored state of its visitors.

Pure: the stream looks up the states in Cassandra and passes them. The result does not depend on how interactions are
divided into batches, nor on their order, as long as none is late.
"""

from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from operator import add, sub
from typing import Any, NamedTuple

from member_analyzer.streams.interactions.activity import (
    Activity,
    DayCounts,
    DayKey,
    Key,
    Session,
    describe_activity,
    name_key,
    near,
)
from member_analyzer.streams.interactions.identity import ANONYMOUS_PREFIX, MEMBER_PREFIX
from member_analyzer.streams.interactions.visitor_state import LATENESS, Link, Registration, VisitorState
from member_analyzer.streams.interactions.visits import Visit, add_events, day_of, milliseconds

Record = Mapping[str, Any]
NO_STATE = VisitorState()
# An application may invent an anonymous id for each request of a known user, whose state must not grow without limit.
MOST_LINKED = 1000
LATE, ERASED = DayCounts(late=1), DayCounts(erased=1)


class Scope(NamedTuple):
    """What is counted apart: the interactions of a source, by people or by bots."""

    source: str
    is_bot: bool


class Visitor(NamedTuple):
    """A visitor id within a scope."""

    scope: Scope
    id: str


# Whose row it is, and the key of the row: the begin of a session, a minute, or a day.
SessionRow = tuple[Visitor, int]
ActiveRow = tuple[Visitor, int]
MemberRow = tuple[Visitor, str]

States = Mapping[Visitor, VisitorState]


@dataclass
class InteractionChanges:
    """The changes of a batch: new states and rows, which are absolute, and what is added to the counts.

    A state or a row that is None is to be deleted. `sessions` also has the day under which the row of a session is to
    be deleted, because it has become a part of another one, or began on another day.
    """

    states: dict[Visitor, VisitorState | None] = field(default_factory=dict)
    counts: dict[tuple[Scope, Key], tuple[int, ...]] = field(default_factory=dict)
    sessions: dict[SessionRow, tuple[Session | None, str | None]] = field(default_factory=dict)
    active: dict[ActiveRow, int | None] = field(default_factory=dict)
    members: dict[MemberRow, int | None] = field(default_factory=dict)
    late: list[Record] = field(default_factory=list)

    def add(self, scope: Scope, key: Key, delta: tuple[int, ...]) -> None:
        """Add to a count."""
        known = self.counts.get((scope, key))
        self.counts[(scope, key)] = delta if known is None else tuple(map(add, known, delta))

    def add_erased(self, scope: Scope, key: Key) -> None:
        """Count an interaction of an erased member on a day."""
        self.add(scope, key, ERASED)

    def replace(self, person: Visitor, old: Activity, new: Activity) -> None:
        """Replace the activity of a person, or a part of it."""
        for key in old.counts.keys() | new.counts.keys():
            was, now = old.counts.get(key), new.counts.get(key)
            if was == now:
                continue
            nothing = (0,) * len(was or now or ())
            delta = tuple(map(sub, now or nothing, was or nothing))
            self.add(person.scope, name_key(key), delta)
        for began in old.sessions.keys() | new.sessions.keys():
            earlier, session = old.sessions.get(began), new.sessions.get(began)
            if earlier != session:
                is_moved = earlier is not None and (session is None or session.day != earlier.day)
                self.sessions[(person, began)] = (session, earlier.day if earlier is not None and is_moved else None)
        _replace_rows(self.active, person, old.active, new.active)
        if not person.scope.is_bot and person.id.startswith(MEMBER_PREFIX):
            _replace_rows(self.members, person, old.registered_days, new.registered_days)


def _replace_rows(
    rows: dict[tuple[Visitor, Any], Any], person: Visitor, old: Mapping[Any, Any], new: Mapping[Any, Any]
) -> None:
    for name, row in new.items():
        if old.get(name) != row:
            rows[(person, name)] = row
    for name in old.keys() - new.keys():
        rows[(person, name)] = None


def scope_of(record: Record) -> Scope:
    """Return the scope in which an interaction is counted."""
    return Scope(record["source"], record["is_bot"] == "true")


def find_required(records: Iterable[Record], states: States, visitors: Iterable[Visitor] = ()) -> set[Visitor]:
    """Return the visitors whose states are required for a batch and not among `states` yet.

    Call it again with their states, until the result is empty: states name other visitors.
    """
    required = {*visitors}
    for record in records:
        scope = scope_of(record)
        required.add(Visitor(scope, record["visitor"]))
        required.update(Visitor(scope, one) for one in _linked_by(record))
    for visitor in [*required]:
        required.update(_related(visitor, states))
    for visitor in [*required]:
        # The other anonymous ids of the person to whom an anonymous id belongs.
        required.update(_related(visitor, states))
    return required - states.keys()


def _related(visitor: Visitor, states: States) -> set[Visitor]:
    state = states.get(visitor, NO_STATE)
    related = {Visitor(visitor.scope, one) for one in state.linked}
    if state.link is not None:
        related.add(Visitor(visitor.scope, state.link.visitor))
    return related


def find_interaction_changes(
    records: Iterable[Record],
    *,
    states: States,
    registrations: Mapping[str, Registration],
    members: Iterable[Visitor] = (),
) -> InteractionChanges:
    """Compute the changes of interactions that are no duplicates.

    `states` are those that `find_required` names. `registrations` are those of members whose state has none, by member
    id. `members` are counted by their registration from now on, also without an interaction.
    """
    changes = InteractionChanges()
    before = {visitor: _without_old_visits(state) for visitor, state in states.items()}
    after = dict(before)
    arrived, links = _sort_records(records, before, changes)
    for visitor, events in arrived.items():
        state = before.get(visitor, NO_STATE)
        after[visitor] = replace(state, visits=tuple(add_events(state.visits, events)))
    moved = _apply_links(links, after)
    persons = {_person_of(one, states): None for one in (*arrived, *moved, *members) for states in (before, after)}
    for person in persons:
        state = after.get(person, NO_STATE)
        registration = registrations.get(person.id.removeprefix(MEMBER_PREFIX))
        if state.registration is None and registration is not None and person.id.startswith(MEMBER_PREFIX):
            after[person] = replace(state, registration=registration)
        _compare(person, before, after, changes)
    changes.states = {visitor: state for visitor, state in after.items() if before.get(visitor) is not state}
    return changes


def find_erasure_changes(persons: Iterable[Visitor], states: States) -> InteractionChanges:
    """Compute the changes that erase known visitors, with the anonymous ids linked to them.

    `states` are those that `find_required` names for the persons.
    """
    changes = InteractionChanges()
    before = {visitor: _without_old_visits(state) for visitor, state in states.items()}
    for person in persons:
        state = before.get(person, NO_STATE)
        if state == NO_STATE:
            continue
        changes.replace(person, describe_activity(_visits_of(person, before), state.registration), Activity())
        changes.states |= {person: None, **{Visitor(person.scope, one): None for one in state.linked}}
    return changes


def _sort_records(
    records: Iterable[Record], states: States, changes: InteractionChanges
) -> tuple[Mapping[Visitor, list[tuple[int, Record]]], Mapping[Visitor, Link]]:
    """Return the events of each visitor that are not late, with their times, and the earliest link of each."""
    arrived: defaultdict[Visitor, list[tuple[int, Record]]] = defaultdict(list)
    links: dict[Visitor, Link] = {}
    newest: dict[Visitor, int] = {}
    for record in records:
        scope, at = scope_of(record), milliseconds(record["occurred_at"])
        visitor = Visitor(scope, record["visitor"])
        if visitor not in newest:
            newest[visitor] = states.get(visitor, NO_STATE).newest or at
        if at < newest[visitor] - LATENESS:
            changes.late.append(record)
            changes.add(scope, DayKey(day_of(record)), LATE)
            continue
        newest[visitor] = max(newest[visitor], at)
        arrived[visitor].append((at, record))
        link = Link(at, record["message_id"], visitor.id)
        for anonymous in _linked_by(record):
            key = Visitor(scope, anonymous)
            links[key] = min(links.get(key, link), link)
    return arrived, links


def _linked_by(record: Record) -> list[str]:
    """Return the anonymous ids that an interaction links to its visitor, as visitor ids."""
    if record["visitor"].startswith(ANONYMOUS_PREFIX):
        return []
    named = (record["anonymous_id"], record["previous_id"])
    return [ANONYMOUS_PREFIX + one for one in named if one is not None]


def _apply_links(links: Mapping[Visitor, Link], states: dict[Visitor, VisitorState]) -> list[Visitor]:
    """Link anonymous ids, in place; return those that belong to somebody else now. The earliest link wins."""
    moved = []
    for visitor, link in links.items():
        state = states.get(visitor, NO_STATE)
        if state.link is not None and state.link <= link:
            continue
        owner = state.link and state.link.visitor
        if owner != link.visitor:
            later = Visitor(visitor.scope, link.visitor)
            known = states.get(later, NO_STATE)
            if len(known.linked) >= MOST_LINKED:
                continue
            moved.append(visitor)
            if owner is not None:
                earlier = Visitor(visitor.scope, owner)
                states[earlier] = replace(states[earlier], linked=states[earlier].linked - {visitor.id})
            states[later] = replace(known, linked=known.linked | {visitor.id})
        states[visitor] = replace(state, link=link)
    return moved


def _person_of(visitor: Visitor, states: States) -> Visitor:
    link = states.get(visitor, NO_STATE).link
    return visitor if link is None else Visitor(visitor.scope, link.visitor)


def _visits_of(person: Visitor, states: States) -> list[Visit]:
    state = states.get(person, NO_STATE)
    if state.link is not None:
        return []
    linked = (states.get(Visitor(person.scope, one), NO_STATE) for one in state.linked)
    return [*state.visits, *(visit for one in linked for visit in one.visits)]


def _compare(person: Visitor, before: States, after: States, changes: InteractionChanges) -> None:
    """Add the changes of a person."""
    old, new = _visits_of(person, before), _visits_of(person, after)
    was, registration = before.get(person, NO_STATE).registration, after.get(person, NO_STATE).registration
    if was == registration:
        known, kept = {id(visit) for visit in old}, {id(visit) for visit in new}
        touched = [one for one in old if id(one) not in kept] + [one for one in new if id(one) not in known]
        if not touched:
            return
        begin, end = min(one.first[0] for one in touched), max(one.last[0] for one in touched)
        old, new = near(old, begin, end), near(new, begin, end)
    changes.replace(person, describe_activity(old, was), describe_activity(new, registration))


def _without_old_visits(state: VisitorState) -> VisitorState:
    visits = state.remembered_visits()
    return state if visits is state.visits else replace(state, visits=visits)
