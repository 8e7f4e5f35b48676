"""Decodes records one by one, for batches that are too small for a Spark job.

Pure. It applies the same rules as `streaming.transforms.decode`, and rejects the same records for the same reasons.
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
# In the place of what no date or datetime can hold: they break the rules of every field.
_TOO_EARLY, _TOO_LATE = datetime.min.replace(tzinfo=UTC), datetime.max.replace(tzinfo=UTC)


class Decoded(NamedTuple):
    """A record's values (text, days, moments in UTC), or why it is rejected; and the schema that it names, if any."""

    record: dict[str, Any] | None
    rejection: Rejection | None
    schema_id: int | None = None


class RecordDecoder:
    """Reads the values of one topic.

    `writers` is schema id -> Avro schema; `reader` is the Avro schema that every version is read as; `unbounded` and
    `unknown_schema_offsets` are as `streaming.transforms.decode` has them.
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
        """The record of a value, with every rule but those of its fields applied. Never raises."""
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
        """The same, rejected where the record breaks a rule."""
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
