"""Confluent's wire format: a zero byte, the id of the schema that wrote the value, then the value in Avro."""

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

# Why a value is rejected before any rule of its record is tried, in this order.
EMPTY = Rejection(Reason.EMPTY_VALUE, "The record has no value.")
WRONG_MAGIC = Rejection(Reason.WRONG_MAGIC_BYTE, "The value does not begin with a zero byte and a schema's id.")
UNKNOWN = Rejection(Reason.UNKNOWN_SCHEMA, "The schema that the value names is not in the registry.")
UNDECODABLE = Rejection(Reason.UNDECODABLE, "The value is cut off, or is not what its schema describes.")


class UnreadableValueError(ValueError):
    """Raised for bytes that are no value of a known schema, and for a schema that cannot be used."""


class ValueWriter:
    """Writes records as values of one schema."""

    def __init__(self, schema_id: int, avro: str) -> None:
        self._header = HEADER.pack(MAGIC_BYTE, schema_id)
        self._schema = fastavro.parse_schema(json.loads(avro))

    def write(self, record: Mapping[str, Any]) -> bytes:
        """The value of a record, whose fields are Avro's plain ones (`records.codec.to_avro`)."""
        # fastavro itself: confluent-kafka's serializer takes four times as long around the same call.
        value = BytesIO(self._header)
        value.seek(len(self._header))
        fastavro.schemaless_writer(value, self._schema, record)
        return value.getvalue()


class ValueReader:
    """Reads values of any of some schemas, all as the same one."""

    def __init__(self, writers: Mapping[int, str], reader: str, *, plain: bool = False) -> None:
        """Raises UnreadableValueError where the reader's schema cannot be used; a writer's is only found out later.

        `plain` leaves days and moments as Avro's numbers, and puts the replacement character where text is not UTF-8,
        so that the rules of the fields decide about both.
        """
        self._writers = dict(writers)
        self._parsed: dict[int, _Writer] = {}
        self._plain = plain
        self._errors = "replace" if plain else "strict"
        self._reader = _parse_schema(reader, plain=plain)

    def read(self, value: bytes | None) -> dict[str, Any]:
        """The record of a value: text, days, moments in UTC. Raises UnreadableValueError, and nothing else.

        A value costs time and memory by its own size, whatever it claims to hold.
        """
        if value is None or len(value) <= HEADER.size:
            raise UnreadableValueError("There is no value, or not even a whole header.")
        magic, schema_id = HEADER.unpack_from(value)
        if magic != MAGIC_BYTE or schema_id not in self._writers:
            raise UnreadableValueError("The value does not name a known schema.")
        writer = self._parsed.get(schema_id) or self._parse_writer(schema_id)
        content = BytesIO(value)
        content.seek(HEADER.size)
        try:
            # fastavro takes each length and count for true, and recurses in C.
            writer.check(value, HEADER.size)
            record = fastavro.schemaless_reader(content, writer.schema, self._reader, False, False, self._errors)
        except Exception as error:
            # fastavro raises whatever its parts do: EOFError, UnicodeDecodeError, OverflowError, IndexError, ...
            raise UnreadableValueError(f"The value is not what its schema says: {error}") from error
        if not isinstance(record, dict):
            raise UnreadableValueError("The schema is not that of a record.")
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
    """A schema that wrote values, and the check that comes before they are decoded."""

    schema: Any
    check: Callable[[bytes, int], None]


def _parse_schema(avro: str, *, plain: bool) -> Any:
    try:
        schema = json.loads(avro)
        return fastavro.parse_schema(_without_logical_types(schema) if plain else schema)
    except Exception as error:
        # The registry also holds other kinds of schemas, and whatever somebody has registered.
        raise UnreadableValueError(f"The schema is not Avro that can be used: {type(error).__name__}.") from error


def _without_logical_types(schema: Any) -> Any:
    if isinstance(schema, list):
        return [_without_logical_types(one) for one in schema]
    if isinstance(schema, dict):
        return {name: _without_logical_types(one) for name, one in schema.items() if name != "logicalType"}
    return schema
