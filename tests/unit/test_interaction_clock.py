from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from interaction_samples import RECEIVED_AT, make_item, read
from member_analyzer.records.fields import EARLIEST_MOMENT, LATEST_MOMENT
from member_analyzer.streams.interactions.clock import LARGEST_LEAD, LONGEST_DELAY, correct_time, read_time

NOON = datetime(2026, 3, 1, 12, 0, tzinfo=UTC)


@pytest.mark.parametrize(
    ("value", "moment"),
    [
        *((text, NOON) for text in ("2026-03-01T12:00:00Z", "2026-03-01T12:00:00+00:00", "2026-03-01T12:00:00.000Z")),
        *((text, NOON) for text in ("2026-03-01T13:00:00+01:00", "2026-03-01T03:30:00-0830", "2026-03-01 12:00:00")),
        *((text, NOON) for text in ("2026-03-01T12:00", "2026-03-01t12:00:00z", " 2026-03-01T12:00:00Z\n")),
        *((text, NOON) for text in ("20260301T120000Z", "2026-03-01T12:00:00.000000000Z")),
        *((text, NOON.replace(hour=0)) for text in ("2026-03-01", "20260301")),
        *(
            (text, NOON + timedelta(milliseconds=123))
            for text in ("2026-03-01T12:00:00.123Z", "2026-03-01T12:00:00.123999Z", "2026-03-01T12:00:00.123456789Z")
        ),
        ("2026-03-01T12:00:00.5", NOON + timedelta(milliseconds=500)),
        *((NOON.timestamp() * unit, NOON) for unit in (1, 10**3, 10**6, 10**9)),
        *((int(NOON.timestamp()) * unit, NOON) for unit in (1, 10**3, 10**6, 10**9)),
        *((str(int(NOON.timestamp()) * unit), NOON) for unit in (1, 10**3, 10**6, 10**9)),
        (NOON.timestamp() + 0.25, NOON + timedelta(milliseconds=250)),
        (f"{NOON.timestamp():.3f}", NOON),
        # `fromisoformat` reads it as a time of the year 1712.
        ("1712010400000", datetime(2024, 4, 1, 22, 26, 40, tzinfo=UTC)),
        (0, datetime(1970, 1, 1, tzinfo=UTC)),
        (-86_400, datetime(1969, 12, 31, tzinfo=UTC)),
        ("1900-01-01T00:00:00Z", EARLIEST_MOMENT),
        ("9999-12-30T23:59:59.999Z", LATEST_MOMENT - timedelta(milliseconds=1)),
    ],
)
def test_a_time_is_read_as_clients_write_it(value: object, moment: datetime) -> None:
    assert read_time(value) == moment


@pytest.mark.parametrize(
    "value",
    [
        *(
            None,
            "",
            " ",
            "now",
            "yesterday",
            "2026-13-01T00:00:00Z",
            "2026-02-30",
            "12:00",
            "2026",
            True,
            False,
            [],
            {},
        ),
        *("0001-01-01T00:00:00Z", "0001-01-01T00:00:00+14:00", "1899-12-31T23:59:59Z", "9999-12-31T00:00:00Z"),
        *("9999-12-31T23:59:59-14:00", "+010000-01-01T00:00:00Z", "2026-03-01T12:00:60Z", "٢٠٢٦-03-01"),
        *(float("nan"), float("inf"), float("-inf"), 1e300, 10**30, -(10**30), "9" * 5000, "1e12", "1_772_366_400"),
    ],
)
def test_what_is_no_time_is_missing(value: object) -> None:
    assert read_time(value) is None


@given(st.text() | st.floats() | st.integers() | st.text("0123456789-:.TZ+ ", max_size=30) | st.none() | st.booleans())
def test_any_value_is_a_time_that_every_system_can_store_or_missing(value: object) -> None:
    moment = read_time(value)
    if moment is not None:
        assert EARLIEST_MOMENT <= moment < LATEST_MOMENT
        assert moment.tzinfo is UTC
        assert moment.microsecond % 1000 == 0


