"""The fields that the records of a stream are made of.

Pure, as all of `records`: a second stream is another `RecordType`.
"""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, date, datetime
from functools import cached_property


@dataclass(frozen=True)
class Spelling:
    """The one spelling of something that is written in several ways, as a country.

    `read` gives it for any text, and any text that it does not know as it is; `known` are all that it knows.
    """

    read: Callable[[str], str]
    known: frozenset[str]


@dataclass(frozen=True, kw_only=True)
class TextField:
    """A text of at most `longest` characters, perhaps one of few (`allowed`) or of one form (`pattern`).

    It is kept in the one form of `normalize_text` (with its lines as words where it is `multiline`), and in one
    `spelling`. One that is `verbatim`, as an identifier, is kept as it is.
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
    """A day, not before `earliest` and not after the day of the record's `not_after` timestamp."""

    name: str
    required: bool = False
    earliest: date
    not_after: str


@dataclass(frozen=True, kw_only=True)
class TimestampField:
    """A moment in UTC, to the millisecond, of the years 1900 to 9999."""

    name: str
    required: bool = False


Field = TextField | DateField | TimestampField


# The bounds keep timestamps inside what every system on the way can hold.
EARLIEST_MOMENT = datetime(1900, 1, 1, tzinfo=UTC)


LATEST_MOMENT = datetime(9999, 12, 31, tzinfo=UTC)


# Compared by identity: it keys caches, and hashing all its fields for each record would cost more than the rules.
@dataclass(frozen=True, eq=False)
class RecordType:
    """The fields of one stream's records, in the order in which their rules are tried; `key` identifies a record."""

    name: str
    key: str
    fields: tuple[Field, ...]

    def __post_init__(self) -> None:
        """Refuse a definition whose key is not one of its fields."""
        if self.key not in self.names:
            raise ValueError(f"The key {self.key!r} is not a field of the record {self.name!r}.")

    @cached_property
    def names(self) -> tuple[str, ...]:
        """The fields' names, in order."""
        return tuple(field.name for field in self.fields)
