"""Runs one stream: from its topic into its table, its rejected topic and its analysis tables.

Two queries read the topic side by side, each with its own checkpoint: `members` keeps no state and writes the records
themselves, `analysis` counts each id once. Every batch that is repeated after a failure writes the same again.
"""

import json
import signal
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import partial
from threading import Event

import structlog
from cassandra import DriverException
from cassandra.cluster import NoHostAvailable
from confluent_kafka.schema_registry import SchemaRegistryClient
from py4j.protocol import Py4JError
from pyspark.errors import PySparkException, StreamingQueryException
from pyspark.sql import Column, DataFrame, SparkSession
from pyspark.sql import functions as F
from pyspark.sql.streaming.query import StreamingQuery

from member_analyzer import stream
from member_analyzer.analysis import Count
from member_analyzer.checkpoint import Checkpoint
from member_analyzer.decisions import Decisions, Offsets
from member_analyzer.kafka import spark_options
from member_analyzer.live_tables import LiveTables
from member_analyzer.member import CREATED, DIMENSIONS, ERASED, MEMBER, Dimension, avro_schema
from member_analyzer.record import RecordType
from member_analyzer.registry import USERS_VALUE, Subject, subject_schemas
from member_analyzer.settings import CassandraSettings, KafkaSettings, StreamSettings
from member_analyzer.spark import CASSANDRA, read_observed
from member_analyzer.tables import ANALYSIS_QUERY, MEMBERS_QUERY, AnalysisTables, Generation, Positions
from member_analyzer.topic_reader import TopicReader
from member_analyzer.topics import LARGEST_UNCOMPRESSED_BYTES, USERS, USERS_REJECTED, Topic

log = structlog.get_logger(__name__)

# Microseconds since 1970 of a day in 2001. Rows are written at this timestamp less their offset, so that the first of
# several events of an id wins, and a delete at the present time wins over all of them.
FIRST_WRITE_TIMESTAMP = 1_000_000_000_000_000

# What Spark calls the numbers that it observes in a batch of the members.
KINDS = "kinds"


class StreamError(RuntimeError):
    """Raised when a stream must not or cannot run; its message says what to do."""


@dataclass(frozen=True)
class StreamDefinition:
    """What makes one stream: its records, where they come from, and where they and their counts go."""

    record_type: RecordType
    reader_schema: str
    subject: Subject
    topic: Topic
    rejected: Topic
    table: str
    dimensions: tuple[Dimension, ...]


MEMBERS = StreamDefinition(
    record_type=MEMBER,
    reader_schema=avro_schema(),
    subject=USERS_VALUE,
    topic=USERS,
    rejected=USERS_REJECTED,
    table="created_users",
    dimensions=DIMENSIONS,
)


@dataclass(frozen=True)
class StreamServers:
    """The servers that a stream reads from and writes to."""

    spark: SparkSession
    kafka: KafkaSettings
    registry: SchemaRegistryClient
    cassandra: CassandraSettings
    tables: AnalysisTables
    topics: TopicReader


