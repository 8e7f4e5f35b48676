"""Confluent's wire format: a zero byte, the id of the schema that wrote the value, then the value in Avro."""

import json
import struct
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from io import BytesIO
from typing import Any

import fastavro

from member_analyzer.layout import compile_layout

HEADER = struct.Struct(">bI")
MAGIC_BYTE = 0


class UnreadableValueError(ValueError):
    """Raised for bytes that are no value of a known schema, and for a schema that cannot be used."""


class ValueWriter:
    """Writes records as values of one schema."""

    def __init__(self, schema_id: int, avro: str) -> None:
        self._header = HEADER.pack(MAGIC_BYTE, schema_id)
        self._schema = fastavro.parse_schema(json.loads(avro))

    def write(self, record: Mapping[str, Any]) -> bytes:
        """The value of a record, whose fields are Avro's plain ones (`record.to_avro`)."""
        # fastavro itself: confluent-kafka's serializer takes four times as long around the same call.
        value = BytesIO(self._header)
        value.seek(len(self._header))
        fastavro.schemaless_writer(value, self._schema, record)
        return value.getvalue()


class ValueReader:
    """Reads values of any of some schemas, all as the same one."""

    def __init__(self, writers: Mapping[int, str], reader: str) -> None:
        """Raises UnreadableValueError where the reader's schema cannot be used; a writer's is only found out later."""
        self._writers = dict(writers)
        self._parsed: dict[int, _Writer] = {}
        self._reader = _parse_schema(reader)

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
            record = fastavro.schemaless_reader(content, writer.schema, self._reader, False)
        except Exception as error:
            # fastavro raises whatever its parts do: EOFError, UnicodeDecodeError, OverflowError, IndexError, ...
            raise UnreadableValueError(f"The value is not what its schema says: {error}") from error
        if not isinstance(record, dict):
            raise UnreadableValueError("The schema is not that of a record.")
        return record

    def _parse_writer(self, schema_id: int) -> "_Writer":
        schema = _parse_schema(self._writers[schema_id])
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


def _parse_schema(avro: str) -> Any:
    try:
        return fastavro.parse_schema(json.loads(avro))
    except Exception as error:
        # The registry also holds other kinds of schemas, and whatever somebody has registered.
        raise UnreadableValueError(f"The schema is not Avro that can be used: {type(error).__name__}.") from error
