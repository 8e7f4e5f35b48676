"""Positions in a person's history, and the months that it is read from."""

from datetime import UTC, date, datetime

import pytest

from member_analyzer.analysis.interactions.person_history import MONTHS, Position, list_months, parse_position

AT = datetime(2026, 11, 21, 9, 15, tzinfo=UTC)
POSITIONS = {
    "2026-11-21T09:15:00.000Z": Position(AT),
    "2026-11-21T09:15:00": Position(AT),
    "2026-11-21T10:15:00+01:00": Position(AT),
    "2026-11-21T09:15:00.0004Z": Position(AT),
    "2026-11-21": Position(AT.replace(hour=0, minute=0)),
    "2026-11-21T09:15:00.000Z~shop~a~b\n": Position(AT, "shop", "a~b\n"),
    "2026-11-21T09:15:00.000Z~shop~": Position(AT, "shop", ""),
}


@pytest.mark.parametrize("text", POSITIONS)
def test_a_position_is_a_moment_or_a_row_of_it(text: str) -> None:
    assert parse_position(text) == POSITIONS[text]


@pytest.mark.parametrize("position", POSITIONS.values(), ids=str)
def test_a_position_is_read_as_it_was_written(position: Position) -> None:
    assert parse_position(str(position)) == position


@pytest.mark.parametrize(
    "text",
    ["", "~", "yesterday", "1795252500", "2026-11-21T09:15:00Z~shop", "~shop~a", "0001-01-01T00:00:00+14:00"],
)
def test_other_text_is_no_position(text: str) -> None:
    with pytest.raises(ValueError, match=r"timestamp|isoformat|range"):
        parse_position(text)


def test_the_months_go_back_from_the_current_one_in_utc() -> None:
    months = list_months(datetime.fromisoformat("2026-03-01T01:00:00+02:00"), None)
    assert months[:4] == [date(2026, 3, 1), date(2026, 2, 1), date(2026, 1, 1), date(2025, 12, 1)]
    assert len(months) == MONTHS
    assert months[-1] == date(2025, 1, 1)


def test_an_interaction_that_is_a_little_ahead_of_the_clock_is_found() -> None:
    assert list_months(datetime(2026, 2, 28, 23, 59, 50, tzinfo=UTC), None)[0] == date(2026, 3, 1)
    assert list_months(datetime(2026, 2, 27, tzinfo=UTC), None)[0] == date(2026, 2, 1)


MONTHS_BEFORE = {
    "2026-11-21T09:15:00Z": date(2026, 11, 1),
    "2026-11-01T00:00:00Z~shop~a": date(2026, 11, 1),
    "2026-10-31T23:59:59Z": date(2026, 10, 1),
    "9999-12-31": date(2026, 11, 1),
}


@pytest.mark.parametrize("text", MONTHS_BEFORE)
def test_months_after_a_position_are_not_read(text: str) -> None:
    assert list_months(AT, parse_position(text))[0] == MONTHS_BEFORE[text]


def test_a_position_before_everything_that_is_kept_has_no_months() -> None:
    assert list_months(AT, parse_position("0001-01-01")) == []
    assert list_months(AT, parse_position("2025-09-15")) == [date(2025, 9, 1)]
