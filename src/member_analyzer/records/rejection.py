"""Why a record is rejected, and how a dead letter says so."""

from dataclasses import dataclass
from enum import StrEnum


class Reason(StrEnum):
    """Why a record was rejected, as a code that programs may rely on."""

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
    UNPROCESSABLE = "unprocessable"


# What is added to the headers of a rejected record, in this order, after its own.
REJECTION_HEADERS = ("reason", "message", "topic", "partition", "offset", "at")


def rejection_header(name: str) -> str:
    """The header's whole name."""
    return f"rejected.{name}"


@dataclass(frozen=True)
class Rejection:
    """Why one record is not accepted: a code for programs, a message for people (without personal data)."""

    reason: Reason
    message: str


class RecordRejectedError(ValueError):
    """Raised for a record that breaks a rule; carries the rejection."""

    def __init__(self, rejection: Rejection) -> None:
        super().__init__(rejection.message)
        self.rejection = rejection
