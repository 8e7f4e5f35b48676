"""Runs one stream: from its topic to its table, its dead letter topic and its analysis tables.

The query is stateless: the deduplication state of an id is its row in Cassandra, which each batch looks up. A batch
that is repeated after a failure writes the same rows again, and is counted once.
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from threading import Event as Signal
from typing import Any

import structlog
from cassandra import DriverException
from cassandra.cluster import NoHostAvailable
from confluent_kafka.schema_registry import SchemaRegistryClient
from pyspark.errors import StreamingQueryException
from pyspark.sql import Column, DataFrame, Row, SparkSession
from pyspark.sql import functions as F
from pyspark.sql.streaming.query import StreamingQuery

from member_analyzer.analysis.changes import Changes, Event, find_changes
from member_analyzer.analysis.live_tables import ForeignProgressError, LiveTables
from member_analyzer.analysis.progress import QUERY, Generation
from member_analyzer.analysis.tables import AnalysisTables
from member_analyzer.kafka.client import spark_options
from member_analyzer.kafka.reader import TopicReader
from member_analyzer.kafka.registry import subject_schemas
from member_analyzer.kafka.topics import LARGEST_UNCOMPRESSED_BYTES
from member_analyzer.records.avro_schemas import find_unbounded
from member_analyzer.records.canonical import canonical
from member_analyzer.records.decoding import RecordDecoder
from member_analyzer.records.offsets import Offsets, UnknownSchemaOffsets
from member_analyzer.records.rejection import Reason, Rejection
from member_analyzer.settings import CassandraSettings, KafkaSettings, StreamSettings
from member_analyzer.spark.session import CASSANDRA
from member_analyzer.streaming import transforms
from member_analyzer.streaming.checkpoint import Checkpoint
from member_analyzer.streaming.dead_letters import DeadLetterProducer, SourceRecord
from member_analyzer.streaming.isolation import Isolation, name_errors, next_ends
from member_analyzer.streams.definition import StreamDefinition

log = structlog.get_logger(__name__)

# The write timestamp of rows, in microseconds: a day in 2001, so that a deletion, at the current time, always wins over
# a write that a killed stream left in flight.
WRITE_TIMESTAMP = 1_000_000_000_000_000

# Up to this many records the driver decodes and writes a batch itself: planning a Spark job takes longer.
SMALL_BATCH = 5000
LARGEST_SMALL_VALUE = 100_000

# After this many failed attempts, a batch is bisected to isolate the record that causes the failure.
ATTEMPTS_BEFORE_ISOLATION = 3
MOST_REJECTED_IN_A_ROW = 50

SECONDS_TO_END = 20


class StreamError(RuntimeError):
    """Raised when a stream refuses to start or fails; the message states the remedy."""


@dataclass(frozen=True)
class StreamServers:
    """The servers of one stream; `topics` and `dead_letters` are not shared with other streams."""

    spark: SparkSession
    kafka: KafkaSettings
    registry: SchemaRegistryClient
    cassandra: CassandraSettings
    tables: AnalysisTables
    topics: TopicReader
    dead_letters: DeadLetterProducer


class NewSchemaError(RuntimeError):
    """Raised for a batch with records of a schema that was registered after the round began."""


@dataclass
class Read:
    """A decoded batch: by the driver, or by Spark, in which case the driver only has the events."""

    events: list[Event] = field(default_factory=list)
    rows: dict[tuple[int, int], Mapping[str, Any]] = field(default_factory=dict)
    """The rows that the driver writes, by Kafka partition and offset."""
    rejected: list[tuple[SourceRecord, Rejection]] = field(default_factory=list)
    """The dead letters that the driver writes."""
    unknown: dict[int, dict[int, int]] = field(default_factory=dict)
    """Unknown schema id -> Kafka partition -> last offset."""
    decoded: DataFrame | None = None
    """The records that Spark writes."""
    has_rejected: bool = False
    """Whether Spark has dead letters to write."""

    def note_unknown(self, schema_id: int, partition: int, offset: int) -> None:
        """Note a record of an unknown schema."""
        offsets = self.unknown.setdefault(schema_id, {})
        offsets[partition] = max(offset, offsets.get(partition, 0))


class StreamJob:
    """Runs a stream's query from its checkpoint until it is stopped or fails.

    It runs in rounds: a new schema or a rebuild ends the current round between two micro-batches.
    """

    def __init__(
        self, definition: StreamDefinition, servers: StreamServers, settings: StreamSettings, is_stopping: Signal
    ) -> None:
        self._definition = definition
        self._servers = servers
        self._settings = settings
        self._checkpoint = Checkpoint(
            servers.spark, f"{settings.checkpoint}/{definition.topic.name}", definition.topic.name
        )
        self._is_stopping = is_stopping
        self._generation = Generation()
        self._live: LiveTables
        self._isolation = Isolation()
        # Of the round:
        self._is_ending = False
        self._writers: Mapping[int, str] = {}
        self._bounded_writers: Mapping[int, str] = {}
        self._unbounded_writers: list[int] = []
        self._unknown_schema_offsets: UnknownSchemaOffsets = {}
        self._decoder: RecordDecoder
        self._has_new_schema = False

    def run(self) -> None:
        """Run until `is_stopping` is set. Raises StreamError if it refuses to start, or if the query fails.

        A schema that is registered meanwhile is loaded between two micro-batches.
        """
        while not self._is_stopping.is_set():
            self._apply_rebuild()
            self._check_consistency()
            self._live = LiveTables(self._servers.tables)
            self._begin_isolation()
            while not self._is_stopping.is_set() and self._servers.tables.read_generations().wanted is None:
                self._run_round()

    def _run_round(self) -> None:
        schemas = subject_schemas(self._servers.registry, self._definition.subject)
        if not schemas:
            raise StreamError(
                f"The registry has no schema for {self._definition.subject}. "
                "Register it with `member-analyzer provision`, then start the stream again."
            )
        self._writers = schemas
        self._bounded_writers = {number: one for number, one in schemas.items() if find_unbounded(one) is None}
        self._unbounded_writers = sorted(schemas.keys() - self._bounded_writers.keys())
        self._unknown_schema_offsets = self._servers.tables.read_unknown_schema_offsets(self._writers)
        self._decoder = RecordDecoder(
            self._definition.record_type,
            writers=self._bounded_writers,
            unbounded=self._unbounded_writers,
            reader=self._definition.schema,
            unknown_schema_offsets=self._unknown_schema_offsets,
        )
        self._has_new_schema = self._is_ending = False
        log.info(
            "stream.starts",
            stream=self._definition.name,
            generation=self._generation.name,
            schema_ids=sorted(self._writers),
        )
        query = self._start_query()
        try:
            self._watch(query)
        finally:
            self._is_ending = True
            query.stop()
            # Stopping a query does not interrupt its callback in this process.
            if self._live.lock.acquire(timeout=SECONDS_TO_END):
                self._live.lock.release()
            else:
                raise StreamError(f"A batch is still running {SECONDS_TO_END} seconds after its query was stopped.")

    def _watch(self, query: StreamingQuery) -> None:
        """Return when the stream is to stop, or its query must be restarted."""
        while not self._is_stopping.is_set():
            try:
                ended = query.awaitTermination(1)
            except StreamingQueryException as error:
                if self._has_new_schema:
                    return
                raise StreamError(f"The query of the stream failed: {error}") from error
            if ended:
                raise StreamError("The query of the stream ended unexpectedly.")
            try:
                if self._servers.tables.read_generations().wanted is not None:
                    return
                self._maintain_tables()
            except (DriverException, NoHostAvailable) as error:
                # If there are records, the next batch fails; otherwise there is no need to.
                log.warning("stream.cassandra_unavailable", error=str(error))

    def _maintain_tables(self) -> None:
        """Roll over to the next day, and apply repairs, between two micro-batches."""
        if not self._live.lock.acquire(timeout=5):
            return
        try:
            self._live.roll_over(datetime.now(UTC).date())
            if repairs := self._servers.tables.read_repairs():
                self._live.repair(repairs)
        finally:
            self._live.lock.release()

    def _apply_rebuild(self) -> None:
        """Empty the tables and the checkpoint if a rebuild is requested."""
        generations = self._servers.tables.read_generations()
        self._generation = generations.wanted or generations.current
        if generations.wanted is not None:
            log.info(
                "stream.generation_begins",
                stream=self._definition.name,
                generation=self._generation.name,
                offsets=dict(self._generation.begin),
            )
            self._checkpoint.empty()
            self._servers.tables.begin_generation(self._generation, datetime.now(UTC).date())

    def _check_consistency(self) -> None:
        """Raise StreamError unless topic, checkpoint and tables are consistent."""
        remedy = f"Restore it, or {self._recount_remedy}."
        tables, topic = self._servers.tables, self._definition.topic
        folder = self._checkpoint.folder(self._generation.name)
        has_begun = self._checkpoint.has_begun(self._generation.name, QUERY)
        written = tables.read_progress().written
        if not written and tables.is_of_earlier_version():
            raise StreamError(
                f"The tables were written by an earlier version with another progress format: {self._recount_remedy}."
            )
        self._check_topic_id()
        oldest = self._servers.topics.begin_offsets(topic)
        if written and not has_begun:
            raise StreamError(
                f"There are counted records in Cassandra but no checkpoint in {folder}: counting from zero "
                f"would make every table wrong. {remedy}"
            )
        if not has_begun and not self._generation.begin and any(oldest.values()):
            raise StreamError(
                f"There is no checkpoint in {folder}, and the oldest records of the topic {topic.name} "
                f"have expired: counting from there would omit records. {remedy}"
            )
        # The progress is written to Cassandra before Spark commits the batch. If Cassandra was emptied, the current
        # generation is unknown, so the checkpoints of all generations are checked.
        committed = self._checkpoint.read_committed_ends(self._generation.name, QUERY)
        is_behind = any(written.get(partition, -1) < end - 1 for partition, end in committed.items())
        if is_behind or (not written and self._checkpoint.has_committed(QUERY)):
            raise StreamError(
                f"The checkpoint in {self._checkpoint.root} has read records that Cassandra does not hold, as after "
                f"Cassandra was emptied or restored from an older backup: continuing would omit them. {remedy}"
            )

    @property
    def _recount_remedy(self) -> str:
        return f"count everything again from landing.{self._definition.landing.records} with `member-analyzer rebuild`"

    def _check_topic_id(self) -> None:
        """Raise StreamError if the topic was deleted and recreated."""
        found = self._servers.topics.topic_id(self._definition.topic)
        if not self._generation.topic_id:
            self._generation = replace(self._generation, topic_id=found)
            self._servers.tables.keep_topic_id(self._generation)
        elif found != self._generation.topic_id:
            raise StreamError(
                f"The topic {self._definition.topic.name} was deleted and created again, so the counted offsets are "
                f"invalid: {self._recount_remedy}."
            )

    def _starting_offsets(self, begin: Offsets) -> str:
        """Return Spark's `startingOffsets` for a query without a checkpoint."""
        if not begin:
            return "earliest"
        return json.dumps({self._definition.topic.name: {str(number): offset for number, offset in begin.items()}})

    def _start_query(self) -> StreamingQuery:
        records = (
            self._servers.spark.readStream.format("kafka")
            .options(**spark_options(self._servers.kafka))
            .option("subscribe", self._definition.topic.name)
            .option("startingOffsets", self._starting_offsets(self._generation.look_from))
            .option("includeHeaders", "true")
            .option("maxOffsetsPerTrigger", self._settings.max_offsets_per_trigger)
            .option("groupIdPrefix", "member-analyzer-stream")
            .load()
        )
        return (
            # A task has more overhead than a few records, and more tasks than cores gain nothing.
            records.coalesce(self._settings.tasks)
            .writeStream.queryName(f"{self._definition.name}_{QUERY}")
            .outputMode("append")
            .option("checkpointLocation", self._checkpoint.folder(self._generation.name, QUERY))
            .trigger(processingTime=f"{self._settings.trigger_milliseconds} milliseconds")
            .foreachBatch(self._process)
            .start()
        )

    def _process(self, batch: DataFrame, number: int) -> None:
        """Process a micro-batch, up to the end offsets in the checkpoint."""
        ends = self._checkpoint.read_ends(self._generation.name, QUERY, number)
        with self._live.lock:
            self._check_topic_id()
            if self._live.is_unfinished:
                # First finish the part that is already counted.
                counted = {partition: self._live.counted.get(partition, -1) + 1 for partition in ends}
                self._advance(batch, {partition: min(end, counted[partition]) for partition, end in ends.items()})
            self._advance(batch, ends)

    def _advance(self, batch: DataFrame, ends: Offsets) -> None:
        """Process a batch up to these offsets: at once, or in parts if it has failed too often."""
        begins = self._next_offsets(ends)
        # Even an empty first batch must write the progress.
        if self._live.written and not _is_before(begins, ends):
            return
        if not self._isolation.is_active:
            self._write(batch, begins, ends)
            self._end_isolation()
            return
        while _is_before(begins, ends):
            self._isolation = self._isolation.attempt(sum(end - begins[partition] for partition, end in ends.items()))
            part = next_ends(begins, ends, self._isolation.limit)
            self._write_isolation()
            if self._isolation.has_failed_alone:
                self._reject_unprocessable(begins, part)
                self._isolation = self._isolation.reject()
            else:
                self._isolation = self._try_part(batch, begins, part)
            self._write_isolation()
            begins = self._next_offsets(ends)
        self._end_isolation()

    def _next_offsets(self, ends: Offsets) -> dict[int, int]:
        """Return the first unwritten offset of each partition."""
        written, first = self._live.written, self._generation.look_from
        return {partition: max(written.get(partition, -1) + 1, first.get(partition, 0)) for partition in ends}

    def _try_part(self, batch: DataFrame, begins: Offsets, ends: Offsets) -> Isolation:
        """Process a part; return the new state of the search. Raises errors that no record causes."""
        try:
            self._write(batch, begins, ends)
        except (NewSchemaError, ForeignProgressError):
            raise
        except Exception as error:
            if self._is_ending or self._is_stopping.is_set():
                raise
            self._probe_servers()
            cause = name_errors(error)
            log.warning("stream.part_failed", begins=dict(begins), ends=dict(ends), error=cause)
            return self._isolation.fail(cause)
        return self._isolation.succeed()

    def _end_isolation(self) -> None:
        if self._isolation != Isolation():
            self._isolation = Isolation()
            self._servers.tables.write_isolation(None)

    def _begin_isolation(self) -> None:
        """Begin or resume the search if earlier processes failed to finish a batch too often."""
        tables = self._servers.tables
        if not self._checkpoint.has_uncommitted(self._generation.name, QUERY):
            self._isolation = Isolation()
            if tables.read_isolation() is not None:
                tables.write_isolation(None)
            return
        self._isolation = Isolation.decode(tables.read_isolation()).restart(ATTEMPTS_BEFORE_ISOLATION)
        self._servers.tables.write_isolation(self._isolation.encode())
        if self._isolation.is_active:
            log.warning("stream.isolates", attempts=self._isolation.starts, records=self._isolation.limit)

    def _write_isolation(self) -> None:
        self._servers.tables.write_isolation(self._isolation.encode())

    def _probe_servers(self) -> None:
        """Raise the error of an unavailable server or of Spark: then no record is the cause."""
        self._servers.spark.range(1).count()
        self._servers.tables.read_progress()
        self._servers.topics.bounds(self._definition.topic)
        subject_schemas(self._servers.registry, self._definition.subject)

    def _reject_unprocessable(self, begins: Offsets, ends: Offsets) -> None:
        """Write the isolated record to the dead letter topic, without Spark. Raises StreamError."""
        if self._isolation.rejected_in_a_row >= MOST_REJECTED_IN_A_ROW:
            raise StreamError(
                f"{MOST_REJECTED_IN_A_ROW} consecutive records could not be processed, so the records are probably not "
                f"the cause. The last error: {self._isolation.error}"
            )
        rejection = Rejection(Reason.UNPROCESSABLE, "Processing the record failed repeatedly; see the log.")
        ranges = {partition: range(begins[partition], end) for partition, end in ends.items()}
        for message in self._servers.topics.read_ranges(self._definition.topic, ranges, seconds=60):
            record = SourceRecord.of(message)
            log.error(
                "stream.record_isolated",
                topic=record.topic,
                partition=record.partition,
                offset=record.offset,
                error=self._isolation.error,
                means="The record is in the dead letter topic, and the stream continues after it.",
            )
            self._servers.dead_letters.produce([(record, rejection)])
        self._live.finish_rows({partition: end - 1 for partition, end in ends.items()})

    def _write(self, batch: DataFrame, begins: Offsets, ends: Offsets) -> None:
        """Process the records between these offsets: rows and dead letters, then counts, then erasures."""
        raw = transforms.between(batch, begins, ends)
        size = sum(end - begins[partition] for partition, end in ends.items())
        read = (self._read(raw) if size <= SMALL_BATCH else None) or self._read_with_spark(raw)
        if read.unknown:
            self._record_unknown_schemas(read.unknown)
        found = self._find_changes(read.events)
        self._servers.dead_letters.produce(read.rejected)
        if read.decoded is not None:
            self._write_with_spark(read.decoded, found, has_rejected=read.has_rejected)
        created = (read.rows.get((event.partition, event.offset)) for event in found.created.values())
        self._servers.tables.write_rows((row for row in created if row is not None), WRITE_TIMESTAMP)
        positions = {partition: end - 1 for partition, end in ends.items()}
        # After the rows, so that a record whose row cannot be written is not counted; before the erasures, which delete
        # the rows that hold what to subtract.
        if any(self._live.counted.get(partition, -1) < offset for partition, offset in positions.items()):
            self._live.count(found, positions, datetime.now(UTC).date())
        if found.erased:
            self._servers.tables.erase_rows(found.erased.values(), self._generation.name)
        self._live.finish_rows(positions)

    def _read(self, raw: DataFrame) -> Read | None:
        """Decode a small batch in the driver; return None if one of its records is too large.

        Planning a Spark query takes about as long as this does for thousands of records.
        """
        large = F.octet_length("value") > LARGEST_SMALL_VALUE
        value = F.when(~large, F.col("value")).alias("value")
        rows = raw.select(
            "key", value, "headers", "topic", "partition", "offset", F.coalesce(large, F.lit(False)).alias("is_large")
        ).collect()
        if any(row["is_large"] for row in rows):
            return None
        read = Read()
        for row in rows:
            self._take(read, row)
        return read

    def _take(self, read: Read, row: Row) -> None:
        """Decode, normalize and validate one record, and add it to the batch."""
        position = (row["partition"], row["offset"])
        decoded = self._decoder.decode(row["value"], *position)
        if decoded.record is not None:
            kept = canonical(self._definition.record_type, decoded.record)
            decoded = self._decoder.validate(decoded._replace(record=kept))
        if decoded.record is not None:
            self._accept(read, decoded.record, *position)
        elif decoded.rejection is not None:
            read.rejected.append((SourceRecord.of_row(row), decoded.rejection))
            if decoded.rejection.reason == Reason.UNKNOWN_SCHEMA and decoded.schema_id is not None:
                read.note_unknown(decoded.schema_id, *position)

    def _accept(self, read: Read, record: Mapping[str, Any], partition: int, offset: int) -> None:
        """Add an accepted record, if it belongs to the generation."""
        # Earlier records are published again in this generation.
        if offset < self._generation.begin.get(partition, 0):
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
            writers=self._bounded_writers,
            unbounded=self._unbounded_writers,
            reader=self._definition.schema,
            unknown_schema_offsets=self._unknown_schema_offsets,
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
                read.note_unknown(row["schema_id"], *position)
            if row["is_deferred"]:
                has_deferred = True
            elif row["reason"] is not None:
                read.has_rejected = True
            elif row["offset"] >= self._generation.begin.get(row["partition"], 0):
                counted = tuple(str(row[column]) for column in self._definition.counted_columns)
                read.events.append(Event(row[definition.key], *position, definition.is_erasure(row), counted))
        if has_deferred:
            for row in decoded.filter("is_deferred").select(*transforms.SOURCE_COLUMNS).collect():
                self._take(read, row)
        return read

    def _find_changes(self, events: list[Event]) -> Changes:
        """Look up the keys of the events, and compute the changes."""
        keys = {event.key for event in events}
        tables = self._servers.tables
        return find_changes(
            events,
            created=tables.find_stored(keys),
            erased=tables.find_erased(keys, self._generation.name),
            written=self._live.written,
            dimensions=self._definition.dimensions,
            columns=self._definition.counted_columns,
        )

    def _record_unknown_schemas(self, unknown: UnknownSchemaOffsets) -> None:
        """Store up to which offsets records are rejected for an unknown schema, before they are rejected.

        If one of the schemas was registered since the round began, the batch fails and is read again. It also fails if
        the registry is unavailable, because then it is unknown whether to reject a record.
        """
        ids = unknown.keys() - self._writers.keys()
        if not ids:
            return
        if ids & subject_schemas(self._servers.registry, self._definition.subject).keys():
            self._has_new_schema = True
            raise NewSchemaError(f"New schemas were registered: {sorted(ids)}.")
        for schema_id in ids:
            self._servers.tables.write_unknown_schema_offsets(schema_id, unknown[schema_id])

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
            created = transforms.without(created, self._servers.spark.createDataFrame(positions, schema))
        (
            created.write.format(CASSANDRA)
            .option("keyspace", self._servers.cassandra.keyspace)
            .option("table", self._definition.table)
            .option("writetime", str(WRITE_TIMESTAMP))
            .mode("append")
            .save()
        )

    def _is_of_generation(self) -> Column:
        """Whether a record belongs to the generation; earlier ones are published again in it."""
        begun = F.lit(True)
        for partition, offset in self._generation.begin.items():
            begun = begun & ((F.col("kafka_partition") != partition) | (F.col("kafka_offset") >= offset))
        return begun

    def _write_rejected(self, rejected: DataFrame) -> None:
        (
            rejected.write.format("kafka")
            .options(**spark_options(self._servers.kafka))
            .option("topic", self._definition.dead_letter_topic.name)
            .option("includeHeaders", "true")
            .option("kafka.acks", "all")
            # A topic's limit applies after compression, the producer's before it.
            .option("kafka.compression.type", "zstd")
            .option("kafka.max.request.size", str(LARGEST_UNCOMPRESSED_BYTES))
            .option("kafka.buffer.memory", str(LARGEST_UNCOMPRESSED_BYTES))
            .save()
        )


def _is_before(begins: Offsets, ends: Offsets) -> bool:
    """Whether there are offsets between these."""
    return any(begins.get(partition, 0) < end for partition, end in ends.items())
