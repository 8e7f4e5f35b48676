"""Writes the records of a stream with one row per record: rows, dead letters and counts.

The deduplication state of an id is its row in Cassandra, which each batch looks up. A batch that is repeated after a
failure writes the same rows again, and is counted once.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

from pyspark.sql import Column, DataFrame, SparkSession
from pyspark.sql import functions as F

from member_analyzer.analysis.changes import Changes, Event, find_changes
from member_analyzer.analysis.live_tables import LiveTables
from member_analyzer.analysis.tables import AnalysisTables
from member_analyzer.kafka.client import spark_options
from member_analyzer.kafka.topics import LARGEST_UNCOMPRESSED_BYTES
from member_analyzer.records.rejection import Reason
from member_analyzer.settings import CassandraSettings, KafkaSettings
from member_analyzer.spark.session import CASSANDRA
from member_analyzer.streaming import transforms
from member_analyzer.streaming.batch import ROW_COLUMNS, Accepted, Batch, Round
from member_analyzer.streaming.dead_letters import DeadLetterProducer
from member_analyzer.streaming.sink import Part
from member_analyzer.streams.definition import StreamDefinition

# The write timestamp of rows, in microseconds: a day in 2001, so that a deletion, at the current time, always wins over
# a write that a killed stream left in flight.
WRITE_TIMESTAMP = 1_000_000_000_000_000

# Up to this many records the driver decodes and writes a batch itself: planning a Spark job takes longer.
SMALL_BATCH = 5000
LARGEST_SMALL_VALUE = 100_000


@dataclass
class Read:
    """A decoded batch: by the driver, or by Spark, in which case the driver only has the events."""

    batch: Batch = field(default_factory=Batch)
    """What the driver has decoded."""
    events: list[Event] = field(default_factory=list)
    rows: dict[tuple[int, int], Mapping[str, Any]] = field(default_factory=dict)
    """The rows that the driver writes, by Kafka partition and offset."""
    decoded: DataFrame | None = None
    """The records that Spark writes."""
    has_rejected: bool = False
    """Whether Spark has dead letters to write."""


class RecordSink:
    """The sink of a stream whose records have a row and are counted by dimensions."""

    live: LiveTables
    largest_batch = None

    def __init__(
        self,
        definition: StreamDefinition,
        spark: SparkSession,
        kafka: KafkaSettings,
        cassandra: CassandraSettings,
        tables: AnalysisTables,
        dead_letters: DeadLetterProducer,
    ) -> None:
        self.tables = tables
        self._definition = definition
        self._spark = spark
        self._kafka = kafka
        self._cassandra = cassandra
        self._dead_letters = dead_letters
        self._round: Round

    @property
    def remedy(self) -> str:
        """What to do if the tables and the topic are not consistent."""
        return f"count everything again from landing.{self._definition.landing.records} with `member-analyzer rebuild`"

    def load(self) -> None:
        """Read all counts."""
        self.live = LiveTables(self.tables)

    def begin_round(self, begun: Round) -> None:
        """Use these schemas and this generation."""
        self._round = begun

    def maintain(self) -> None:
        """Roll over to the next day, and apply repairs."""
        self.live.roll_over(datetime.now(UTC).date())
        if repairs := self.tables.read_repairs():
            self.live.repair(repairs)

    def write(self, part: Part) -> None:
        """Write rows and dead letters, then counts, then erasures."""
        read = (self._read(part.rows) if part.size <= SMALL_BATCH else None) or self._read_with_spark(part.rows)
        if read.batch.unknown:
            self._round.record_unknown(read.batch.unknown)
        found = self._find_changes(read.events)
        self._dead_letters.produce(read.batch.rejected)
        if read.decoded is not None:
            self._write_with_spark(read.decoded, found, has_rejected=read.has_rejected)
        created = (read.rows.get((event.partition, event.offset)) for event in found.created.values())
        self.tables.write_rows((row for row in created if row is not None), WRITE_TIMESTAMP)
        # After the rows, so that a record whose row cannot be written is not counted; before the erasures, which delete
        # the rows that hold what to subtract.
        if any(self.live.counted.get(partition, -1) < offset for partition, offset in part.positions.items()):
            self.live.count(found, part.positions, datetime.now(UTC).date())
        if found.erased:
            self.tables.erase_rows(found.erased.values(), self._round.generation.name)
        self.live.finish_rows(part.positions)

    def _read(self, raw: DataFrame) -> Read | None:
        """Decode a small batch in the driver; return None if one of its records is too large.

        Planning a Spark query takes about as long as this does for thousands of records.
        """
        large = F.octet_length("value") > LARGEST_SMALL_VALUE
        value = F.when(~large, F.col("value")).alias("value")
        others = [name for name in ROW_COLUMNS if name != "value"]
        rows = raw.select(*others, value, F.coalesce(large, F.lit(False)).alias("is_large")).collect()
        if any(row["is_large"] for row in rows):
            return None
        read = Read()
        for row in rows:
            read.batch.add(row, self._definition.record_type, self._round.decoder)
        for accepted in read.batch.accepted:
            self._accept(read, accepted)
        return read

    def _accept(self, read: Read, accepted: Accepted) -> None:
        """Add an accepted record, if it belongs to the generation."""
        record, partition, offset = accepted
        # Earlier records are published again in this generation.
        if offset < self._round.generation.begin.get(partition, 0):
            return
        counted = tuple(str(record[column]) for column in self._definition.counted_columns)
        is_erasure = self._definition.is_erasure(record)
        read.events.append(Event(record[self._definition.key], partition, offset, is_erasure, counted))
        read.rows[(partition, offset)] = {name: record[name] for name in self._definition.stored_columns} | {
            "kafka_partition": partition,
            "kafka_offset": offset,
        }

    def _read_with_spark(self, raw: DataFrame) -> Read:
        """Decode a large batch with Spark, and collect what the counts require.

        Records that may need normalization, which Spark cannot do, are decoded in the driver.
        """
        is_small = F.octet_length("value") <= LARGEST_SMALL_VALUE
        decoded = transforms.decode(
            raw,
            self._definition.record_type,
            writers=self._round.writers,
            unbounded=self._round.unbounded,
            reader=self._definition.schema,
            unknown_schema_offsets=self._round.unknown_schema_offsets,
            deferred=is_small & ~transforms.is_canonical(self._definition.record_type),
        )
        definition = self._definition
        kind = () if definition.erasure is None else (definition.erasure.column,)
        columns = tuple(dict.fromkeys((definition.key, *kind, *definition.counted_columns)))
        read = Read(decoded=decoded)
        has_deferred = False
        for row in transforms.describe(decoded, self._definition.record_type, columns).collect():
            position = (row["partition"], row["offset"])
            if row["reason"] == Reason.UNKNOWN_SCHEMA:
                read.batch.note_unknown(row["schema_id"], *position)
            if row["is_deferred"]:
                has_deferred = True
            elif row["reason"] is not None:
                read.has_rejected = True
            elif row["offset"] >= self._round.generation.begin.get(row["partition"], 0):
                counted = tuple(str(row[column]) for column in self._definition.counted_columns)
                read.events.append(Event(row[definition.key], *position, definition.is_erasure(row), counted))
        if has_deferred:
            for row in decoded.filter("is_deferred").select(*transforms.SOURCE_COLUMNS).collect():
                read.batch.add(row, definition.record_type, self._round.decoder)
            for accepted in read.batch.accepted:
                self._accept(read, accepted)
        return read

    def _find_changes(self, events: list[Event]) -> Changes:
        """Look up the keys of the events, and compute the changes."""
        keys = {event.key for event in events}
        tables = self.tables
        return find_changes(
            events,
            created=tables.find_stored(keys),
            erased=tables.find_erased(keys, self._round.generation.name),
            written=self.live.written,
            dimensions=self._definition.dimensions,
            columns=self._definition.counted_columns,
        )

    def _write_with_spark(self, decoded: DataFrame, found: Changes, *, has_rejected: bool) -> None:
        """Write the dead letters and the new rows of a large batch."""
        if has_rejected:
            self._write_rejected(transforms.rejected_records(decoded))
        if not found.created:
            return
        accepted = transforms.accepted_records(decoded, self._definition.record_type)
        created = accepted.filter(self._is_of_generation())
        if (erasure := self._definition.erasure) is not None:
            created = created.filter(F.col(erasure.column) == erasure.created).drop(erasure.column)
        if found.duplicates:
            positions = [(event.partition, event.offset) for event in found.duplicates]
            schema = "kafka_partition int, kafka_offset long"
            created = transforms.without(created, self._spark.createDataFrame(positions, schema))
        (
            created.write.format(CASSANDRA)
            .option("keyspace", self._cassandra.keyspace)
            .option("table", self._definition.table)
            .option("writetime", str(WRITE_TIMESTAMP))
            .mode("append")
            .save()
        )

    def _is_of_generation(self) -> Column:
        """Whether a record belongs to the generation; earlier ones are published again in it."""
        begun = F.lit(True)
        for partition, offset in self._round.generation.begin.items():
            begun = begun & ((F.col("kafka_partition") != partition) | (F.col("kafka_offset") >= offset))
        return begun

    def _write_rejected(self, rejected: DataFrame) -> None:
        (
            rejected.write.format("kafka")
            .options(**spark_options(self._kafka))
            .option("topic", self._definition.dead_letter_topic.name)
            .option("includeHeaders", "true")
            .option("kafka.acks", "all")
            # A topic's limit applies after compression, the producer's before it.
            .option("kafka.compression.type", "zstd")
            .option("kafka.max.request.size", str(LARGEST_UNCOMPRESSED_BYTES))
            .option("kafka.buffer.memory", str(LARGEST_UNCOMPRESSED_BYTES))
            .save()
        )
