"""Field types and record types.

Pure. A second stream is another `RecordType`.
"""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, date, datetime
from functools import cached_property


@dataclass(frozen=True)
class Spelling:
    """The canonical spelling of a value that has several, such as a country.

    `read` returns it, or unknown text unchanged; `known` are all canonical spellings.
    """

    read: Callable[[str], str]
    known: frozenset[str]


@dataclass(frozen=True, kw_only=True)
class TextField:
    """Text of at most `longest` characters, optionally limited to `allowed` values or to a `pattern`.

    It is normalized by `normalize_text` (line breaks become spaces if `multiline`) and by `spelling`. `verbatim` text,
    such as an identifier, is kept unchanged.
    """

    name: str
    required: bool = False
    longest: int = 200
    allowed: tuple[str, ...] = ()
    pattern: str = ""
    multiline: bool = False
    spelling: Spelling | None = None
    verbatim: bool = False


@dataclass(frozen=True, kw_only=True)
class DateField:
    """A date, not before `earliest` and, if it is given, not after the date of the record's `not_after` timestamp."""

    name: str
    required: bool = False
    earliest: date
    not_after: str | None = None


@dataclass(frozen=True, kw_only=True)
class TimestampField:
    """A timestamp in UTC, in milliseconds, of the years 1900 to 9999."""

    name: str
    required: bool = False


Field = TextField | DateField | TimestampField


# Every system of the pipeline can represent timestamps within these bounds.
EARLIEST_MOMENT = datetime(1900, 1, 1, tzinfo=UTC)


LATEST_MOMENT = datetime(9999, 12, 31, tzinfo=UTC)


# Compared by identity: it is a cache key, and hashing all its fields for each record costs more than the rules.
@dataclass(frozen=True, eq=False)
class RecordType:
    """The fields of a stream's records, in the order of validation; `key` identifies a record."""

    name: str
    key: str
    fields: tuple[Field, ...]

    def __post_init__(self) -> None:
        """Raise ValueError if the key is not one of the fields."""
        if self.key not in self.names:
            raise ValueError(f"The key {self.key!r} is not a field of the record {self.name!r}.")

    @cached_property
    def names(self) -> tuple[str, ...]:
        """The names of the fields, in order."""
        return tuple(field.name for field in self.fields)
