"""The counts of interactions, compared with an independent recount."""

import os
import random
import zlib
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from interaction_counts import InteractionCounts
from interaction_histories import MEMBERS, histories, make_record
from interaction_recount import recount
from member_analyzer.analysis.interactions.changes import MOST_LINKED, Scope, Visitor
from member_analyzer.streams.interactions.activity import CountKey, DayKey
from member_analyzer.streams.interactions.visitor_state import VisitorState
from member_analyzer.streams.interactions.visits import LARGEST_VALUES, OTHER

CASES = int(os.environ.get("RECORD_CASES", "400"))


def in_batches(records: Sequence[Any], sizes: Sequence[int]) -> list[Sequence[Any]]:
    batches, begin, number = [], 0, 0
    while begin < len(records):
        end = begin + sizes[number % len(sizes)]
        batches.append(records[begin:end])
        begin, number = end, number + 1
    return batches


@settings(deadline=None, max_examples=CASES)
@given(histories(), st.lists(st.integers(1, 5), min_size=1, max_size=4), st.randoms(use_true_random=False))
def test_the_counts_equal_a_recount_whatever_the_order_and_the_batches(
    history: list[dict[str, Any]], sizes: list[int], shuffler: random.Random
) -> None:
    expected = recount(history, MEMBERS)
    arrived = sorted(history, key=lambda _: shuffler.random())
    # Of equal ids the first in the list counts, in both.
    first = {(one["source"], one["message_id"]): one for one in reversed(history)}
    arrived = [first[(one["source"], one["message_id"])] for one in arrived]
    counts = InteractionCounts()
    for batch in in_batches(arrived, sizes):
        counts.apply(batch, MEMBERS)
    assert counts.as_recount() == expected
    assert counts.late == []


