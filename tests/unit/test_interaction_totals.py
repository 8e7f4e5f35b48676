"""Totals of interactions: bots, order and empty minutes."""

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from member_analyzer.analysis.interactions.totals import (
    Bucket,
    DayTotals,
    count_active,
    fill_minutes,
    rank_buckets,
    sum_day,
)

NOW = datetime(2026, 11, 21, 9, 20, 31, 250_000, tzinfo=UTC)
PEOPLE = {"events": 10, "visitors": 4, "sessions": 5, "bounces": 2, "milliseconds": 9000, "late": 1, "erased": 3}
BOTS = {"events": 7, "visitors": 1, "sessions": 1, "bounces": 0, "milliseconds": 250, "late": 0, "erased": None}


def day_row(*, is_bot: bool) -> dict[str, Any]:
    return {"is_bot": is_bot, **(BOTS if is_bot else PEOPLE)}


def bucket_row(name: str, events: int | None, visitors: int, sessions: int = 1, country: str = "") -> dict[str, Any]:
    return {"name": name, "country": country, "events": events, "visitors": visitors, "sessions": sessions}


def minute_row(minute: datetime, events: int, *, is_bot: bool = False) -> dict[str, Any]:
    # Cassandra's driver returns moments in UTC without a time zone.
    return {"minute": minute.replace(tzinfo=None), "is_bot": is_bot, "events": events, "visitors": 1, "sessions": None}


def active_row(person: str, seconds: float, *, is_bot: bool = False) -> dict[str, Any]:
    last_at = (NOW - timedelta(seconds=seconds)).replace(tzinfo=None)
    return {"person": person, "is_bot": is_bot, "last_at": last_at}


DAYS: dict[str, tuple[list[bool], bool, DayTotals | None]] = {
    "people": ([False, True], False, DayTotals(10, 4, 5, 2, 9000, 1, 3)),
    "people and bots": ([False, True], True, DayTotals(17, 5, 6, 2, 9250, 1, 3)),
    "people only": ([False], True, DayTotals(10, 4, 5, 2, 9000, 1, 3)),
    "bots only, without bots": ([True], False, DayTotals(0, 0, 0, 0, 0, 0, 0)),
    "nobody": ([], True, None),
}


@pytest.mark.parametrize("case", DAYS)
def test_bots_are_added_to_a_day_only_on_request(case: str) -> None:
    rows, with_bots, totals = DAYS[case]
    assert sum_day([day_row(is_bot=is_bot) for is_bot in rows], with_bots=with_bots) == totals


def test_buckets_are_sorted_by_visitors_then_events_then_name() -> None:
    rows = [
        bucket_row("a", 5, 1),
        bucket_row("b", 9, 3),
        bucket_row("c", 9, 3),
        bucket_row("d", 8, 4),
        bucket_row("e", 10, 3),
    ]
    assert [one.name for one in rank_buckets([rows], 10)] == ["d", "e", "b", "c", "a"]
    assert [one.name for one in rank_buckets([rows], 2)] == ["d", "e"]


def test_equal_buckets_of_people_and_bots_are_one() -> None:
    people = [bucket_row("/", 5, 2), bucket_row("/b", 4, 3)]
    bots = [bucket_row("/", 50, 2), bucket_row("/a", 1, 1)]
    assert rank_buckets([people, bots], 10) == [
        Bucket("/", "", 55, 4, 2),
        Bucket("/b", "", 4, 3, 1),
        Bucket("/a", "", 1, 1, 1),
    ]


def test_cities_of_two_countries_are_two() -> None:
    people = [bucket_row("Vaduz", 1, 1, country="Chile"), bucket_row("Vaduz", 1, 1, country="Norway")]
    assert rank_buckets([people, people], 10) == [
        Bucket("Vaduz", "Chile", 2, 2, 2),
        Bucket("Vaduz", "Norway", 2, 2, 2),
    ]


def test_a_bucket_that_lost_all_its_counts_is_left_out() -> None:
    assert rank_buckets([[bucket_row("a", 0, 0, 0), bucket_row("b", None, 0, 1)]], 10) == [Bucket("b", "", 0, 0, 1)]


def test_of_many_buckets_only_as_many_as_wanted_are_in_memory() -> None:
    alive: set[int] = set()

    class Counted(dict[str, Any]):
        def __init__(self, number: int) -> None:
            super().__init__(bucket_row(f"{number:06}", number, 1))
            alive.add(id(self))

        def __del__(self) -> None:
            alive.discard(id(self))

    most = 0

    def rows() -> Iterator[Counted]:
        nonlocal most
        for number in range(2000):
            yield Counted(number)
            most = max(most, len(alive))

    assert len(rank_buckets([rows()], 5)) == 5
    assert most < 20


def test_the_last_thirty_minutes_are_complete_and_in_order() -> None:
    current = NOW.replace(second=0, microsecond=0)
    rows = [
        minute_row(current, 3),
        minute_row(current, 100, is_bot=True),
        minute_row(current - timedelta(minutes=29), 2),
        minute_row(current - timedelta(minutes=30), 50),
        minute_row(current + timedelta(minutes=1), 50),
    ]
    filled = fill_minutes(rows, NOW, with_bots=False)
    assert [one.minute for one in filled] == [current - timedelta(minutes=29 - number) for number in range(30)]
    assert [one.events for one in filled] == [2, *[0] * 28, 3]
    assert (filled[0].visitors, filled[0].sessions, filled[1].visitors) == (1, 0, 0)
    assert fill_minutes(rows, NOW, with_bots=True)[-1].events == 103


def test_the_minutes_are_utc_whatever_the_zone_of_the_clock_is() -> None:
    zone = datetime.fromisoformat("2026-11-21T14:50:31+05:30")
    assert fill_minutes([], zone, with_bots=False)[-1].minute == datetime(2026, 11, 21, 9, 20, tzinfo=UTC)


ACTIVE: dict[str, tuple[list[dict[str, Any]], bool, int]] = {
    "one person in several minutes": ([active_row("a", 1), active_row("a", 70), active_row("a", 299)], False, 1),
    "exactly five minutes ago": ([active_row("a", 300)], False, 1),
    "longer ago": ([active_row("a", 300.001)], False, 0),
    "two persons": ([active_row("a", 1), active_row("b", 1)], False, 2),
    "a bot": ([active_row("a", 1), active_row("b", 1, is_bot=True)], False, 1),
    "a bot on request": ([active_row("a", 1), active_row("b", 1, is_bot=True)], True, 2),
    "nobody": ([], True, 0),
}


@pytest.mark.parametrize("case", ACTIVE)
def test_active_are_the_distinct_persons_of_the_last_five_minutes(case: str) -> None:
    rows, with_bots, expected = ACTIVE[case]
    assert count_active(rows, NOW, with_bots=with_bots) == expected
