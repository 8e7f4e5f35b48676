"""The items of a request body of the Segment HTTP tracking API.

Sources: Segment's specification of the tracking API, and what the SDKs of Segment, RudderStack and Jitsu send.
"""

from collections import Counter
from typing import Any

from member_analyzer.records.rejection import RecordRejectedError
from member_analyzer.streams.interactions.item import read_item
from member_analyzer.streams.interactions.message_id import derive_message_id, read_message_id
from member_analyzer.streams.interactions.record import ALIAS, GROUP, IDENTIFY, PAGE, SCREEN, TRACK, TYPES

# The one-letter paths of the API. The items of a batch or an import state their own types.
LETTERS = {"i": IDENTIFY, "t": TRACK, "p": PAGE, "s": SCREEN, "g": GROUP, "a": ALIAS, "b": "batch"}

# Fields of a batch that hold for each of its items.
ENVELOPE = ("context", "integrations", "sentAt", "writeKey")
# Batches within batches, or arrays within arrays.
MAX_BATCH_LEVELS = 5


def read_items(kind: str | None, body: object) -> list[object]:
    """Return the items of a parsed request body, in order; they may still be any JSON values but null.

    `kind` is the last part of the request's path. If it is a type (TYPES or a letter), a single item has this type, and
    the items of a batch have it unless they state another. For a batch, an import or None, items state their types.

    The fields in ENVELOPE of a batch are merged into its items, if they fit one: the item's own win, unless they are
    null, and contexts are merged one level deep. Batches may be empty, contain null, and contain batches or arrays, as
    some SDKs send them; what is no item, or is nested deeper than MAX_BATCH_LEVELS, is returned as it is, for
    `read_interaction` to reject.

    Items without a message id get one derived from their content, so that a repeated request adds no event; equal items
    of one request are different events. Raises nothing, whatever the JSON contains.
    """
    kind = LETTERS.get(kind, kind) if kind is not None else None
    items: list[object] = []
    if not isinstance(body, dict) or "batch" in body:
        _collect(body, {}, kind if kind in TYPES else None, items, MAX_BATCH_LEVELS)
    elif kind in TYPES:
        items.append(body | {"type": kind})
    elif not body.keys() <= set(ENVELOPE):
        items.append(body)
    return _add_message_ids(items)


def _collect(value: object, envelope: dict[str, Any], kind: str | None, items: list[object], levels: int) -> None:
    if value is None:
        return
    if levels and isinstance(value, list):
        for one in value:
            _collect(one, envelope, kind, items, levels - 1)
    elif levels and isinstance(value, dict) and "batch" in value:
        # An empty batch may be null, or an empty object of a language that has one type for both.
        if value["batch"]:
            merged = _merge(envelope, {name: value[name] for name in ENVELOPE if value.get(name) is not None})
            # Merging a large value into thousands of items would cost as much as reading it thousands of times.
            inner = {name: one for name, one in merged.items() if _fits({name: one})}
            _collect(value["batch"], inner, kind, items, levels - 1)
    elif isinstance(value, dict):
        item = _merge(envelope, value)
        if kind is not None and item.get("type") is None:
            item["type"] = kind
        items.append(item)
    else:
        items.append(value)


def _merge(envelope: dict[str, Any], item: dict[str, Any]) -> dict[str, Any]:
    """Return a copy of the item with the fields of the envelope that it lacks."""
    merged = item.copy()
    for name, value in envelope.items():
        own = item.get(name)
        if own is None:
            merged[name] = value
        elif name == "context" and isinstance(own, dict) and isinstance(value, dict):
            merged[name] = _merge_context(value, own)
    return merged


def _fits(value: dict[str, Any]) -> bool:
    try:
        read_item(value)
    except RecordRejectedError:
        return False
    return True


def _merge_context(outer: dict[str, Any], inner: dict[str, Any]) -> dict[str, Any]:
    merged = {**outer, **inner}
    for name in outer.keys() & inner.keys():
        if isinstance(outer[name], dict) and isinstance(inner[name], dict):
            merged[name] = {**outer[name], **inner[name]}
    return merged


def _add_message_ids(items: list[object]) -> list[object]:
    seen: Counter[str] = Counter()
    for position, item in enumerate(items):
        if not isinstance(item, dict):
            continue
        try:
            if read_message_id(item) is not None:
                continue
            content = read_item(item)
        except RecordRejectedError:
            continue
        first = derive_message_id(content)
        items[position] = item | {"messageId": derive_message_id(content, seen[first])}
        seen[first] += 1
    return items
