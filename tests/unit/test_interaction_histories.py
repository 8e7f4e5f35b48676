from collections.abc import Callable
from datetime import UTC, date, datetime, timedelta
from itertools import pairwise
from random import Random
from typing import Any

import pytest
from hypothesis import Phase, find, given, settings

from interaction_histories import APP, MEMBERS, SHOP, histories, make_record
from interaction_recount import drop_duplicates, find_owners, find_sessions, group, recount
from member_analyzer.records.canonical import canonical
from member_analyzer.records.rules import broken_rule
from member_analyzer.streams.interactions.identity import find_identity
from member_analyzer.streams.interactions.record import INTERACTION

History = list[dict[str, Any]]

MINUTE, MILLISECOND = timedelta(minutes=1), timedelta(milliseconds=1)


@given(histories(changed_repeats=True))
def test_each_record_is_one_that_the_topic_can_have(history: History) -> None:
    for record in history:
        assert record.keys() == {*INTERACTION.names, "day"}
        of_topic = {name: record[name] for name in INTERACTION.names}
        assert broken_rule(INTERACTION, of_topic) is None
        assert canonical(INTERACTION, of_topic) == of_topic
        identity = find_identity(record["visitor"][2:] if record["visitor"][0] != "a" else None, record["anonymous_id"])
        assert identity == (record["visitor"], record["member_id"], record["anonymous_id"])


@pytest.mark.parametrize(
    ("source", "time", "day"),
    [
        (APP, "2026-03-28T23:59:59.999", 28),
        (APP, "2026-03-29T00:00", 29),
        (SHOP, "2026-03-28T22:59:59.999", 28),
        (SHOP, "2026-03-28T23:00", 29),
        # In summer time
        (SHOP, "2026-03-29T21:59:59.999", 29),
        (SHOP, "2026-03-29T22:00", 30),
    ],
)
def test_the_day_of_a_record_is_that_of_its_source(source: str, time: str, day: int) -> None:
    moment = datetime.fromisoformat(time).replace(tzinfo=UTC)
    assert make_record("1", "a:x", moment, source=source)["day"] == date(2026, 3, day)


@given(histories())
def test_repeated_records_are_equal(history: History) -> None:
    first = {(record["source"], record["message_id"]): record for record in drop_duplicates(history)}
    assert all(record == first[record["source"], record["message_id"]] for record in history)


def gaps(history: History) -> set[timedelta]:
    """The gaps within sessions, and between consecutive sessions of one person."""
    found = set()
    last = None
    for session in sorted(find_sessions(history), key=lambda one: one.key):
        found |= {later["occurred_at"] - earlier["occurred_at"] for earlier, later in pairwise(session.events)}
        if last is not None and last.key[:3] == session.key[:3]:
            found.add(session.events[0]["occurred_at"] - last.events[-1]["occurred_at"])
        last = session
    return found


def joins(history: History, *, by_a_link: bool) -> bool:
    """A record leaves fewer sessions than there were, because of a new link or else by its time."""
    return any(
        len(find_sessions(later)) < len(find_sessions(earlier)) and (links(later) != links(earlier)) == by_a_link
        for earlier, later in pairwise(history[:number] for number in range(len(history) + 1))
    )


def links(history: History) -> list[dict[str, str]]:
    return [owners for events in group(history).values() if (owners := find_owners(events))]


def has_competing_evidence(history: History) -> bool:
    """Two known visitors use one anonymous id, which has events of its own."""
    visitors = {record["visitor"] for record in history}
    known = {(record["visitor"], record["anonymous_id"]) for record in history if record["visitor"][0] != "a"}
    ids = [one for _, one in known if f"a:{one}" in visitors]
    return len(set(ids)) < len(ids)


def changes_an_owner(history: History) -> bool:
    """A link that arrives later belongs to an earlier time, and is of another visitor."""
    return any(
        find_owners(events[:number]).get(visitor, owner) != owner
        for events in group(drop_duplicates(history)).values()
        for visitor, owner in find_owners(events).items()
        for number in range(len(events))
    )


CASES: dict[str, Callable[[History], bool]] = {
    "an exact gap": lambda history: 30 * MINUTE in gaps(history),
    "a gap that is too long by a millisecond": lambda history: 30 * MINUTE + MILLISECOND in gaps(history),
    "a gap that is shorter by a millisecond": lambda history: 30 * MINUTE - MILLISECOND in gaps(history),
    "one moment": lambda history: timedelta() in gaps(history),
    "a session over midnight": lambda history: any(
        event["day"] != session.day for session in find_sessions(history) for event in session.events
    ),
    "an event that joins two sessions": lambda history: joins(history, by_a_link=False),
    "a link that joins two sessions": lambda history: joins(history, by_a_link=True),
    "evidence of two visitors": has_competing_evidence,
    "an owner that changes": changes_an_owner,
    "an alias that links": lambda history: any(
        record["type"] == "alias" and record["visitor"][0] != "a" and record["previous_id"] for record in history
    ),
    "a repeated record": lambda history: len(drop_duplicates(history)) < len(history),
    "one message id in two sources": lambda history: (
        len({record["message_id"] for record in history}) < len(drop_duplicates(history))
    ),
    "a person who is a bot too": lambda history: (
        len({(one.source, one.person) for one in find_sessions(history)})
        < len({(one.source, one.person, one.is_bot) for one in find_sessions(history)})
    ),
    "a bounce": lambda history: any(totals.bounces for totals in recount(history, {}).days.values()),
    "a birthday within a session": lambda history: any(
        key[2] == "age_group" and counts.sessions == 0 for key, counts in recount(history, MEMBERS).counts.items()
    ),
}


@pytest.mark.parametrize("case", CASES)
def test_histories_contain_what_is_difficult(case: str) -> None:
    # `find` raises an error if there is none among the examples.
    few = settings(max_examples=300, phases=[Phase.generate], database=None)
    find(histories(), CASES[case], settings=few, random=Random(21))


def test_changed_repeats_are_at_other_times_and_of_other_content() -> None:
    few = settings(max_examples=300, phases=[Phase.generate], database=None)

    def differs_in(name: str) -> Callable[[History], bool]:
        return lambda history: any(
            one["message_id"] == other["message_id"] and one["source"] == other["source"] and one[name] != other[name]
            for one in history
            for other in history
        )

    for name in ("occurred_at", "content", "is_bot", "visitor"):
        find(histories(changed_repeats=True), differs_in(name), settings=few, random=Random(21))
