"""The Confluent wire format: a zero byte, the writer schema's id, then the Avro value."""

import json
import struct
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from io import BytesIO
from typing import Any

import fastavro

from member_analyzer.records.layout import compile_layout
from member_analyzer.records.rejection import Reason, Rejection

HEADER = struct.Struct(">bI")
MAGIC_BYTE = 0

# Rejections that precede the rules of the fields, in this order.
EMPTY = Rejection(Reason.EMPTY_VALUE, "The record has no value.")
WRONG_MAGIC = Rejection(Reason.WRONG_MAGIC_BYTE, "The value does not begin with a zero byte and a schema id.")
UNKNOWN = Rejection(Reason.UNKNOWN_SCHEMA, "The schema id of the value is not in the registry.")
UNDECODABLE = Rejection(Reason.UNDECODABLE, "The value is truncated or does not match its schema.")


class UnreadableValueError(ValueError):
    """Raised for bytes that are not a value of a known schema, and for an unusable schema."""


class ValueWriter:
    """Encodes records with one schema."""

    def __init__(self, schema_id: int, avro: str) -> None:
        self._header = HEADER.pack(MAGIC_BYTE, schema_id)
        self._schema = fastavro.parse_schema(json.loads(avro))

    def write(self, record: Mapping[str, Any]) -> bytes:
        """Encode a record of Avro primitives (`records.codec.to_avro`)."""
        # confluent-kafka's serializer takes four times as long for the same call.
        value = BytesIO(self._header)
        value.seek(len(self._header))
        fastavro.schemaless_writer(value, self._schema, record)
        return value.getvalue()


class ValueReader:
    """Decodes values of several writer schemas with one reader schema."""

    def __init__(self, writers: Mapping[int, str], reader: str, *, plain: bool = False) -> None:
        """Raises UnreadableValueError for an unusable reader schema; writer schemas are parsed on first use.

        `plain` keeps dates and timestamps as numbers and replaces invalid UTF-8 by the replacement character, so that
        the rules of the fields apply to both.
        """
        self._writers = dict(writers)
        self._parsed: dict[int, _Writer] = {}
        self._plain = plain
        self._errors = "replace" if plain else "strict"
        self._reader = _parse_schema(reader, plain=plain)

    def read(self, value: bytes | None) -> dict[str, Any]:
        """Decode a value to text, dates and timestamps in UTC. Raises only UnreadableValueError.

        Time and memory are bounded by the size of the value.
        """
        if value is None or len(value) <= HEADER.size:
            raise UnreadableValueError("The value is missing or shorter than its header.")
        magic, schema_id = HEADER.unpack_from(value)
        if magic != MAGIC_BYTE or schema_id not in self._writers:
            raise UnreadableValueError("The schema id of the value is unknown.")
        writer = self._parsed.get(schema_id) or self._parse_writer(schema_id)
        content = BytesIO(value)
        content.seek(HEADER.size)
        try:
            # fastavro trusts every length and count, and recurses in C.
            writer.check(value, HEADER.size)
            record = fastavro.schemaless_reader(content, writer.schema, self._reader, False, False, self._errors)
        except Exception as error:
            # fastavro raises many types: EOFError, UnicodeDecodeError, OverflowError, IndexError, ...
            raise UnreadableValueError(f"The value does not match its schema: {error}") from error
        if not isinstance(record, dict):
            raise UnreadableValueError("The schema is not a record schema.")
        return record

    def _parse_writer(self, schema_id: int) -> "_Writer":
        schema = _parse_schema(self._writers[schema_id], plain=self._plain)
        try:
            check = compile_layout(schema)
        except Exception as error:
            raise UnreadableValueError(f"The schema {schema_id} cannot be used: {error}") from error
        self._parsed[schema_id] = _Writer(schema, check)
        return self._parsed[schema_id]


@dataclass(frozen=True)
class _Writer:
    """A writer schema, and the layout check that precedes decoding."""

    schema: Any
    check: Callable[[bytes, int], None]


def _parse_schema(avro: str, *, plain: bool) -> Any:
    try:
        schema = json.loads(avro)
        return fastavro.parse_schema(_without_logical_types(schema) if plain else schema)
    except Exception as error:
        # The registry may hold other schema types and invalid schemas.
        raise UnreadableValueError(f"The schema is not usable Avro: {type(error).__name__}.") from error


def _without_logical_types(schema: Any) -> Any:
    if isinstance(schema, list):
        return [_without_logical_types(one) for one in schema]
    if isinstance(schema, dict):
        return {name: _without_logical_types(one) for name, one in schema.items() if name != "logicalType"}
    return schema
