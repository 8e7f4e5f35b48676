"""The properties of an event, or the traits of an identify, as JSON text that may be stored."""

from itertools import islice
from typing import Any

import orjson

from member_analyzer.streams.interactions.page import clean_url
from member_analyzer.streams.interactions.private_names import is_private

# The properties themselves are the first level.
MAX_LEVELS = 10
MAX_VALUES = 1000


def write_properties(properties: dict[str, Any]) -> str | None:
    """Return properties, which `read_item` has read, as JSON text with sorted keys; None if there are none.

    Secrets and IP addresses, by their names, are dropped; URLs lose private parameters. Objects and lists deeper than
    MAX_LEVELS and all values from MAX_VALUES on, in all objects and lists together, are dropped too: an event with too
    many properties is still an event that happened.
    """
    if not properties:
        return None
    kept = _object(properties, MAX_LEVELS, [MAX_VALUES])
    return orjson.dumps(kept, option=orjson.OPT_SORT_KEYS).decode() if kept else None


def _object(values: dict[str, Any], levels: int, room: list[int]) -> dict[str, Any]:
    kept: dict[str, Any] = {}
    for name, value in islice(values.items(), _take(room, len(values))):
        if is_private(name):
            continue
        kind = type(value)
        if kind is str:
            kept[name] = clean_url(value)
        elif kind is not dict and kind is not list:
            kept[name] = value
        elif levels > 1:
            kept[name] = _object(value, levels - 1, room) if kind is dict else _list(value, levels - 1, room)
    return kept


def _list(values: list[Any], levels: int, room: list[int]) -> list[Any]:
    kept: list[Any] = []
    for value in islice(values, _take(room, len(values))):
        kind = type(value)
        if kind is str:
            kept.append(clean_url(value))
        elif kind is not dict and kind is not list:
            kept.append(value)
        elif levels > 1:
            kept.append(_object(value, levels - 1, room) if kind is dict else _list(value, levels - 1, room))
    return kept


def _take(room: list[int], wanted: int) -> int:
    given = min(wanted, room[0])
    room[0] -= given
    return given
