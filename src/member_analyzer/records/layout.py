"""Checks that bytes match the layout of an Avro schema before they are decoded.

A decoder trusts its input: a length of two billion, 2^60 items of zero bytes, a million nesting levels. This check
compares every length with the remaining bytes and bounds the number of values and levels. It rejects what Java's
decoder rejects, such as an overlong varint, so that Python and Spark agree on which values can be decoded.

Pure.
"""

from collections.abc import Callable, Mapping
from typing import Any

# Limits on the values in one record, at any depth, and on the nesting levels.
MAX_PARTS = 1_000_000
MAX_LEVELS = 64
# Converting a decimal of a million digits takes minutes.
MAX_DECIMAL_BYTES = 1024
LONG_BITS, INT_BITS = 64, 32

Schema = Any
# Returns the end of the value that begins at a position. The list holds the number of parts that may follow, the last
# argument the number of levels.
Skip = Callable[[bytes, int, list[int], int], int]


class LayoutError(ValueError):
    """Raised for bytes that do not match their schema, or that exceed a limit."""


def compile_layout(schema: Schema) -> Callable[[bytes, int], None]:
    """Return a function that checks bytes, from a position on, against a parsed schema; it raises LayoutError."""
    skip = _Compiler().compile(schema)

    def check(data: bytes, start: int) -> None:
        try:
            skip(data, start, [MAX_PARTS], MAX_LEVELS)
        except IndexError:
            raise LayoutError("The value ends too early.") from None

    return check


class _Compiler:
    """Compiles a function for each type; a recursive type refers to its own function."""

    def __init__(self) -> None:
        self._named: dict[str, Skip] = {}

    def compile(self, schema: Schema) -> Skip:
        if isinstance(schema, list):
            return _union([self.compile(one) for one in schema])
        if isinstance(schema, str):
            return _PRIMITIVES.get(schema) or self._refer(schema)
        kind = schema["type"]
        if not isinstance(kind, str):
            return self.compile(kind)
        match kind:
            case "record" | "error":
                return self._record(schema)
            case "array":
                return _blocks(self.compile(schema["items"]), has_keys=False)
            case "map":
                return _blocks(self.compile(schema["values"]), has_keys=True)
            case "enum":
                return self._name(schema, _enum(len(schema["symbols"])))
            case "fixed":
                return self._name(schema, _fixed(schema))
            case "bytes" if schema.get("logicalType") == "decimal":
                return _skip_decimal
            case _:
                return self.compile(kind)

    def _record(self, schema: Mapping[str, Any]) -> Skip:
        fields: list[Skip] = []
        skip = self._name(schema, _record(fields))
        fields += [self.compile(one["type"]) for one in schema["fields"]]
        return skip

    def _name(self, schema: Mapping[str, Any], skip: Skip) -> Skip:
        self._named[schema["name"]] = skip
        return skip

    def _refer(self, name: str) -> Skip:
        return self._named[name]


def _read_long(data: bytes, at: int, bits: int = LONG_BITS) -> tuple[int, int]:
    """Read a zigzag varint; return the number and its end."""
    byte = data[at]
    at += 1
    if byte < 0x80:
        return byte >> 1 ^ -(byte & 1), at
    number, shift = byte & 0x7F, 7
    while byte >= 0x80:
        if shift >= bits:
            raise LayoutError("A varint is too long.")
        byte = data[at]
        at += 1
        number |= (byte & 0x7F) << shift
        shift += 7
    number &= (1 << bits) - 1
    return number >> 1 ^ -(number & 1), at


def _skip_null(data: bytes, at: int, parts: list[int], levels: int) -> int:
    return at


def _skip_int(data: bytes, at: int, parts: list[int], levels: int) -> int:
    return at + 1 if data[at] < 0x80 else _read_long(data, at, INT_BITS)[1]


def _skip_long(data: bytes, at: int, parts: list[int], levels: int) -> int:
    return _read_long(data, at)[1]


def _skip_bytes(data: bytes, at: int, parts: list[int], levels: int) -> int:
    byte = data[at]
    if byte < 0x80 and not byte & 1:
        size, at = byte >> 1, at + 1
    else:
        size, at = _read_long(data, at)
    end = at + size
    if size < 0 or end > len(data):
        raise LayoutError(f"A string or bytes value of {size:,} bytes exceeds the remaining {len(data) - at:,}.")
    return end


def _skip_decimal(data: bytes, at: int, parts: list[int], levels: int) -> int:
    end = _skip_bytes(data, at, parts, levels)
    if end - at > MAX_DECIMAL_BYTES:
        raise LayoutError(f"A decimal has {end - at:,} bytes.")
    return end


def _skip_bytes_of(size: int) -> Skip:
    def skip(data: bytes, at: int, parts: list[int], levels: int) -> int:
        end = at + size
        if end > len(data):
            raise LayoutError("The value ends too early.")
        return end

    return skip


_PRIMITIVES: Mapping[str, Skip] = {
    "null": _skip_null,
    "boolean": _skip_bytes_of(1),
    "int": _skip_int,
    "long": _skip_long,
    "float": _skip_bytes_of(4),
    "double": _skip_bytes_of(8),
    "bytes": _skip_bytes,
    "string": _skip_bytes,
}


def _fixed(schema: Mapping[str, Any]) -> Skip:
    size = schema["size"]
    if schema.get("logicalType") == "decimal" and size > MAX_DECIMAL_BYTES:
        raise LayoutError(f"A decimal has {size:,} bytes.")
    return _skip_bytes_of(size)


def _enum(symbols: int) -> Skip:
    def skip(data: bytes, at: int, parts: list[int], levels: int) -> int:
        number, at = _read_long(data, at, INT_BITS)
        if not 0 <= number < symbols:
            raise LayoutError(f"An enum has no symbol {number:,}.")
        return at

    return skip


def _union(branches: list[Skip]) -> Skip:
    known = len(branches)
    is_null_first = branches[:1] == [_skip_null]

    def skip(data: bytes, at: int, parts: list[int], levels: int) -> int:
        if is_null_first and data[at] == 0:
            return at + 1
        number, at = _read_long(data, at, INT_BITS)
        if not 0 <= number < known:
            raise LayoutError(f"A union has no branch {number:,}.")
        return branches[number](data, at, parts, levels)

    return skip


def _record(fields: list[Skip]) -> Skip:
    def skip(data: bytes, at: int, parts: list[int], levels: int) -> int:
        _take(parts, len(fields))
        if not levels:
            raise LayoutError(f"The value has more than {MAX_LEVELS} levels.")
        for field in fields:
            at = field(data, at, parts, levels - 1)
        return at

    return skip


def _blocks(item: Skip, *, has_keys: bool) -> Skip:
    """An array or a map: blocks of items, each preceded by its item count."""

    def skip(data: bytes, at: int, parts: list[int], levels: int) -> int:
        if not levels:
            raise LayoutError(f"The value has more than {MAX_LEVELS} levels.")
        while True:
            count, at = _read_long(data, at)
            if count == 0:
                return at
            if count < 0:
                count = -count
                _, at = _read_long(data, at)
            _take(parts, count)
            for _ in range(count):
                if has_keys:
                    at = _skip_bytes(data, at, parts, levels)
                at = item(data, at, parts, levels - 1)

    return skip


def _take(parts: list[int], count: int) -> None:
    parts[0] -= count
    if parts[0] < 0:
        raise LayoutError(f"The value has more than {MAX_PARTS:,} parts.")
