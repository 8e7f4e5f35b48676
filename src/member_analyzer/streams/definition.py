"""The definition of a stream."""

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
    """A record with access to fields by name, such as a mapping or a Spark row."""

    def __getitem__(self, name: str, /) -> Any:
        """Return the value of a field. Raises LookupError if it is unknown."""


@dataclass(frozen=True)
class Topic:
    """A Kafka topic, with its retention and its message size limit."""

    name: str
    retention_milliseconds: int = WEEK_IN_MILLISECONDS
    largest_message_bytes: int = LARGEST_MESSAGE_BYTES


def dead_letter_topic(topic: Topic) -> Topic:
    """Return the dead letter topic of a topic.

    Its size limit is larger because a dead letter has more headers than the original. Its retention is limited because
    it holds personal data; RejectedSettings overrides it.
    """
    return Topic(
        f"{topic.name}_rejected",
        retention_milliseconds=30 * DAY_IN_MILLISECONDS,
        largest_message_bytes=2 * topic.largest_message_bytes,
    )


@dataclass(frozen=True)
class LandingTables:
    """The tables of a stream in the PostgreSQL schema `landing`."""

    records: str
    outbox: str
    rejected: str
    unpublishable: str

    @classmethod
    def named(cls, name: str) -> "LandingTables":
        """Return the default table names for a stream."""
        return cls(name, f"{name}_unpublished", f"{name}_rejected", f"{name}_unpublishable")


@dataclass(frozen=True)
class DailyFold:
    """A table whose daily buckets are derived from a dimension of dates, such as age groups from dates of birth.

    `label_on` returns the label of a date on a day; the table has a bucket for each of `labels`, even if it is empty.
    """

    table: str
    column: str
    labels: tuple[str, ...]
    label_on: Callable[[date, date], str]


@dataclass(frozen=True)
class Dimension:
    """The columns of a record that make up a bucket of the counts.

    The counts are in a table of the same name. With a `fold`, the analysis table is derived from them; the dimension
    then has a single column of dates.
    """

    name: str
    columns: tuple[str, ...]
    fold: DailyFold | None = None

    @property
    def table(self) -> str:
        """The name of the analysis table."""
        return self.name if self.fold is None else self.fold.table

    @property
    def key_columns(self) -> tuple[str, ...]:
        """The columns of the analysis table that name a bucket."""
        return self.columns if self.fold is None else (self.fold.column,)


@dataclass(frozen=True)
class Erasure:
    """How records of a stream are erased: by an event of the same key whose `column` has the value `erased`.

    `event` creates the erasure event of an accepted record (both as JSON values) at a given time; the Cassandra table
    `table` stores the keys of erased records. `followers` are the topics whose streams erase what belongs to
    the record.
    """

    column: str
    created: str
    erased: str
    table: str
    event: Callable[[Mapping[str, Any], datetime], dict[str, Any]]
    followers: tuple[str, ...] = ()


@dataclass(frozen=True, kw_only=True)
class TopicDefinition:
    """The records of a topic.

    - `schema` is the Avro reader schema, as JSON text.
    - `dead_letter_topic` holds the rejected records.
    - `partitioned_by` is the field whose value is the key of a message, by default that which identifies the record.
    - `is_direct` is whether the collector writes the records to the topic itself; otherwise they are landed first, and
      then published.
    """

    name: str
    record_type: RecordType
    schema: str
    topic: Topic
    dead_letter_topic: Topic
    partitioned_by: str | None = None
    is_direct: bool = False

    @property
    def key(self) -> str:
        """The name of the field that identifies a record."""
        return self.record_type.key

    @property
    def message_key(self) -> str:
        """The name of the field whose value is the key of a message in the topic."""
        return self.partitioned_by or self.key

    @property
    def subject(self) -> str:
        """The subject in the schema registry (TopicNameStrategy)."""
        return f"{self.topic.name}-value"


@dataclass(frozen=True, kw_only=True)
class StreamDefinition(TopicDefinition):
    """Everything that is specific to one stream.

    - `read` converts a JSON object from a client, received at the given time, to a record; it raises only
      RecordRejectedError. `read_key` returns the key as the client sent it, or None.
    - `landing` are the PostgreSQL tables in which records are accepted before they are published.
    - `table` is the Cassandra table with one row per record, which also detects duplicates. `unit` is what the records
      are, in the plural: the name of the count columns.
    - `dimensions` are what records are counted by, one table each. Streams must not share tables.
    """

    table: str
    unit: str
    dimensions: tuple[Dimension, ...]
    landing: LandingTables
    read: Callable[[object, datetime], dict[str, Any]]
    read_key: Callable[[Mapping[str, Any]], Any]
    erasure: Erasure | None = None

    @cached_property
    def tables(self) -> Mapping[str, tuple[str, ...]]:
        """The key columns of a bucket, by analysis table."""
        return {dimension.table: dimension.key_columns for dimension in self.dimensions}

    def dimension_of(self, table: str) -> Dimension:
        """Return the dimension of an analysis table. Raises LookupError if it is unknown."""
        for dimension in self.dimensions:
            if dimension.table == table:
                return dimension
        raise LookupError(f"The stream {self.name} has no table {table}; its tables are {', '.join(self.tables)}.")

    @cached_property
    def counted_columns(self) -> tuple[str, ...]:
        """The distinct columns of all dimensions."""
        return tuple({column: None for dimension in self.dimensions for column in dimension.columns})

    @cached_property
    def stored_columns(self) -> tuple[str, ...]:
        """The columns of the record that `table` contains."""
        return tuple(name for name in self.record_type.names if self.erasure is None or name != self.erasure.column)

    def is_erasure(self, record: Indexed) -> bool:
        """Whether a valid record erases another one."""
        return self.erasure is not None and record[self.erasure.column] == self.erasure.erased
