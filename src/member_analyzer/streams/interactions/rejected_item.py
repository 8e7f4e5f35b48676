"""A rejected item as it is kept, and as it is read again when it is replayed."""

from datetime import datetime, tzinfo
from typing import Any

import orjson

from member_analyzer.records.rejection import Reason, RecordRejectedError, Rejection
from member_analyzer.streams.interactions.item import make_storable, write_integer
from member_analyzer.streams.interactions.page import clean_url
from member_analyzer.streams.interactions.private_names import is_private
from member_analyzer.streams.interactions.tracking import Classify, read_interaction

# Only hostile items have more levels, and the rest of them is dropped.
MAX_LEVELS = 32

_NOT_JSON = Rejection(Reason.UNDECODABLE, "The rejected item is not JSON.")


def write_rejected_item(item: object) -> bytes:
    """Return an item of a request as JSON, without secrets and IP addresses. Never raises for JSON values."""
    return orjson.dumps(_redact(item, MAX_LEVELS))


def read_rejected_item(
    value: bytes | None, *, source: str, zone: tzinfo, received_at: datetime, classify: Classify
) -> dict[str, Any]:
    """Return the interaction of a rejected item that `write_rejected_item` wrote. Raises only RecordRejectedError."""
    try:
        item = orjson.loads(value or b"")
    except orjson.JSONDecodeError:
        raise RecordRejectedError(_NOT_JSON) from None
    return read_interaction(item, source=source, zone=zone, received_at=received_at, classify=classify)


def _redact(value: Any, levels: int) -> Any:
    match value:
        case str():
            return clean_url(make_storable(value))
        case bool() | float() | None:
            return value
        case int():
            return value if -(2**63) <= value < 2**64 else write_integer(value)
        case dict() if levels:
            return {
                make_storable(name): _redact(one, levels - 1) for name, one in value.items() if not is_private(name)
            }
        case list() if levels:
            return [_redact(one, levels - 1) for one in value]
        case _:
            return None
