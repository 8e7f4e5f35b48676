"""What distinguishes one stream from the others."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import date, datetime
from functools import cached_property
from typing import Any, Protocol

from member_analyzer.records.fields import RecordType

DAY_IN_MILLISECONDS = 24 * 60 * 60 * 1000
WEEK_IN_MILLISECONDS = 7 * DAY_IN_MILLISECONDS
LARGEST_MESSAGE_BYTES = 1_048_576


class Indexed(Protocol):
    """A record whose fields are found by name, as in a mapping or in a row of Spark."""

    def __getitem__(self, name: str, /) -> Any:
        """The value of a field. Raises LookupError for an unknown one."""


@dataclass(frozen=True)
class Topic:
    """One topic: records of `name` are kept for `retention_milliseconds` and are `largest_message_bytes` at most."""

    name: str
    retention_milliseconds: int = WEEK_IN_MILLISECONDS
    largest_message_bytes: int = LARGEST_MESSAGE_BYTES


def dead_letter_topic(topic: Topic) -> Topic:
    """The dead letter topic of a topic.

    A dead letter is the original and headers that say why it was rejected, so it may be larger. It holds what people
    sent, so it is not kept for ever; how long is a setting (RejectedSettings).
    """
    return Topic(
        f"{topic.name}_rejected",
        retention_milliseconds=30 * DAY_IN_MILLISECONDS,
        largest_message_bytes=2 * topic.largest_message_bytes,
    )


@dataclass(frozen=True)
class LandingTables:
    """The tables in PostgreSQL's schema `landing` of a stream whose records are accepted there."""

    records: str
    outbox: str
    rejected: str
    unpublishable: str

    @classmethod
    def named(cls, name: str) -> "LandingTables":
        """The tables of a stream of this name."""
        return cls(name, f"{name}_unpublished", f"{name}_rejected", f"{name}_unpublishable")


@dataclass(frozen=True)
class DailyFold:
    """A table whose buckets on a day follow from a dimension of dates, as age groups follow from days of birth.

    `label_on` gives the label of a date on a day; the table has a bucket for each of `labels`, also where it is empty.
    """

    table: str
    column: str
    labels: tuple[str, ...]
    label_on: Callable[[date, date], str]


@dataclass(frozen=True)
class Dimension:
    """Something that records are counted by: the columns of the record that make a bucket.

    Its counts are in a table of its name, or, with a `fold`, its table of a day is folded from them. A dimension with a
    fold has one column, of dates.
    """

    name: str
    columns: tuple[str, ...]
    fold: DailyFold | None = None

    @property
    def table(self) -> str:
        """The analysis table."""
        return self.name if self.fold is None else self.fold.table

    @property
    def key_columns(self) -> tuple[str, ...]:
        """The columns of the analysis table that name a bucket."""
        return self.columns if self.fold is None else (self.fold.column,)


@dataclass(frozen=True)
class Erasure:
    """How records of a stream are erased: a record of the same key whose `column` says so.

    `event` makes the record that erases an accepted one (both as JSON values) at a moment; `table` remembers the keys
    of erased records in Cassandra.
    """

    column: str
    created: str
    erased: str
    table: str
    event: Callable[[Mapping[str, Any], datetime], dict[str, Any]]


@dataclass(frozen=True, kw_only=True)
class StreamDefinition:
    """Everything that distinguishes one stream from the others.

    - `schema` is the Avro schema that all versions of its values are read as, as JSON text.
    - `read` makes a record of the JSON object that a client sent (at the moment it arrived); it raises
      RecordRejectedError, and nothing else. `read_key` gives the key that a client sent, as it is, None without one.
    - `landing` are its tables in PostgreSQL, where its records are accepted before they are published.
    - `table` holds a row a record in Cassandra, by which duplicates are found, for ever. `unit` is what its records
      are, in the plural: the name of the counts in its tables.
    - `dimensions` are what its records are counted by, a table for each. No two streams may have a table in common.
    """

    name: str
    record_type: RecordType
    schema: str
    topic: Topic
    dead_letter_topic: Topic
    table: str
    unit: str
    dimensions: tuple[Dimension, ...]
    landing: LandingTables
    read: Callable[[object, datetime], dict[str, Any]]
    read_key: Callable[[Mapping[str, Any]], Any]
    erasure: Erasure | None = None

    @property
    def key(self) -> str:
        """The name of the column that identifies a record."""
        return self.record_type.key

    @property
    def subject(self) -> str:
        """The registry's subject of its schemas, which registries name after the topic."""
        return f"{self.topic.name}-value"

    @cached_property
    def tables(self) -> Mapping[str, tuple[str, ...]]:
        """The columns that name a bucket, by analysis table."""
        return {dimension.table: dimension.key_columns for dimension in self.dimensions}

    def dimension_of(self, table: str) -> Dimension:
        """The dimension of an analysis table. Raises LookupError for an unknown one."""
        for dimension in self.dimensions:
            if dimension.table == table:
                return dimension
        raise LookupError(f"The stream {self.name} has no table {table}; it has {', '.join(self.tables)}.")

    @cached_property
    def counted_columns(self) -> tuple[str, ...]:
        """The columns of the record that the dimensions use, each once."""
        return tuple({column: None for dimension in self.dimensions for column in dimension.columns})

    @cached_property
    def stored_columns(self) -> tuple[str, ...]:
        """The columns of the record that `table` holds."""
        return tuple(name for name in self.record_type.names if self.erasure is None or name != self.erasure.column)

    def is_erasure(self, record: Indexed) -> bool:
        """Whether a valid record erases another one."""
        return self.erasure is not None and record[self.erasure.column] == self.erasure.erased