class StreamJob:
    """One stream's two queries, from their checkpoints on, until they are stopped or fail.

    It runs in rounds: a new schema, or a rebuild, ends a round between two micro-batches, and the next one begins.
    """

    def __init__(self, definition: StreamDefinition, servers: StreamServers, settings: StreamSettings) -> None:
        self._definition = definition
        self._servers = servers
        self._settings = settings
        self._checkpoint = Checkpoint(
            servers.spark, f"{settings.checkpoint}/{definition.record_type.name}", definition.topic.name
        )
        self._is_stopping = Event()
        self._generation = Generation()
        # Behind what is committed where a round ended in the midst of a batch.
        self._decided: Offsets = {}
        # Of the round:
        self._writers: Mapping[int, str] = {}
        self._refusals: stream.Refusals = {}
        self._positions: dict[int, int] = {}

    def run(self) -> None:
        """Run until SIGTERM or SIGINT. Raises StreamError when it must not start, or when a query failed.

        A schema that is registered while it runs is taken up between two micro-batches.
        """
        for number in (signal.SIGTERM, signal.SIGINT):
            # Only a note: an exception in the midst of a call to the JVM would leave its answer to the next call.
            signal.signal(number, lambda *_: self._is_stopping.set())
        while not self._is_stopping.is_set():
            self._take_up_rebuild()
            self._refuse_to_count_wrong()
            # Made anew only for a new generation: a write that outlives its query is over before the next round writes.
            live = LiveTables(self._servers.tables)
            while not self._is_stopping.is_set() and self._servers.tables.read_generations().wanted is None:
                self._run_round(live)

    def _run_round(self, live: LiveTables) -> None:
        self._writers = subject_schemas(self._servers.registry, self._definition.subject)
        if not self._writers:
            raise StreamError(
                f"The registry has no schema for {self._definition.subject.name}. "
                "Register it with `member-analyzer provision`, then start the stream again."
            )
        self._refusals = self._servers.tables.read_refusals(self._writers)
        # Cassandra takes an empty map for none: a first batch without a record has to tell that it was written as well.
        nothing = dict.fromkeys(self._servers.topics.begin_offsets(self._definition.topic), -1)
        self._positions = nothing | dict(self._servers.tables.read_progress(MEMBERS_QUERY).written)
        log.info(
            "stream.starts",
            topic=self._definition.topic.name,
            generation=self._generation.name,
            schema_ids=sorted(self._writers),
        )
        # Or the queries of the round before would seem to end this one.
        self._servers.spark.streams.resetTerminated()
        committed = self._checkpoint.read_committed_ends(self._generation.name, MEMBERS_QUERY)
        decisions = Decisions({**committed, **self._decided})
        queries = [self._start_members(decisions), self._start_analysis(decisions, live)]
        try:
            self._watch(decisions, live)
        finally:
            decisions.end_round()
            for query in queries:
                query.stop()
            self._decided = decisions.decided

    def _watch(self, decisions: Decisions, live: LiveTables) -> None:
        """Return when the stream is to stop, or its queries have to start again."""
        streams = self._servers.spark.streams
        while not self._is_stopping.is_set():
            try:
                ended = streams.awaitAnyTermination(1)
            except StreamingQueryException as error:
                if decisions.is_over:
                    return
                raise StreamError(f"A query of the stream failed: {error}") from error
            if ended:
                raise StreamError("A query of the stream ended although nobody stopped it.")
            live.turn_day(datetime.now(UTC).date())
            if self._is_rebuild_wanted():
                return

    def _is_rebuild_wanted(self) -> bool:
        try:
            return self._servers.tables.read_generations().wanted is not None
        except (DriverException, NoHostAvailable) as error:
            # The next batch fails if it cannot write; there is no need to while nobody arrives.
            log.warning("stream.cassandra_away", error=str(error))
            return False

    def _take_up_rebuild(self) -> None:
        """Empty the tables and begin a checkpoint of its own where a rebuild is wanted."""
        generations = self._servers.tables.read_generations()
        self._generation = generations.wanted or generations.current
        if generations.wanted is not None:
            log.info("stream.begins_anew", generation=self._generation.name, offsets=dict(self._generation.begin))
            self._checkpoint.empty()
            self._servers.tables.begin_generation(self._generation, datetime.now(UTC).date())
            self._decided = {}

    def _refuse_to_count_wrong(self) -> None:
        """Raise StreamError where the checkpoint and Cassandra are not of the same stream."""
        remedy = "Put it back, or count everything again from landing.users with `member-analyzer rebuild`."
        tables = self._servers.tables
        folder = self._checkpoint.folder(self._generation.name)
        has_begun = self._checkpoint.has_begun(self._generation.name, ANALYSIS_QUERY)
        oldest = self._servers.topics.begin_offsets(self._definition.topic)
        if not has_begun and not self._generation.begin and any(oldest.values()):
            raise StreamError(
                f"There is no checkpoint in {folder}, and the topic {self._definition.topic.name} does not "
                f"hold its oldest records any more: counting from there would leave members out. {remedy}"
            )
        if tables.read_progress(ANALYSIS_QUERY).written and not has_begun:
            raise StreamError(
                f"There are counted members in Cassandra but no checkpoint in {folder}: counting from zero "
                f"would make every table wrong. {remedy}"
            )
        # A query writes its progress to Cassandra before Spark commits the batch. An emptied Cassandra does not tell of
        # which generation the checkpoint is.
        if self._checkpoint.has_committed(MEMBERS_QUERY) and not tables.read_progress(MEMBERS_QUERY).written:
            raise StreamError(
                f"The checkpoint in {self._checkpoint.root} has read members that Cassandra does not hold: going on "
                f"would leave them out. {remedy}"
            )

    def _starting_offsets(self, begin: Positions) -> str:
        """Spark's option for a query without a checkpoint."""
        if not begin:
            return "earliest"
        return json.dumps({self._definition.topic.name: {str(number): offset for number, offset in begin.items()}})

    def _decoded(self, begin: Positions) -> DataFrame:
        records = (
            self._servers.spark.readStream.format("kafka")
            .options(**spark_options(self._servers.kafka))
            .option("subscribe", self._definition.topic.name)
            .option("startingOffsets", self._starting_offsets(begin))
            .option("includeHeaders", "true")
            .option("maxOffsetsPerTrigger", self._settings.max_offsets_per_trigger)
            .option("groupIdPrefix", "member-analyzer-stream")
            .load()
        )
        return stream.decode(
            # A task costs more than the few records that it may have; more at once than cores gain nothing.
            records.coalesce(self._settings.state_partitions),
            self._definition.record_type,
            writers=self._writers,
            reader=self._definition.reader_schema,
            refusals=self._refusals,
        )

    def _start_members(self, decisions: Decisions) -> StreamingQuery:
        decoded = self._decoded(self._generation.look_from).observe(KINDS, *stream.count_kinds())
        interval = self._settings.members_trigger_milliseconds
        return self._start(MEMBERS_QUERY, decoded, "append", interval, partial(self._write_members, decisions))

    def _start_analysis(self, decisions: Decisions, live: LiveTables) -> StreamingQuery:
        decoded = self._decoded(self._generation.begin)
        counts = stream.count_changes(
            decoded, self._definition.record_type, self._definition.dimensions, decisions.decided
        )
        interval = self._settings.trigger_milliseconds
        return self._start(ANALYSIS_QUERY, counts, "update", interval, partial(self._write_analysis, decisions, live))

    def _start(self, name: str, frame: DataFrame, mode: str, interval: int, write: object) -> StreamingQuery:
        return (
            frame.writeStream.queryName(self._query_name(name))
            .outputMode(mode)
            .option("checkpointLocation", self._checkpoint.folder(self._generation.name, name))
            .trigger(processingTime=f"{interval} milliseconds")
            .foreachBatch(write)  # type: ignore[arg-type]
            .start()
        )

    def _query_name(self, name: str) -> str:
        return f"{self._definition.record_type.name}_{name}"

    def _write_members(self, decisions: Decisions, batch: DataFrame, number: int) -> None:
        """One micro-batch of decoded records: members to their table, rejected ones to their topic."""
        ends = self._checkpoint.read_ends(self._generation.name, MEMBERS_QUERY, number)
        positions = self._positions | {partition: end - 1 for partition, end in ends.items()}
        self._servers.tables.begin_writing(MEMBERS_QUERY, positions)
        self._write_created(self._accepted(batch, CREATED))
        # What else is in the batch was seen meanwhile: the few that hold something are read and decoded again.
        found = read_observed(self._servers.spark, self._query_name(MEMBERS_QUERY), KINDS)
        if found["unknown"]:
            self._refuse_unless_new(_last_offsets(batch), decisions)
        decisions.decide(ends)
        if found["rejected"]:
            self._write_rejected(stream.rejected_records(batch))
        if found["erased"]:
            erased = self._accepted(batch, ERASED).select(self._definition.record_type.key).distinct()
            self._servers.tables.delete_created_users(row[0] for row in erased.collect())
        self._servers.tables.end_writing(MEMBERS_QUERY, positions)
        self._positions = positions

    def _accepted(self, batch: DataFrame, kind: str) -> DataFrame:
        """The batch's accepted records of one kind, as far as they are of the generation."""
        accepted = stream.accepted_records(batch, self._definition.record_type)
        return accepted.filter(self._is_of_generation() & (F.col("kind") == kind))

    def _is_of_generation(self) -> Column:
        """Whether an accepted record is counted: those before the generation began are published again behind it."""
        begun = F.lit(True)
        for partition, offset in self._generation.begin.items():
            begun = begun & ((F.col("kafka_partition") != partition) | (F.col("kafka_offset") >= offset))
        return begun

    def _refuse_unless_new(self, unknown: stream.Refusals, decisions: Decisions) -> None:
        """Note which records are rejected for their schema, before they are; their ids were unknown to this round.

        When one of the schemas was registered since the round began, the batch fails: it is read again with it. The
        registry being away fails it too: whether a record is to be rejected cannot be told then.
        """
        ids = unknown.keys() - self._writers.keys()
        if not ids:
            return
        if ids & subject_schemas(self._servers.registry, self._definition.subject).keys():
            decisions.end_round()
            raise StreamError(f"New schemas are taken up: {sorted(ids)}.")
        for schema_id in ids:
            self._servers.tables.refuse(schema_id, unknown[schema_id])

    def _write_created(self, created: DataFrame) -> None:
        timestamp = F.lit(FIRST_WRITE_TIMESTAMP) - F.col("kafka_offset")
        (
            created.drop("kind")
            .withColumn("write_timestamp", timestamp)
            .write.format(CASSANDRA)
            .option("keyspace", self._servers.cassandra.keyspace)
            .option("table", self._definition.table)
            .option("writetime", "write_timestamp")
            .mode("append")
            .save()
        )

    def _write_rejected(self, rejected: DataFrame) -> None:
        (
            rejected.write.format("kafka")
            .options(**spark_options(self._servers.kafka))
            .option("topic", self._definition.rejected.name)
            .option("includeHeaders", "true")
            .option("kafka.acks", "all")
            # A topic's limit is for what is compressed, the producer's for what is not yet.
            .option("kafka.compression.type", "zstd")
            .option("kafka.max.request.size", str(LARGEST_UNCOMPRESSED_BYTES))
            .option("kafka.buffer.memory", str(LARGEST_UNCOMPRESSED_BYTES))
            .save()
        )

    def _write_analysis(self, decisions: Decisions, live: LiveTables, batch: DataFrame, number: int) -> None:
        """One micro-batch of absolute counts: into the analysis tables."""
        try:
            # The state is computed, and put into the checkpoint, now.
            rows = batch.collect()
        except (PySparkException, Py4JError) as error:
            if stream.UNDECIDED in str(error):
                # Without waiting, the next round could find it undecided again.
                decisions.wait_for(self._checkpoint.read_ends(self._generation.name, ANALYSIS_QUERY, number))
                decisions.end_round()
                decisions.refuse_if_over()
            raise
        total = 0
        positions: dict[int, int] = {}
        counts: list[Count] = []
        for row in rows:
            match row["dimension"]:
                case stream.TOTAL:
                    total = row["members"]
                case stream.POSITION:
                    positions[int(row["bucket"][0])] = row["position"]
                case dimension:
                    counts.append(Count(dimension, tuple(row["bucket"]), row["members"]))
        decisions.refuse_if_over()
        if positions:
            live.take(total, counts, positions, datetime.now(UTC).date())


def _last_offsets(batch: DataFrame) -> stream.Refusals:
    """The last of a batch's decoded records whose schema is unknown."""
    offsets: dict[int, dict[int, int]] = {}
    for schema_id, partition, offset in stream.last_unknown(batch).collect():
        offsets.setdefault(schema_id, {})[partition] = offset
    return offsets
