"""Decodes records one at a time, for batches that are too small for a Spark job.

Pure. Applies the same rules as `streaming.transforms.decode` and rejects the same records for the same reasons.
"""

from collections.abc import Collection, Mapping
from datetime import UTC, date, datetime, timedelta
from types import MappingProxyType
from typing import Any, NamedTuple

from member_analyzer.records.fields import DateField, RecordType, TimestampField
from member_analyzer.records.offsets import UnknownSchemaOffsets
from member_analyzer.records.rejection import Rejection
from member_analyzer.records.rules import broken_rule
from member_analyzer.records.wire import (
    EMPTY,
    HEADER,
    MAGIC_BYTE,
    UNDECODABLE,
    UNKNOWN,
    WRONG_MAGIC,
    UnreadableValueError,
    ValueReader,
)

_EPOCH_DAY = date(1970, 1, 1).toordinal()
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
# Stand for values outside the range of date and datetime; they break the rules of every field.
_TOO_EARLY, _TOO_LATE = datetime.min.replace(tzinfo=UTC), datetime.max.replace(tzinfo=UTC)


class Decoded(NamedTuple):
    """A record (text, dates, timestamps in UTC) or its rejection, and the schema id of the value, if any."""

    record: dict[str, Any] | None
    rejection: Rejection | None
    schema_id: int | None = None


class RecordDecoder:
    """Decodes the values of one topic.

    `writers` maps schema ids to Avro schemas; `reader` is the reader schema; `unbounded` and `unknown_schema_offsets`
    are as in `streaming.transforms.decode`.
    """

    def __init__(
        self,
        record_type: RecordType,
        *,
        writers: Mapping[int, str],
        reader: str,
        unbounded: Collection[int] = (),
        unknown_schema_offsets: UnknownSchemaOffsets = MappingProxyType({}),
    ) -> None:
        self._record_type = record_type
        self._reader = ValueReader(writers, reader, plain=True)
        self._known = {*writers, *unbounded}
        self._unknown_schema_offsets = unknown_schema_offsets
        self._conversions = [
            (field.name, _read_day if isinstance(field, DateField) else _read_moment)
            for field in record_type.fields
            if isinstance(field, DateField | TimestampField)
        ]

    def decode(self, value: bytes | None, partition: int, offset: int) -> Decoded:
        """Decode a value; the rules of the fields are not applied yet. Never raises."""
        if value is None:
            return Decoded(None, EMPTY)
        if len(value) <= HEADER.size or value[0] != MAGIC_BYTE:
            return Decoded(None, WRONG_MAGIC)
        _, schema_id = HEADER.unpack_from(value)
        if schema_id not in self._known or offset <= self._unknown_schema_offsets.get(schema_id, {}).get(partition, -1):
            return Decoded(None, UNKNOWN, schema_id)
        try:
            record = self._reader.read(value)
        except UnreadableValueError:
            return Decoded(None, UNDECODABLE, schema_id)
        for name, convert in self._conversions:
            number = record.get(name)
            if number is not None:
                record[name] = convert(number)
        return Decoded(record, None, schema_id)

    def validate(self, decoded: Decoded) -> Decoded:
        """Apply the rules of the fields."""
        if decoded.record is None or (rejection := broken_rule(self._record_type, decoded.record)) is None:
            return decoded
        return Decoded(None, rejection, decoded.schema_id)


def _read_day(days: int) -> date:
    try:
        return date.fromordinal(days + _EPOCH_DAY)
    except (ValueError, OverflowError):
        return (_TOO_LATE if days > 0 else _TOO_EARLY).date()


def _read_moment(milliseconds: int) -> datetime:
    try:
        return _EPOCH + timedelta(milliseconds=milliseconds)
    except OverflowError:
        return _TOO_LATE if milliseconds > 0 else _TOO_EARLY
