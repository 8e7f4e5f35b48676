"""The times of an interaction, corrected for the client's clock."""

from datetime import UTC, datetime, timedelta
from math import isfinite

from member_analyzer.records.codec import read_moment
from member_analyzer.records.fields import EARLIEST_MOMENT, LATEST_MOMENT

LONGEST_DELAY = timedelta(days=30)
LARGEST_LEAD = timedelta(minutes=1)

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
# From this number on, a number of seconds is one of milliseconds, and so on: seconds of the year 2286, milliseconds of
# April 1970.
_NEXT_UNIT = 10**10
_UNITS = (1, 1000, 1_000_000, 1_000_000_000)
# Digits that are neither a year nor a date without hyphens.
_FEWEST_DIGITS = 9


def read_time(value: object) -> datetime | None:
    """Return a client's time in UTC, truncated to milliseconds, or None if it cannot be read.

    Text is ISO 8601, with any number of decimals; without an offset it is UTC. Numbers, also as text, are seconds since
    1970, or milliseconds, microseconds or nanoseconds if they are as large as those of today. Times before 1900 and
    after 9999 are no times: some clients send the year 1 for none.
    """
    kind = type(value)
    moment: datetime | None = None
    if kind is str:
        moment = _read_text(value)  # type: ignore[arg-type]
    elif kind is int or kind is float:
        moment = _read_number(value)  # type: ignore[arg-type]
    return moment if moment is not None and EARLIEST_MOMENT <= moment < LATEST_MOMENT else None


def correct_time(received_at: datetime, *, sent_at: datetime | None, original_at: datetime | None) -> datetime:
    """Return when an interaction happened by the clock of the platform.

    As in the Segment tracking API, received - (sent - original); without `sent_at`, the original time; without both,
    the time of receipt. The result is at most LONGEST_DELAY before and LARGEST_LEAD after the receipt, so that a wrong
    clock cannot move the watermark. All times are aware.
    """
    if original_at is None:
        return received_at
    delay = (received_at if sent_at is None else sent_at) - original_at
    # Compared as a duration: the difference of two valid times need not lead to a valid time.
    if delay > LONGEST_DELAY:
        delay = LONGEST_DELAY
    elif delay < -LARGEST_LEAD:
        delay = -LARGEST_LEAD
    return received_at - delay


def _read_text(text: str) -> datetime | None:
    # `fromisoformat` takes any character for the `T`, so it reads some numbers of milliseconds as dates.
    if text[4:5] != "-":
        text = text.strip()
        if len(text) >= _FEWEST_DIGITS and text.replace(".", "", 1).lstrip("+-").isdecimal():
            return _read_number(float(text))
    try:
        return read_moment(text)
    except ValueError:
        pass
    try:
        # Some clients write `z`, or white space around it.
        return read_moment(text.strip().upper())
    except ValueError:
        return None


def _read_number(number: float) -> datetime | None:
    if not isfinite(number):
        return None
    size = abs(number)
    for unit in _UNITS:
        if size < _NEXT_UNIT * unit:
            return _EPOCH + timedelta(milliseconds=int(number * 1000 / unit))
    return None
