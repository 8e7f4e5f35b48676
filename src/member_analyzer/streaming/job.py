"""Runs one stream: reads its topic in micro-batches and passes them to the stream's sink.

The query is stateless; the sink keeps all state in Cassandra.
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from threading import Event as Signal

import structlog
from cassandra import DriverException
from cassandra.cluster import NoHostAvailable
from confluent_kafka.schema_registry import SchemaRegistryClient
from pyspark.errors import StreamingQueryException
from pyspark.sql import DataFrame, SparkSession
from pyspark.sql.streaming.query import StreamingQuery

from member_analyzer.analysis.live_progress import ForeignProgressError
from member_analyzer.analysis.progress import QUERY, Generation
from member_analyzer.kafka.client import spark_options
from member_analyzer.kafka.reader import TopicReader
from member_analyzer.kafka.registry import subject_schemas
from member_analyzer.records.avro_schemas import find_unbounded
from member_analyzer.records.decoding import RecordDecoder
from member_analyzer.records.offsets import Offsets, UnknownSchemaOffsets
from member_analyzer.records.rejection import Reason, Rejection
from member_analyzer.settings import KafkaSettings, StreamSettings
from member_analyzer.streaming import transforms
from member_analyzer.streaming.batch import Round
from member_analyzer.streaming.checkpoint import Checkpoint
from member_analyzer.streaming.dead_letters import DeadLetterProducer, SourceRecord
from member_analyzer.streaming.isolation import Isolation, name_errors, next_ends
from member_analyzer.streaming.sink import Part, Sink
from member_analyzer.streams.definition import TopicDefinition

log = structlog.get_logger(__name__)

# After this many failed attempts, a batch is bisected to isolate the record that causes the failure.
ATTEMPTS_BEFORE_ISOLATION = 3
MOST_REJECTED_IN_A_ROW = 50

SECONDS_TO_END = 20


class StreamError(RuntimeError):
    """Raised when a stream refuses to start or fails; the message states the remedy."""


class StreamRefusedError(StreamError):
    """Raised when topic, checkpoint and tables of a stream are inconsistent, until a rebuild or a restored backup."""


@dataclass(frozen=True)
class StreamServers:
    """The servers of one stream; `topics` and `dead_letters` are not shared with other streams."""

    spark: SparkSession
    kafka: KafkaSettings
    registry: SchemaRegistryClient
    topics: TopicReader
    dead_letters: DeadLetterProducer


class NewSchemaError(RuntimeError):
    """Raised for a batch with records of a schema that was registered after the round began."""


class StreamJob:
    """Runs a stream's query from its checkpoint until it is stopped or fails.

    It runs in rounds: a new schema or a rebuild ends the current round between two micro-batches.
    """

    def __init__(
        self,
        definition: TopicDefinition,
        servers: StreamServers,
        sink: Sink,
        settings: StreamSettings,
        is_stopping: Signal,
    ) -> None:
        self._definition = definition
        self._sink = sink
        self._servers = servers
        self._settings = settings
        self._checkpoint = Checkpoint(
            servers.spark, f"{settings.checkpoint}/{definition.topic.name}", definition.topic.name
        )
        self._is_stopping = is_stopping
        self._generation = Generation()
        self._isolation = Isolation()
        # Of the round:
        self._is_ending = False
        self._writers: Mapping[int, str] = {}
        self._has_new_schema = False

    @property
    def name(self) -> str:
        """The name of the stream."""
        return self._definition.name

    def run(self) -> None:
        """Run until `is_stopping` is set; may be called again after a refusal.

        Raises StreamRefusedError if the stream refuses to start, StreamError if its query fails. A schema that is
        registered meanwhile is loaded between two micro-batches.
        """
        while not self._is_stopping.is_set():
            self._apply_rebuild()
            self._check_consistency()
            self._sink.tables.write_refusal(None)
            self._sink.load()
            self._begin_isolation()
            while not self._is_stopping.is_set() and self._sink.tables.read_generations().wanted is None:
                self._run_round()

    def report_refusal(self, error: StreamRefusedError) -> None:
        """Log why the stream refuses to start, and store it for the console."""
        log.error("stream.refused", stream=self.name, error=str(error))
        self._sink.tables.write_refusal(str(error))

    def _run_round(self) -> None:
        schemas = subject_schemas(self._servers.registry, self._definition.subject)
        if not schemas:
            raise StreamError(
                f"The registry has no schema for {self._definition.subject}. "
                "Register it with `member-analyzer provision`, then start the stream again."
            )
        self._writers = schemas
        bounded = {number: one for number, one in schemas.items() if find_unbounded(one) is None}
        unbounded = sorted(schemas.keys() - bounded.keys())
        unknown_schema_offsets = self._sink.tables.read_unknown_schema_offsets(schemas)
        decoder = RecordDecoder(
            self._definition.record_type,
            writers=bounded,
            unbounded=unbounded,
            reader=self._definition.schema,
            unknown_schema_offsets=unknown_schema_offsets,
        )
        self._sink.begin_round(
            Round(self._generation, bounded, unbounded, unknown_schema_offsets, decoder, self._record_unknown_schemas)
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
            if self._sink.live.lock.acquire(timeout=SECONDS_TO_END):
                self._sink.live.lock.release()
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
                if self._sink.tables.read_generations().wanted is not None:
                    return
                self._maintain_tables()
            except (DriverException, NoHostAvailable) as error:
                # If there are records, the next batch fails; otherwise there is no need to.
                log.warning("stream.cassandra_unavailable", error=str(error))

    def _maintain_tables(self) -> None:
        """Do what is due between two micro-batches."""
        if not self._sink.live.lock.acquire(timeout=5):
            return
        try:
            self._sink.maintain()
        finally:
            self._sink.live.lock.release()

    def _apply_rebuild(self) -> None:
        """Empty the tables and the checkpoint if a rebuild is requested."""
        generations = self._sink.tables.read_generations()
        self._generation = generations.wanted or generations.current
        if generations.wanted is not None:
            log.info(
                "stream.generation_begins",
                stream=self._definition.name,
                generation=self._generation.name,
                offsets=dict(self._generation.begin),
            )
            self._checkpoint.empty()
            self._sink.tables.begin_generation(self._generation, datetime.now(UTC).date())

    def _check_consistency(self) -> None:
        """Raise StreamRefusedError unless topic, checkpoint and tables are consistent."""
        remedy = f"Restore it, or {self._sink.remedy}."
        tables, topic = self._sink.tables, self._definition.topic
        folder = self._checkpoint.folder(self._generation.name)
        has_begun = self._checkpoint.has_begun(self._generation.name, QUERY)
        written = tables.read_progress().written
        if not written and tables.is_of_earlier_version():
            raise StreamRefusedError(
                f"The tables were written by an earlier version with another progress format: {self._sink.remedy}."
            )
        self._check_topic_id()
        oldest = self._servers.topics.begin_offsets(topic)
        if written and not has_begun:
            raise StreamRefusedError(
                f"There are counted records in Cassandra but no checkpoint in {folder}: counting from zero "
                f"would make every table wrong. {remedy}"
            )
        if not has_begun and not self._generation.begin and any(oldest.values()):
            raise StreamRefusedError(
                f"There is no checkpoint in {folder}, and the oldest records of the topic {topic.name} "
                f"have expired: counting from there would omit records. {remedy}"
            )
        # The progress is written to Cassandra before Spark commits the batch. If Cassandra was emptied, the current
        # generation is unknown, so the checkpoints of all generations are checked.
        committed = self._checkpoint.read_committed_ends(self._generation.name, QUERY)
        is_behind = any(written.get(partition, -1) < end - 1 for partition, end in committed.items())
        if is_behind or (not written and self._checkpoint.has_committed(QUERY)):
            raise StreamRefusedError(
                f"The checkpoint in {self._checkpoint.root} has read records that Cassandra does not hold, as after "
                f"Cassandra was emptied or restored from an older backup: continuing would omit them. {remedy}"
            )

    def _check_topic_id(self) -> None:
        """Raise StreamRefusedError if the topic was deleted and recreated."""
        found = self._servers.topics.topic_id(self._definition.topic)
        if not self._generation.topic_id:
            self._generation = replace(self._generation, topic_id=found)
            self._sink.tables.keep_topic_id(self._generation)
        elif found != self._generation.topic_id:
            raise StreamRefusedError(
                f"The topic {self._definition.topic.name} was deleted and created again, so the counted offsets are "
                f"invalid: {self._sink.remedy}."
            )

    def _starting_offsets(self, begin: Offsets) -> str:
        """Return Spark's `startingOffsets` for a query without a checkpoint."""
        if not begin:
            return "earliest"
        return json.dumps({self._definition.topic.name: {str(number): offset for number, offset in begin.items()}})

    def _start_query(self) -> StreamingQuery:
        largest = self._settings.max_offsets_per_trigger
        records = (
            self._servers.spark.readStream.format("kafka")
            .options(**spark_options(self._servers.kafka))
            .option("subscribe", self._definition.topic.name)
            .option("startingOffsets", self._starting_offsets(self._generation.look_from))
            .option("includeHeaders", "true")
            .option("kafka.isolation.level", "read_committed")
            .option("maxOffsetsPerTrigger", min(largest, self._sink.largest_batch or largest))
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
        with self._sink.live.lock:
            self._check_topic_id()
            if self._sink.live.is_unfinished:
                # First finish the part that is already counted.
                counted = {partition: self._sink.live.counted.get(partition, -1) + 1 for partition in ends}
                self._advance(batch, {partition: min(end, counted[partition]) for partition, end in ends.items()})
            self._advance(batch, ends)

    def _advance(self, batch: DataFrame, ends: Offsets) -> None:
        """Process a batch up to these offsets: at once, or in parts if it has failed too often."""
        begins = self._next_offsets(ends)
        # Even an empty first batch must write the progress.
        if self._sink.live.written and not _is_before(begins, ends):
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
        written, first = self._sink.live.written, self._generation.look_from
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
            self._sink.tables.write_isolation(None)

    def _begin_isolation(self) -> None:
        """Begin or resume the search if earlier processes failed to finish a batch too often."""
        tables = self._sink.tables
        if not self._checkpoint.has_uncommitted(self._generation.name, QUERY):
            self._isolation = Isolation()
            if tables.read_isolation() is not None:
                tables.write_isolation(None)
            return
        self._isolation = Isolation.decode(tables.read_isolation()).restart(ATTEMPTS_BEFORE_ISOLATION)
        self._sink.tables.write_isolation(self._isolation.encode())
        if self._isolation.is_active:
            log.warning("stream.isolates", attempts=self._isolation.starts, records=self._isolation.limit)

    def _write_isolation(self) -> None:
        self._sink.tables.write_isolation(self._isolation.encode())

    def _probe_servers(self) -> None:
        """Raise the error of an unavailable server or of Spark: then no record is the cause."""
        self._servers.spark.range(1).count()
        self._sink.tables.read_progress()
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
        self._sink.live.finish_rows({partition: end - 1 for partition, end in ends.items()})

    def _write(self, batch: DataFrame, begins: Offsets, ends: Offsets) -> None:
        """Process the records between these offsets."""
        self._sink.write(
            Part(
                transforms.between(batch, begins, ends),
                sum(end - begins[partition] for partition, end in ends.items()),
                {partition: end - 1 for partition, end in ends.items()},
            )
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
            self._sink.tables.write_unknown_schema_offsets(schema_id, unknown[schema_id])


def _is_before(begins: Offsets, ends: Offsets) -> bool:
    """Whether there are offsets between these."""
    return any(begins.get(partition, 0) < end for partition, end in ends.items())
