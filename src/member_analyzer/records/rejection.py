"""Rejections of records: reasons, and the headers of a dead letter."""

from dataclasses import dataclass
from datetime import UTC, datetime
from enum import StrEnum


class Reason(StrEnum):
    """Why a record was rejected; the codes are stable."""

    EMPTY_VALUE = "empty_value"
    WRONG_MAGIC_BYTE = "wrong_magic_byte"
    UNKNOWN_SCHEMA = "unknown_schema"
    UNDECODABLE = "undecodable"
    NOT_AN_OBJECT = "not_an_object"
    MISSING_FIELD = "missing_field"
    WRONG_TYPE = "wrong_type"
    UNREADABLE_TEXT = "unreadable_text"
    TEXT_TOO_LONG = "text_too_long"
    UNKNOWN_VALUE = "unknown_value"
    BAD_DATE = "bad_date"
    TOO_LARGE = "too_large"
    UNPROCESSABLE = "unprocessable"
    CONFLICTING_ID = "conflicting_id"


# The headers that a dead letter has after those of the original record, in this order.
REJECTION_HEADERS = ("reason", "message", "topic", "partition", "offset", "at")


# The headers of an item that was rejected before it became a record of the topic.
ITEM_REJECTION_HEADERS = ("reason", "message", "source", "at")


def rejection_header(name: str) -> str:
    """Return the full name of the header."""
    return f"rejected.{name}"


@dataclass(frozen=True)
class Rejection:
    """Why a record is rejected: a code for programs and a message for people, without personal data."""

    reason: Reason
    message: str


class RecordRejectedError(ValueError):
    """Raised for a record that breaks a rule."""

    def __init__(self, rejection: Rejection) -> None:
        super().__init__(rejection.message)
        self.rejection = rejection


def describe_rejected_item(rejection: Rejection, source: str, at: datetime) -> list[tuple[str, bytes]]:
    """Return the headers of the dead letter of an item that a source sent at some time."""
    moment = at.astimezone(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
    values = (rejection.reason.value, rejection.message, source, moment)
    return [
        (rejection_header(name), value.encode()) for name, value in zip(ITEM_REJECTION_HEADERS, values, strict=True)
    ]
