"""Spark sessions for the stream and the recount; the deployment is up to spark-submit."""

from collections.abc import Mapping
from contextlib import suppress
from threading import Timer
from typing import Any

import structlog
from py4j.protocol import Py4JError
from pyspark.sql import SparkSession

from member_analyzer.settings import CassandraSettings, StreamSettings

log = structlog.get_logger(__name__)

# Shorter than the grace period of the supervisor and of Kubernetes.
LONGEST_STOP_SECONDS = 20
CASSANDRA = "org.apache.spark.sql.cassandra"


def spark_session(application: str, cassandra: CassandraSettings, stream: StreamSettings) -> SparkSession:
    """Create the session. Master, memory, jars and ports come from spark-submit or spark-defaults.conf."""
    session: SparkSession = (
        SparkSession.builder.appName(application)
        .config("spark.sql.session.timeZone", "UTC")
        .config("spark.sql.shuffle.partitions", str(stream.tasks))
        .config("spark.sql.streaming.minBatchesToRetain", "10")
        .config("spark.sql.streaming.stopTimeout", "20s")
        # How often each query polls Kafka for new offsets; Spark's default of 10 ms takes half a core.
        .config("spark.sql.streaming.pollingDelay", "200ms")
        # The Kafka client's password is in an option whose name the default does not match.
        .config("spark.redaction.regex", "(?i)secret|password|token|access[.]key|jaas")
        # The rules would generate a method above the JIT's size limit, which Spark would generate and discard for each
        # batch. Without whole-stage codegen the code is many small methods, which the JIT also compiles sooner.
        .config("spark.sql.codegen.wholeStage", "false")
        # A stream runs for months: limit the history of the UI.
        .config("spark.ui.retainedJobs", "200")
        .config("spark.ui.retainedStages", "200")
        .config("spark.sql.ui.retainedExecutions", "50")
        .getOrCreate()
    )
    # PySpark looks up this class by name for every column, and Java then searches every jar.
    java = session.sparkContext._jvm
    java.functions = java.functions  # type: ignore[union-attr]
    # Not with the builder, which passes settings on the JVM's command line, readable by every local user.
    for name, value in cassandra_options(cassandra).items():
        session.conf.set(name, value)
    return session


def stop_session(session: SparkSession, seconds: float = LONGEST_STOP_SECONDS) -> None:
    """Stop a session, and halt its JVM if that takes longer than `seconds`.

    After a halt the program exits with an error and its supervisor restarts it. Without it, a listener that hangs would
    block the exit of the JVM forever.
    """
    jvm = session.sparkContext._jvm
    last_resort = Timer(seconds, _halt, (jvm, seconds))
    last_resort.daemon = True
    last_resort.start()
    try:
        session.stop()
    finally:
        last_resort.cancel()


def _halt(jvm: Any, seconds: float) -> None:
    log.error("spark.does_not_stop", seconds=seconds, means="The JVM is halted; no committed data is lost.")
    # The JVM halts before it can respond.
    with suppress(Py4JError, OSError):
        jvm.java.lang.Runtime.getRuntime().halt(1)


def cassandra_options(settings: CassandraSettings) -> Mapping[str, str]:
    """Return the settings of the Cassandra connector."""
    return {
        "spark.cassandra.connection.host": settings.hosts,
        "spark.cassandra.connection.port": str(settings.port),
        "spark.cassandra.connection.localDC": settings.datacenter,
        "spark.cassandra.auth.username": settings.username,
        "spark.cassandra.auth.password": settings.password.get_secret_value(),
        "spark.cassandra.input.consistency.level": settings.consistency,
        "spark.cassandra.output.consistency.level": settings.consistency,
        # Nulls would be written as tombstones.
        "spark.cassandra.output.ignoreNulls": "true",
        # Batches of rows with the same replicas are written four times as fast as single rows.
        "spark.cassandra.output.batch.grouping.key": "replica_set",
        "spark.cassandra.output.batch.size.bytes": "32768",
        # Longer than the trigger interval, or every micro-batch reconnects.
        "spark.cassandra.connection.keepAliveMS": "3600000",
        # The default delay grows to a minute: the next batch would fail although Cassandra is available again.
        "spark.cassandra.connection.reconnectionDelayMS.max": str(settings.reconnect_seconds * 1000),
    }
