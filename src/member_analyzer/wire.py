"""Confluent's wire format: a zero byte, the id of the schema that wrote the value, then the value in Avro."""

import json
import struct
from collections.abc import Mapping
from io import BytesIO
from typing import Any

import fastavro

HEADER = struct.Struct(">bI")
MAGIC_BYTE = 0


class UnreadableValueError(ValueError):
    """Raised for bytes that are no value of a known schema."""


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
        self._writers = {schema_id: fastavro.parse_schema(json.loads(avro)) for schema_id, avro in writers.items()}
        self._reader = fastavro.parse_schema(json.loads(reader))

    def read(self, value: bytes | None) -> dict[str, Any]:
        """The record of a value: text, days, moments in UTC. Raises UnreadableValueError, and nothing else."""
        if value is None or len(value) <= HEADER.size:
            raise UnreadableValueError("There is no value, or not even a whole header.")
        magic, schema_id = HEADER.unpack_from(value)
        if magic != MAGIC_BYTE or schema_id not in self._writers:
            raise UnreadableValueError("The value does not name a known schema.")
        try:
            record = fastavro.schemaless_reader(
                BytesIO(value[HEADER.size :]), self._writers[schema_id], self._reader, False
            )
        except Exception as error:
            # fastavro raises whatever its parts do: EOFError, UnicodeDecodeError, OverflowError, IndexError, ...
            raise UnreadableValueError(f"The value is not what its schema says: {error}") from error
        if not isinstance(record, dict):
            raise UnreadableValueError("The schema is not that of a record.")
        return record
