"""Which Avro schemas bound what a value can make its reader do.

Avro reads a value as its schema describes it. Some schemas let a few bytes describe work, or nesting, without end: a
schema that contains itself, and lists whose elements take no bytes. Nothing here needs them, and values of such a
schema are rejected unread.
"""

import json
from collections.abc import Mapping
from typing import Any

_PRIMITIVES_OF_SOME_BYTES = {"boolean", "int", "long", "float", "double", "bytes", "string"}


def find_unbounded(avro: str) -> str | None:
    """Why values of the schema (JSON text) are not safe to read, as a message; None where they are."""
    try:
        _smallest_size(json.loads(avro), {}, ())
    except _UnboundedError as error:
        return str(error)
    return None


class _UnboundedError(ValueError):
    pass


def _smallest_size(schema: Any, named: dict[str, Any], within: tuple[str, ...]) -> int:
    """The fewest bytes that a value takes; raises where a value is not bounded by its bytes."""
    if isinstance(schema, list):
        # The number of the branch takes a byte.
        return 1 + min((_smallest_size(branch, named, within) for branch in schema), default=0)
    if isinstance(schema, str):
        if schema in _PRIMITIVES_OF_SOME_BYTES:
            return {"float": 4, "double": 8}.get(schema, 1)
        if schema == "null":
            return 0
        name = schema.rpartition(".")[2]
        if name in within:
            raise _UnboundedError(f"The schema contains itself, as {name}.")
        return _smallest_size(named[name], named, within) if name in named else 0
    return _size_of_object(schema, named, within)


def _size_of_object(schema: Mapping[str, Any], named: dict[str, Any], within: tuple[str, ...]) -> int:
    kind = schema["type"]
    name = str(schema.get("name", "")).rpartition(".")[2]
    if kind in ("record", "error"):
        named[name] = schema
        return sum(_smallest_size(one["type"], named, (*within, name)) for one in schema["fields"])
    if kind in ("array", "map"):
        smallest = _smallest_size(schema["items" if kind == "array" else "values"], named, within)
        if kind == "array" and smallest == 0:
            raise _UnboundedError("The elements of an array take no bytes.")
        return 1
    if kind == "enum":
        named[name] = schema
        return 1
    if kind == "fixed":
        named[name] = schema
        return int(schema["size"])
    return _smallest_size(kind, named, within)
