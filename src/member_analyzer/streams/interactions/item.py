"""One item of a request: its size, and text that every system of the pipeline can store."""

import re
from typing import Any

import orjson

from member_analyzer.records.rejection import Reason, RecordRejectedError, Rejection

MAX_ITEM_BYTES = 32 * 1024
# More than the levels of an item's properties; only hostile items have so many, and the rest of them is dropped.
MAX_ITEM_LEVELS = 16

_NOT_AN_OBJECT = Rejection(Reason.NOT_AN_OBJECT, "The item is not a JSON object.")
_TOO_LARGE = Rejection(Reason.TOO_LARGE, f"The item has more than {MAX_ITEM_BYTES:,} bytes.")

# How JSON text contains a NUL and the replacement character.
_NUL = b"\\u0000"
_REPLACEMENT = "\ufffd".encode()
_UNSTORABLE = re.compile("[\0\ufffd\ud800-\udfff]")
_DROPPED = object()


def read_item(item: object) -> dict[str, Any]:
    """Return a JSON object with storable text and at most MAX_ITEM_BYTES as JSON; the same one if it is fine.

    Otherwise NUL characters are removed, also from keys; lone surrogates and replacement characters, which no system
    stores or which mean damage, become their escapes (`\\ufffd`), so that different ids stay different; integers beyond
    64 bits become text; values nested deeper than MAX_ITEM_LEVELS are dropped.
    Raises RecordRejectedError if it is not an object or too large.
    """
    if not isinstance(item, dict):
        raise RecordRejectedError(_NOT_AN_OBJECT)
    values: dict[str, Any] = item
    try:
        content = orjson.dumps(values)
    except orjson.JSONEncodeError:
        content = b""
    if not content or (len(content) <= MAX_ITEM_BYTES and (_NUL in content or _REPLACEMENT in content)):
        values = _storable(values, MAX_ITEM_LEVELS)
        content = orjson.dumps(values)
    if len(content) > MAX_ITEM_BYTES:
        raise RecordRejectedError(_TOO_LARGE)
    return values


def make_storable(text: str) -> str:
    """Return text as `read_item` changes it."""
    return _UNSTORABLE.sub(_escape, text)


def write_integer(number: int) -> str:
    """Write an integer of any size as text, in hexadecimal from some 1,200 decimal digits on."""
    # Python converts no integer of more than 4,300 digits to decimal text.
    return str(number) if number.bit_length() < 4000 else hex(number)


def _escape(found: re.Match[str]) -> str:
    return "" if found[0] == "\0" else f"\\u{ord(found[0]):04x}"


def _storable(value: Any, levels: int) -> Any:
    match value:
        case str():
            return make_storable(value)
        case bool() | float() | None:
            return value
        case int():
            return value if -(2**63) <= value < 2**64 else write_integer(value)
        case dict() | list() if levels == 0:
            return _DROPPED
        case dict():
            return {
                make_storable(name): kept
                for name, one in value.items()
                if (kept := _storable(one, levels - 1)) is not _DROPPED
            }
        case list():
            return [kept for one in value if (kept := _storable(one, levels - 1)) is not _DROPPED]
        case _:
            return _DROPPED
