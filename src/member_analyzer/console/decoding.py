"""Decodes values with their writer schemas, and converts any bytes into what a page can show."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from typing import Any

from member_analyzer.console.masking import MASK, mask_fields
from member_analyzer.records.text import printable
from member_analyzer.records.wire import HEADER, MAGIC_BYTE, UnreadableValueError, ValueReader

MAX_TEXT_LENGTH = 1000
MAX_ELEMENTS = 100
MAX_DEPTH = 20
# The largest integer that is exact in JavaScript.
MAX_SAFE_INTEGER = 2**53 - 1

Json = Any


class RegistryUnavailableError(Exception):
    """Raised when a schema cannot be looked up now."""


@dataclass(frozen=True)
class Decoded:
    """The fields of a value, or the error that prevented decoding."""

    schema_id: int | None
    fields: dict[str, Json] | None
    error: str | None


class Decoder:
    """Decodes values of any schema; `find_schema` returns a schema by id, or raises RegistryUnavailableError."""

    def __init__(self, find_schema: Callable[[int], str | None]) -> None:
        self._find_schema = find_schema
        self._readers: dict[int, ValueReader] = {}

    def decode(self, value: bytes | None, *, masked: bool) -> Decoded:
        if value is None:
            return Decoded(None, None, "The value is null.")
        if len(value) <= HEADER.size or value[0] != MAGIC_BYTE:
            return Decoded(None, None, "The value has no schema id.")
        _, schema_id = HEADER.unpack_from(value)
        try:
            reader = self._reader(schema_id)
        except RegistryUnavailableError:
            return Decoded(schema_id, None, f"Schema {schema_id} cannot be looked up: the registry is unavailable.")
        except UnreadableValueError:
            return Decoded(schema_id, None, f"Schema {schema_id} is not supported by the console.")
        if reader is None:
            return Decoded(schema_id, None, f"Schema {schema_id} is not in the registry.")
        try:
            fields = reader.read(value)
        except UnreadableValueError as error:
            # The error may quote the value.
            message = f"The value does not match schema {schema_id}." if masked else shorten(str(error))
            return Decoded(schema_id, None, message)
        return Decoded(schema_id, to_json_value(mask_fields(fields) if masked else fields), None)

    def _reader(self, schema_id: int) -> ValueReader | None:
        if schema_id not in self._readers:
            schema = self._find_schema(schema_id)
            if schema is None:
                return None
            self._readers[schema_id] = ValueReader({schema_id: schema}, schema)
        return self._readers[schema_id]


def to_json_value(value: Any, depth: int = MAX_DEPTH) -> Json:
    """A decoded value as JSON, truncated to what a page can show."""
    if not depth:
        return "…"
    match value:
        case Mapping():
            items = list(value.items())[:MAX_ELEMENTS]
            return {shorten(str(name)): to_json_value(element, depth - 1) for name, element in items}
        case str():
            return shorten(value)
        case bytes():
            return shorten(repr(value[:MAX_TEXT_LENGTH]))
        case None | bool() | float():
            return value
        case int():
            return value if abs(value) <= MAX_SAFE_INTEGER else str(value)
        case datetime():
            return value.isoformat(timespec="milliseconds").replace("+00:00", "Z")
        case date():
            return value.isoformat()
        case Sequence():
            return [to_json_value(element, depth - 1) for element in value[:MAX_ELEMENTS]]
        case _:
            return shorten(str(value))


def shorten(text: str) -> str:
    """The text, truncated, with control and bidirectional characters escaped."""
    return printable(text if len(text) <= MAX_TEXT_LENGTH else f"{text[: MAX_TEXT_LENGTH - 1]}…", multiline=True)


def format_bytes(value: bytes | None, *, masked: bool) -> str | None:
    """Bytes as text, escaped where they are not UTF-8."""
    if value is None:
        return None
    if masked:
        return MASK
    beginning = value[: 4 * MAX_TEXT_LENGTH]
    try:
        text = beginning.decode()
    except UnicodeDecodeError:
        return shorten(repr(beginning)[2:-1])
    return shorten(text)


def format_headers(headers: Sequence[tuple[str, bytes | None]], *, masked: bool) -> list[tuple[str, str | None]]:
    """Names and values of a record's first MAX_ELEMENTS headers."""
    formatted = [
        (shorten(name), MASK if masked and value else format_bytes(value, masked=False))
        for name, value in headers[:MAX_ELEMENTS]
    ]
    omitted = len(headers) - len(formatted)
    return [*formatted, ("…", f"{omitted:,} more headers")] if omitted else formatted


def format_key(key: bytes | None) -> str | None:
    return None if key is None else key.decode(errors="replace")