@settings(deadline=None, max_examples=CASES // 4)
@given(histories(), st.integers(0, 30))
def test_members_who_register_after_their_interactions_are_counted_as_if_they_had_before(
    history: list[dict[str, Any]], known_from: int
) -> None:
    counts = InteractionCounts()
    for number, batch in enumerate(in_batches(history, [3])):
        counts.apply(batch, MEMBERS if number >= known_from else {})
    counts.register(MEMBERS)
    assert counts.as_recount() == recount(history, MEMBERS)


@settings(deadline=None, max_examples=CASES // 4)
@given(histories(), st.sampled_from(["m:ann", "m:bob", "u:eve@example.com"]))
def test_an_erased_person_is_subtracted_from_all_counts(history: list[dict[str, Any]], erased: str) -> None:
    counts = InteractionCounts()
    for batch in in_batches(history, [4]):
        counts.apply(batch, MEMBERS)
    linked = counts.erase(erased)
    rest = [
        one
        for one in history
        if one["visitor"] != erased and (one["source"], one["is_bot"] == "true", one["visitor"]) not in linked
    ]
    found, expected = counts.as_recount(), recount(rest, MEMBERS)
    # Links of the erased person are gone with it.
    assert found.days == expected.days
    assert found.sessions == expected.sessions
    assert not any(visitor.id == erased for visitor in counts.states)


def test_an_interaction_much_older_than_the_newest_of_its_visitor_is_late_and_nobody_elses_is() -> None:
    now = datetime(2026, 3, 28, 12, tzinfo=UTC)
    counts = InteractionCounts()
    counts.apply([make_record("1", "m:ann", now)], MEMBERS)
    late = make_record("2", "m:ann", now - timedelta(days=33), anonymous_id="a1")
    in_time = make_record("3", "m:ann", now - timedelta(days=31))
    other = make_record("4", "m:bob", now - timedelta(days=400))
    counts.apply([late, in_time, other], MEMBERS)
    assert counts.late == [late]
    day = DayKey(late["day"].isoformat())
    assert counts.counts[(Scope(late["source"], False), day)] == (0, 0, 0, 0, 0, 1, 0)
    assert counts.as_recount().members == recount([in_time, other, make_record("1", "m:ann", now)], MEMBERS).members
    # It does not link either.
    assert Visitor(Scope(late["source"], False), "a:a1") not in counts.states


def test_a_clock_that_is_ahead_makes_only_its_own_visitor_late() -> None:
    now = datetime(2026, 3, 28, 12, tzinfo=UTC)
    counts = InteractionCounts()
    counts.apply([make_record("1", "a:fast", now + timedelta(days=365))], MEMBERS)
    counts.apply([make_record("2", "a:right", now)], MEMBERS)
    assert counts.late == []


def test_a_visitor_without_old_visits_keeps_what_was_counted_of_them() -> None:
    begin = datetime(2026, 1, 1, 12, tzinfo=UTC)
    history = [make_record(str(day), "m:ann", begin + timedelta(days=day)) for day in range(120)]
    counts = InteractionCounts()
    for batch in in_batches(history, [7]):
        counts.apply(batch, MEMBERS)
    assert counts.as_recount() == recount(history, MEMBERS)
    # 120 days of state would be three times as large.
    state = counts.states[Visitor(Scope(history[0]["source"], False), "m:ann")]
    assert len(state) < 0.6 * len(whole_state(history))


def test_the_state_of_a_visitor_with_ever_new_pages_is_bounded_and_its_events_are_exact() -> None:
    begin, paths = datetime(2026, 3, 10, 12, tzinfo=UTC), [f"/{number:0500d}" for number in range(5000)]
    history = [make_record(path, "a:crawler", begin, path=path) for path in paths]
    counts = InteractionCounts()
    sizes = []
    for batch in in_batches(history, [500]):
        counts.apply(batch, MEMBERS)
        (state,) = counts.states.values()
        sizes.append(len(zlib.decompress(state)))
    assert max(sizes) < LARGEST_VALUES + 500 * 600
    assert sizes[-1] - sizes[-3] < 100, "the state still grows"
    scope, day = Scope(history[0]["source"], False), history[0]["day"].isoformat()
    assert counts.counts[(scope, DayKey(day))][:3] == (5000, 1, 1)
    pages = {key: values for (_, key), values in counts.counts.items() if getattr(key, "dimension", "") == "page"}
    assert sum(values[0] for values in pages.values()) == 5000
    other = CountKey(day, "page", OTHER)
    assert pages[other][1:] == (1, 1)
    counts.apply([make_record("again", "a:crawler", begin, path=paths[0])], MEMBERS)
    assert counts.counts[(scope, CountKey(day, "page", paths[0]))] == (2, 1, 1), "a known page is counted as OTHER"


def test_a_known_user_with_an_anonymous_id_for_each_event_is_linked_to_some_only() -> None:
    begin, size = datetime(2026, 3, 10, 12, tzinfo=UTC), MOST_LINKED + 100
    history = [make_record(f"{n:05}", "m:ann", begin, anonymous_id=f"device-{n:05}") for n in range(size)]
    counts = InteractionCounts()
    for batch in in_batches(history, [200]):
        counts.apply(batch, MEMBERS)
    scope = Scope(history[0]["source"], False)
    linked = VisitorState.decode(counts.states[Visitor(scope, "m:ann")]).linked
    assert len(linked) == MOST_LINKED
    # An id that is not linked stays a person of its own.
    counts.apply([make_record("own", f"a:device-{size - 1:05}", begin)], MEMBERS)
    day = history[0]["day"].isoformat()
    assert counts.counts[(scope, DayKey(day))][:3] == (size + 1, 2, 2)
    assert counts.erase("m:ann") == {(*scope, name) for name in linked}


def whole_state(history: Sequence[dict[str, Any]]) -> bytes:
    """The state of the visitor of a history, with all its visits."""
    counts = InteractionCounts()
    counts.apply(history, MEMBERS)
    (state,) = counts.states.values()
    return state
