"""Reads values by the schema that wrote them, and makes of them, and of other bytes, what the page can show."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from typing import Any

from member_analyzer.console.masking import MASK, mask_fields
from member_analyzer.records.text import printable
from member_analyzer.records.wire import HEADER, MAGIC_BYTE, UnreadableValueError, ValueReader

LONGEST_TEXT = 1000
MOST_ELEMENTS = 100
MOST_LEVELS = 20

Json = Any


class SchemasAwayError(Exception):
    """Raised when nobody can tell a schema now."""


@dataclass(frozen=True)
class Decoded:
    """A value as the page shows it: its fields, or why there are none."""

    schema_id: int | None
    fields: dict[str, Json] | None
    error: str | None


class Decoder:
    """Reads values of any schema; `find_schema` gives the schema of an id as text, and raises SchemasAwayError."""

    def __init__(self, find_schema: Callable[[int], str | None]) -> None:
        self._find_schema = find_schema
        self._readers: dict[int, ValueReader] = {}

    def decode(self, value: bytes | None, *, masked: bool) -> Decoded:
        """The fields of a value, those that may be personal masked where that is asked for."""
        if value is None:
            return Decoded(None, None, "There is no value.")
        if len(value) <= HEADER.size or value[0] != MAGIC_BYTE:
            return Decoded(None, None, "It does not begin as a value with a schema does.")
        _, schema_id = HEADER.unpack_from(value)
        try:
            reader = self._reader(schema_id)
        except SchemasAwayError:
            return Decoded(schema_id, None, f"The registry is away, so that schema {schema_id} cannot be asked for.")
        except UnreadableValueError:
            return Decoded(schema_id, None, f"The schema {schema_id} is not Avro that the console can read.")
        if reader is None:
            return Decoded(schema_id, None, f"The registry does not know schema {schema_id}.")
        try:
            fields = reader.read(value)
        except UnreadableValueError as error:
            # What the error says may quote the value.
            told = f"The value is not what schema {schema_id} says."
            return Decoded(schema_id, None, told if masked else shorten(str(error)))
        return Decoded(schema_id, as_shown(mask_fields(fields) if masked else fields), None)

    def _reader(self, schema_id: int) -> ValueReader | None:
        if schema_id not in self._readers:
            avro = self._find_schema(schema_id)
            if avro is None:
                return None
            self._readers[schema_id] = ValueReader({schema_id: avro}, avro)
        return self._readers[schema_id]


def as_shown(value: Any, levels: int = MOST_LEVELS) -> Json:
    """A decoded value as JSON values, each part of it as long as a page can show."""
    if not levels:
        return "…"
    match value:
        case Mapping():
            return {
                shorten(str(name)): as_shown(part, levels - 1) for name, part in list(value.items())[:MOST_ELEMENTS]
            }
        case str():
            return shorten(value)
        case bytes():
            return shorten(repr(value[:LONGEST_TEXT]))
        case None | bool() | float():
            return value
        case int():
            # JavaScript's numbers are exact up to here.
            return value if abs(value) < 2**53 else str(value)
        case datetime():
            return value.isoformat(timespec="milliseconds").replace("+00:00", "Z")
        case date():
            return value.isoformat()
        case Sequence():
            return [as_shown(part, levels - 1) for part in value[:MOST_ELEMENTS]]
        case _:
            return shorten(str(value))


def shorten(text: str) -> str:
    """The text, or its beginning where it is too long to show, without characters that break the page around it."""
    return printable(text if len(text) <= LONGEST_TEXT else f"{text[: LONGEST_TEXT - 1]}…", multiline=True)


def show_bytes(value: bytes | None, *, masked: bool) -> str | None:
    """Bytes as text, escaped where they are none; none where there are none."""
    if value is None:
        return None
    if masked:
        return MASK
    beginning = value[: 4 * LONGEST_TEXT]
    try:
        text = beginning.decode()
    except UnicodeDecodeError:
        return shorten(repr(beginning)[2:-1])
    return shorten(text)


def show_headers(headers: Sequence[tuple[str, bytes | None]], *, masked: bool) -> list[tuple[str, str | None]]:
    """A record's headers as pairs of texts; of very many only the first ones."""
    shown = [
        (shorten(name), MASK if masked and value else show_bytes(value, masked=False))
        for name, value in headers[:MOST_ELEMENTS]
    ]
    left_out = len(headers) - len(shown)
    return [*shown, ("…", f"{left_out:,} more headers")] if left_out else shown


def show_key(key: bytes | None) -> str | None:
    """A record's key as text."""
    return None if key is None else key.decode(errors="replace")
