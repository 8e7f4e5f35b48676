"""The message id of an item: the client's, or one derived from the content."""

import hashlib
from collections.abc import Mapping
from typing import Any

import orjson

from member_analyzer.records.rejection import Reason, RecordRejectedError, Rejection
from member_analyzer.streams.interactions.identity import read_id

LONGEST_MESSAGE_ID = 100

_TOO_LONG = Rejection(Reason.TEXT_TOO_LONG, f"The messageId is longer than {LONGEST_MESSAGE_ID} characters.")

# What may differ between two deliveries of the same item.
_DELIVERY = frozenset({"messageId", "sentAt", "receivedAt", "writeKey", "_metadata"})


def read_message_id(item: Mapping[str, Any]) -> str | None:
    """Return the message id of an item as the client sent it, or None if it is missing or a placeholder.

    Raises RecordRejectedError if it is too long.
    """
    value = item.get("messageId")
    if isinstance(value, str) and len(value.strip()) > LONGEST_MESSAGE_ID:
        raise RecordRejectedError(_TOO_LONG)
    return read_id(value)


def derive_message_id(item: Mapping[str, Any], repetition: int = 0) -> str:
    """Return a message id that depends only on what `read_item` has read: BLAKE2b of its canonical JSON, as 32 digits.

    The time of sending is left out, so that a retry has the same id. The source is no part of it, because message ids
    are compared within a source. `repetition` distinguishes equal items of one request.
    """
    content = {name: value for name, value in item.items() if name not in _DELIVERY}
    digest = hashlib.blake2b(orjson.dumps(content, option=orjson.OPT_SORT_KEYS), digest_size=16)
    if repetition:
        digest.update(str(repetition).encode())
    return digest.hexdigest()
