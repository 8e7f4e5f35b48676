"""Runs one or several streams in one Spark application with a shared driver.

Each has its own query, checkpoint, tables and clients. If one of them fails, all are stopped, and the supervisor
restarts the application. If one of them refuses to start, the others continue.
"""

import signal
import time
from collections.abc import Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from contextlib import ExitStack
from threading import Event

from cassandra.cluster import Session
from pyspark.sql import SparkSession

from member_analyzer.analysis.connection import await_cassandra, connect_cassandra
from member_analyzer.analysis.interactions.tables import InteractionTables
from member_analyzer.analysis.tables import AnalysisTables
from member_analyzer.kafka.reader import open_topic_reader
from member_analyzer.kafka.registry import registry_client
from member_analyzer.settings import CassandraSettings, KafkaSettings, RegistrySettings, StreamSettings
from member_analyzer.spark.session import spark_session, stop_session
from member_analyzer.streaming.dead_letters import DeadLetterProducer
from member_analyzer.streaming.interaction_sink import InteractionSink
from member_analyzer.streaming.job import StreamJob, StreamRefusedError, StreamServers
from member_analyzer.streaming.record_sink import RecordSink
from member_analyzer.streaming.sink import Sink
from member_analyzer.streams.definition import StreamDefinition, TopicDefinition
from member_analyzer.streams.members.definition import MEMBERS

# Matches the group prefix that the stream's ACL allows.
READER_GROUP = "member-analyzer-stream-reader"
# After this time, a stream that refused to start checks again whether it was repaired.
SECONDS_BETWEEN_CHECKS = 15


def run_streams(definitions: Sequence[TopicDefinition], *, name: str) -> None:
    """Run the streams until SIGTERM or SIGINT; `name` is the name of the Spark application.

    Raises StreamError if one of them fails, or if all of them refuse to start.
    """
    cassandra, settings = CassandraSettings(), StreamSettings()
    # Starting Spark now would compete with Cassandra for the CPU.
    await_cassandra(cassandra, settings.cassandra_wait)
    spark = spark_session(name, cassandra, settings)
    is_stopping = Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        # Only set a flag: an exception during a py4j call would leave its response to the next call.
        signal.signal(number, lambda *_: is_stopping.set())
    try:
        with ExitStack() as stack:
            session = stack.enter_context(connect_cassandra(cassandra))
            jobs = [_make_job(one, spark, session, settings, is_stopping, stack) for one in definitions]
            _run(jobs, is_stopping)
    finally:
        stop_session(spark)


def _make_job(
    definition: TopicDefinition,
    spark: SparkSession,
    session: Session,
    settings: StreamSettings,
    is_stopping: Event,
    stack: ExitStack,
) -> StreamJob:
    kafka = KafkaSettings()
    servers = StreamServers(
        spark,
        kafka,
        registry_client(RegistrySettings()),
        stack.enter_context(open_topic_reader(kafka, group=READER_GROUP)),
        DeadLetterProducer(kafka, definition.dead_letter_topic),
    )
    return StreamJob(definition, servers, _make_sink(definition, servers, session), settings, is_stopping)


def _make_sink(definition: TopicDefinition, servers: StreamServers, session: Session) -> Sink:
    cassandra = CassandraSettings()
    if isinstance(definition, StreamDefinition):
        tables = AnalysisTables(session, cassandra.keyspace, definition)
        return RecordSink(definition, servers.spark, servers.kafka, cassandra, tables, servers.dead_letters)
    interactions = InteractionTables(session, cassandra.keyspace, definition, MEMBERS)
    return InteractionSink(definition, interactions, servers.topics, servers.dead_letters)


def _run(jobs: Sequence[StreamJob], is_stopping: Event) -> None:
    """Run the jobs concurrently until all have ended.

    Raises the error of the first that fails, or the refusal of the last if all of them refuse to start.
    """
    with ThreadPoolExecutor(len(jobs), thread_name_prefix="stream") as executor:
        try:
            _run_in(executor, jobs, is_stopping)
        except BaseException:
            # The executor waits for the other jobs.
            is_stopping.set()
            raise


def _run_in(executor: ThreadPoolExecutor, jobs: Sequence[StreamJob], is_stopping: Event) -> None:
    running: dict[Future[None], StreamJob] = {executor.submit(job.run): job for job in jobs}
    refused: dict[StreamJob, float] = {}
    while running:
        # With a timeout, because Python handles signals between two waits.
        ended, _ = wait(running, timeout=1, return_when=FIRST_COMPLETED)
        for one in ended:
            job, error = running.pop(one), one.exception()
            if isinstance(error, StreamRefusedError):
                job.report_refusal(error)
                refused[job] = time.monotonic() + SECONDS_BETWEEN_CHECKS
                if len(refused) < len(jobs):
                    continue
            if error is not None:
                raise error
        for job in [one for one, due in refused.items() if due <= time.monotonic()]:
            if not is_stopping.is_set():
                del refused[job]
                running[executor.submit(job.run)] = job
