"""A Spark session as the stream and the recount need it; where it runs is spark-submit's affair, not ours."""

from collections.abc import Mapping
from contextlib import suppress
from threading import Timer
from typing import Any

import structlog
from py4j.protocol import Py4JError
from pyspark.sql import SparkSession

from member_analyzer.settings import CassandraSettings, StreamSettings

log = structlog.get_logger(__name__)

# Shorter than what a supervisor, or Kubernetes, waits for before it kills.
LONGEST_STOP_SECONDS = 20
CASSANDRA = "org.apache.spark.sql.cassandra"


def spark_session(application: str, cassandra: CassandraSettings, stream: StreamSettings) -> SparkSession:
    """The session of one application. Master, memory, jars and ports come from spark-submit or spark-defaults.conf."""
    session: SparkSession = (
        SparkSession.builder.appName(application)
        .config("spark.sql.session.timeZone", "UTC")
        .config("spark.sql.shuffle.partitions", str(stream.tasks))
        .config("spark.sql.streaming.minBatchesToRetain", "10")
        .config("spark.sql.streaming.stopTimeout", "20s")
        # Every query asks Kafka for new offsets after so long; at Spark's 10 ms that alone takes half a core.
        .config("spark.sql.streaming.pollingDelay", "100ms")
        # The passwords of the Kafka client are inside an option whose name does not say so.
        .config("spark.redaction.regex", "(?i)secret|password|token|access[.]key|jaas")
        # The rules make one method of a stage, larger than what Java ever compiles: Spark would write it for each batch
        # and throw it away. Row by row its code is many small methods, which Java compiles sooner as well.
        .config("spark.sql.codegen.wholeStage", "false")
        # A stream runs for months: the UI forgets what is long done.
        .config("spark.ui.retainedJobs", "200")
        .config("spark.ui.retainedStages", "200")
        .config("spark.sql.ui.retainedExecutions", "50")
        .getOrCreate()
    )
    # PySpark asks for this class by its name for every column that is made, and Java then searches every jar.
    java = session.sparkContext._jvm
    java.functions = java.functions  # type: ignore[union-attr]
    # Not by the builder: that hands its settings to the JVM on a command line, which everybody on the machine can read.
    for name, value in cassandra_options(cassandra).items():
        session.conf.set(name, value)
    return session


def stop_session(session: SparkSession, seconds: float = LONGEST_STOP_SECONDS) -> None:
    """Stop a session, and let its JVM end: on its own, or after so many seconds by force.

    By force, the program ends with an error, and whoever keeps it starts it anew. A JVM that exits waits for a listener
    that hangs for ever.
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
    log.error(
        "spark.does_not_stop", seconds=seconds, means="Its JVM is ended by force; nothing that is committed is lost."
    )
    # There is nobody left who could answer.
    with suppress(Py4JError, OSError):
        jvm.java.lang.Runtime.getRuntime().halt(1)


def cassandra_options(settings: CassandraSettings) -> Mapping[str, str]:
    """The Cassandra connector's settings."""
    return {
        "spark.cassandra.connection.host": settings.hosts,
        "spark.cassandra.connection.port": str(settings.port),
        "spark.cassandra.connection.localDC": settings.datacenter,
        "spark.cassandra.auth.username": settings.username,
        "spark.cassandra.auth.password": settings.password.get_secret_value(),
        "spark.cassandra.input.consistency.level": settings.consistency,
        "spark.cassandra.output.consistency.level": settings.consistency,
        # Nulls would become tombstones.
        "spark.cassandra.output.ignoreNulls": "true",
        # One request a row is what costs: batches of rows that the same node holds write four times as fast.
        "spark.cassandra.output.batch.grouping.key": "replica_set",
        "spark.cassandra.output.batch.size.bytes": "32768",
        # Longer than the pause between micro-batches, or each of them opens its connections anew.
        "spark.cassandra.connection.keepAliveMS": "3600000",
        # The connector's own waits grow to a minute: the next batch would fail although Cassandra is back.
        "spark.cassandra.connection.reconnectionDelayMS.max": str(settings.reconnect_seconds * 1000),
    }