@pytest.mark.parametrize(
    ("sent", "original", "corrected"),
    [
        # The client's clock is right, an hour ahead, and a year behind: what counts is how long ago it was.
        (RECEIVED_AT, RECEIVED_AT - timedelta(seconds=3), RECEIVED_AT - timedelta(seconds=3)),
        (RECEIVED_AT + timedelta(hours=1), RECEIVED_AT + timedelta(minutes=59), RECEIVED_AT - timedelta(minutes=1)),
        (RECEIVED_AT - timedelta(days=365), RECEIVED_AT - timedelta(days=366), RECEIVED_AT - timedelta(days=1)),
        (None, RECEIVED_AT - timedelta(hours=2), RECEIVED_AT - timedelta(hours=2)),
        (RECEIVED_AT - timedelta(hours=2), None, RECEIVED_AT),
        (None, None, RECEIVED_AT),
        # Tomorrow, 2099 and 1970.
        (None, RECEIVED_AT + timedelta(days=1), RECEIVED_AT + LARGEST_LEAD),
        (RECEIVED_AT, RECEIVED_AT + timedelta(minutes=2), RECEIVED_AT + LARGEST_LEAD),
        (None, datetime(2099, 1, 1, tzinfo=UTC), RECEIVED_AT + LARGEST_LEAD),
        (None, datetime(1970, 1, 1, tzinfo=UTC), RECEIVED_AT - LONGEST_DELAY),
        (RECEIVED_AT, datetime(1970, 1, 1, tzinfo=UTC), RECEIVED_AT - LONGEST_DELAY),
        (datetime(1970, 1, 1, tzinfo=UTC), RECEIVED_AT, RECEIVED_AT + LARGEST_LEAD),
        (EARLIEST_MOMENT, LATEST_MOMENT, RECEIVED_AT + LARGEST_LEAD),
        (LATEST_MOMENT, EARLIEST_MOMENT, RECEIVED_AT - LONGEST_DELAY),
        (RECEIVED_AT, RECEIVED_AT - LONGEST_DELAY, RECEIVED_AT - LONGEST_DELAY),
        (RECEIVED_AT, RECEIVED_AT - LONGEST_DELAY - timedelta(milliseconds=1), RECEIVED_AT - LONGEST_DELAY),
        (RECEIVED_AT, RECEIVED_AT + LARGEST_LEAD, RECEIVED_AT + LARGEST_LEAD),
    ],
)
def test_a_wrong_clock_is_corrected_and_cannot_lead_far(
    sent: datetime | None, original: datetime | None, corrected: datetime
) -> None:
    assert correct_time(RECEIVED_AT, sent_at=sent, original_at=original) == corrected


MOMENTS = (
    st.none()
    | st.datetimes(EARLIEST_MOMENT.replace(tzinfo=None), LATEST_MOMENT.replace(tzinfo=None), timezones=st.just(UTC))
    | st.timedeltas(timedelta(days=-60), timedelta(days=60)).map(lambda away: RECEIVED_AT + away)
)


@given(MOMENTS, MOMENTS)
def test_no_clock_leads_out_of_the_bounds(sent: datetime | None, original: datetime | None) -> None:
    corrected = correct_time(RECEIVED_AT, sent_at=sent, original_at=original)
    assert RECEIVED_AT - LONGEST_DELAY <= corrected <= RECEIVED_AT + LARGEST_LEAD


@pytest.mark.parametrize(
    ("changes", "occurred_at", "original_at", "sent_at"),
    [
        ({"timestamp": "0001-01-01T00:00:00", "sentAt": "0001-01-01T00:00:00"}, RECEIVED_AT, None, None),
        ({"timestamp": "soon"}, RECEIVED_AT, None, datetime(2026, 3, 1, 12, 30, 4, tzinfo=UTC)),
        ({"originalTimestamp": "soon", "sentAt": None}, NOON.replace(minute=30), NOON.replace(minute=30), None),
        ({"originalTimestamp": "2026-03-01T12:00:00Z", "sentAt": None}, NOON, NOON, None),
    ],
)
def test_both_times_of_the_client_are_kept_beside_the_corrected_one(
    changes: dict[str, Any], occurred_at: datetime, original_at: datetime | None, sent_at: datetime | None
) -> None:
    record = read(make_item(**changes))
    assert (record["occurred_at"], record["original_at"], record["sent_at"]) == (occurred_at, original_at, sent_at)
