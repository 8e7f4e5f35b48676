"""Detects Avro schemas whose values cannot be read with bounded resources.

With a recursive schema, or an array whose elements take no bytes, a few bytes can describe unbounded work or nesting.
The platform needs neither; values of such schemas are rejected without decoding them.
"""

import json
from collections.abc import Mapping
from typing import Any

_PRIMITIVES_OF_SOME_BYTES = {"boolean", "int", "long", "float", "double", "bytes", "string"}


def find_unbounded(avro: str) -> str | None:
    """Return why values of the schema (JSON text) are not safe to read, or None if they are."""
    try:
        _smallest_size(json.loads(avro), {}, ())
    except _UnboundedError as error:
        return str(error)
    return None


class _UnboundedError(ValueError):
    pass


def _smallest_size(schema: Any, named: dict[str, Any], within: tuple[str, ...]) -> int:
    """Return the minimum encoded size; raise _UnboundedError if the size does not bound the work."""
    if isinstance(schema, list):
        # The branch index takes one byte.
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
