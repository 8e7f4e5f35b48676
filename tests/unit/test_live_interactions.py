"""The journal of the interactions, the cache of states, and how a batch is divided."""

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import given, settings

from interaction_histories import MEMBERS, histories, make_record
from member_analyzer.analysis.interactions.changes import (
    Scope,
    Visitor,
    find_erasure_changes,
    find_interaction_changes,
    find_required,
)
from member_analyzer.analysis.interactions.journal import InteractionJournal
from member_analyzer.analysis.interactions.state_cache import StateCache
from member_analyzer.streaming.batch import Accepted
from member_analyzer.streaming.interaction_sink import divide
from member_analyzer.streams.interactions.visitor_state import VisitorState, decode_linked
from member_analyzer.streams.interactions.visits import add_events, milliseconds

NOON = datetime(2026, 3, 28, 12, tzinfo=UTC)
SHOP = Scope("web-shop", is_bot=False)


def make_state(*hours: int) -> VisitorState:
    """A state with a visit in each of these hours."""
    records = [make_record(str(hour), "a:a1", NOON + timedelta(hours=hour)) for hour in hours]
    return VisitorState(tuple(add_events((), [(milliseconds(one["occurred_at"]), one) for one in records])))


@settings(deadline=None, max_examples=50)
@given(histories())
def test_a_journal_is_the_same_after_it_was_stored(history: list[dict[str, Any]]) -> None:
    states: dict[Visitor, VisitorState] = {}
    while required := find_required(history, states):
        states |= {one: VisitorState() for one in required}
    unique = {(one["source"], one["message_id"]): one for one in history}.values()
    changes = find_interaction_changes(unique, states=states, registrations=MEMBERS)
    persons = [one for one in changes.states if not one.id.startswith("a:")]
    known = {one: state for one, state in changes.states.items() if state is not None}
    for found in (changes, find_erasure_changes(persons, known)):
        counts = {key: tuple(delta) for key, delta in found.counts.items()}
        journal = InteractionJournal(found.states, counts, found.sessions, found.active, found.members)
        again = InteractionJournal.decode(journal.encode())
        assert again.encode() == journal.encode()
        assert (again.counts, again.sessions, again.active, again.members) == (
            *(journal.counts, journal.sessions, journal.active, journal.members),
        )
        assert again.states.keys() == journal.states.keys()


@settings(deadline=None, max_examples=50)
@given(histories())
def test_a_state_is_the_same_after_it_was_stored(history: list[dict[str, Any]]) -> None:
    states: dict[Visitor, VisitorState] = {}
    while required := find_required(history, states):
        states |= {one: VisitorState() for one in required}
    unique = {(one["source"], one["message_id"]): one for one in history}.values()
    changes = find_interaction_changes(unique, states=states, registrations=MEMBERS)
    for state in changes.states.values():
        assert state is not None
        again = VisitorState.decode(state.encode())
        assert again.encode() == state.encode()
        assert (again.link, again.linked, again.registration) == (state.link, state.linked, state.registration)
        assert decode_linked(state.encode()) == sorted(state.linked)


def test_the_cache_keeps_the_most_recent_states_up_to_a_number_of_visits() -> None:
    first, second, third = (Visitor(SHOP, name) for name in ("a:1", "a:2", "a:3"))
    cache = StateCache(6)
    cache.keep({first: make_state(0, 1), second: make_state(0)})
    cache.keep({first: make_state(0, 1)})
    cache.keep({third: make_state(0)})
    assert cache.find([first, second, third]).keys() == {first, third}
    cache.keep({second: make_state(*range(9))})
    assert cache.find([first, second, third]) == {}
    cache.keep({second: make_state(0)})
    assert cache.find([second]).keys() == {second}


def make_accepted(*positions: tuple[int, int]) -> list[Accepted]:
    return [Accepted({}, partition, offset) for partition, offset in positions]


@pytest.mark.parametrize(
    ("positions", "most", "expected"),
    [
        ([], 2, [([], {0: 9, 1: 7})]),
        ([(0, 1), (1, 2)], 2, [([(0, 1), (1, 2)], {0: 9, 1: 7})]),
        ([(1, 3), (0, 5), (0, 1)], 2, [([(0, 1), (0, 5)], {0: 5}), ([(1, 3)], {0: 9, 1: 7})]),
        (
            [(1, 3), (0, 5), (1, 2)],
            1,
            [([(0, 5)], {0: 5}), ([(1, 2)], {0: 9, 1: 2}), ([(1, 3)], {0: 9, 1: 7})],
        ),
    ],
)
def test_a_batch_is_divided_into_parts_that_are_complete_up_to_an_offset(
    positions: list[tuple[int, int]], most: int, expected: list[Any]
) -> None:
    parts = divide(make_accepted(*positions), {0: 9, 1: 7}, most)
    assert [([(one.partition, one.offset) for one in part], dict(ends)) for part, ends in parts] == expected
