"""Conversion of records to and from JSON values and Avro primitives."""

from collections.abc import Callable, Mapping
from datetime import UTC, date, datetime, timedelta
from functools import cache
from typing import Any

from member_analyzer.records.fields import DateField, RecordType, TimestampField
from member_analyzer.records.rejection import RecordRejectedError, Rejection
from member_analyzer.records.rules import wrong_type

_EPOCH_DAY = date(1970, 1, 1).toordinal()


_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


_MILLISECOND = timedelta(milliseconds=1)


def to_json(record_type: RecordType, record: Mapping[str, Any]) -> dict[str, Any]:
    """Convert a record to JSON values: ISO 8601 dates and timestamps (UTC, milliseconds), without nulls."""
    values: dict[str, Any] = {}
    for name, write in _json_writers(record_type):
        value = record.get(name)
        if value is not None:
            values[name] = value if write is None else write(value)
    return values


def from_json(record_type: RecordType, values: Mapping[str, Any]) -> dict[str, Any]:
    """Convert `to_json`'s values to a record; unknown fields are ignored.

    Raises RecordRejectedError for an invalid date or timestamp.
    """
    record = {name: values.get(name) for name in record_type.names}
    for name, read, wrong in _json_readers(record_type):
        value = record[name]
        if value is None:
            continue
        if not isinstance(value, str):
            raise RecordRejectedError(wrong)
        try:
            record[name] = read(value)
        except ValueError:
            raise RecordRejectedError(wrong) from None
    return record


def to_avro(record_type: RecordType, values: Mapping[str, Any]) -> dict[str, Any]:
    """Convert `to_json`'s values to Avro primitives: days or milliseconds since the epoch (int, long), string, null.

    The values must be valid (`broken_rule`).
    """
    record: dict[str, Any] = dict.fromkeys(record_type.names)
    record.update(values)
    for name, convert in _avro_conversions(record_type):
        value = record[name]
        if value is not None:
            record[name] = convert(value)
    return record


def read_day(text: str) -> date:
    """Parse an ISO 8601 date; of a timestamp, the date as written, in its own time zone. Raises ValueError."""
    try:
        return date.fromisoformat(text)
    except ValueError:
        return datetime.fromisoformat(text).date()


def read_moment(text: str) -> datetime:
    """Parse an ISO 8601 timestamp, in UTC, truncated to milliseconds; without an offset it is taken as UTC.

    Raises ValueError for any other text.
    """
    try:
        moment = datetime.fromisoformat(text)
        if moment.tzinfo is not UTC:
            moment = moment.replace(tzinfo=UTC) if moment.tzinfo is None else moment.astimezone(UTC)
    except OverflowError as error:
        raise ValueError(str(error)) from None
    excess = moment.microsecond % 1000
    return moment.replace(microsecond=moment.microsecond - excess) if excess else moment


@cache
def _json_readers(record_type: RecordType) -> list[tuple[str, Callable[[str], Any], Rejection]]:
    readers: dict[type, Callable[[str], Any]] = {DateField: read_day, TimestampField: read_moment}
    return [(one.name, readers[type(one)], wrong_type(one)) for one in record_type.fields if type(one) in readers]


@cache
def _json_writers(record_type: RecordType) -> list[tuple[str, Callable[[Any], str] | None]]:
    """Return the writer of each field, in order; None for text, which is written unchanged."""
    writers: dict[type, Callable[[Any], str]] = {DateField: date.isoformat, TimestampField: write_moment}
    return [(field.name, writers.get(type(field))) for field in record_type.fields]


def write_moment(moment: datetime) -> str:
    """Return a moment as an ISO 8601 timestamp in UTC with milliseconds, such as `2026-11-21T09:15:00.000Z`."""
    if moment.tzinfo is not UTC:
        moment = moment.astimezone(UTC)
    return moment.isoformat(timespec="milliseconds").replace("+00:00", "Z")


@cache
def _avro_conversions(record_type: RecordType) -> list[tuple[str, Callable[[str], int]]]:
    converters: dict[type, Callable[[str], int]] = {
        DateField: lambda text: date.fromisoformat(text).toordinal() - _EPOCH_DAY,
        TimestampField: lambda text: (datetime.fromisoformat(text) - _EPOCH) // _MILLISECOND,
    }
    return [(one.name, converters[type(one)]) for one in record_type.fields if type(one) in converters]
