"""Spark's configuration folders: one for the stream, one for the recount, so that the jobs themselves hold none."""

import os

from member_analyzer.local.artifacts import spark_jars
from member_analyzer.local.home import Home

# What Avro allocates at most because a value says so: far more than a string of a valid record, and little memory.
LARGEST_AVRO_CLAIM = 4 * 1024 * 1024
AVRO_LIMITS = " ".join(
    f"-Dorg.apache.avro.limits.{kind}={LARGEST_AVRO_CLAIM}"
    for kind in ("string.maxLength", "bytes.maxLength", "collectionItems.maxLength")
)

LOGGING = """\
rootLogger.level = warn
rootLogger.appenderRef.stdout.ref = console
appender.console.type = Console
appender.console.name = console
appender.console.target = SYSTEM_ERR
appender.console.layout.type = PatternLayout
appender.console.layout.pattern = %d %p %c{1}: %m%n
"""

# Hadoop's own file system starts several programs, as chmod, for every file of a checkpoint.
CHECKPOINT_ON_DISK = {
    "spark.hadoop.fs.file.impl": "com.globalmentor.apache.hadoop.fs.BareLocalFileSystem",
    "spark.sql.streaming.checkpointFileManagerClass": (
        "org.apache.spark.sql.execution.streaming.FileSystemBasedCheckpointFileManager"
    ),
}


def write_configuration(home: Home) -> None:
    """Write both folders; `spark-submit` and PySpark find theirs through SPARK_CONF_DIR."""
    common = {
        "spark.driver.host": "127.0.0.1",
        "spark.driver.bindAddress": "127.0.0.1",
        # Driver and executors are one process here; the class path spares the copies that spark.jars makes.
        "spark.driver.extraClassPath": ":".join(str(jar) for jar in spark_jars(home.downloads)),
        "spark.ui.showConsoleProgress": "false",
        # The one executor is a thread of the driver and cannot be lost. After the machine has slept its heartbeats
        # would be late, and Spark would remove it.
        "spark.storage.blockManagerHeartbeatTimeoutMs": str(7 * 24 * 3600 * 1000),
    }
    temporary = f"-Djava.io.tmpdir={home.temporary}"
    stream = {
        # More slots than cores: a task that waits for Cassandra's disk leaves its core to another one.
        "spark.master": f"local[{2 * (os.cpu_count() or 2)}]",
        "spark.driver.memory": "1g",
        # Planning a micro-batch is much code that runs once a second: Java would take it for cold, and forget what it
        # compiled, again and again.
        "spark.driver.extraJavaOptions": (
            f"-XX:+UseParallelGC -XX:-UseCodeCacheFlushing -XX:ReservedCodeCacheSize=512m {temporary} {AVRO_LIMITS}"
        ),
        "spark.ui.enabled": "true",
        "spark.ui.port": str(home.settings.spark_port),
        # Another port than the one that was asked for would not be found.
        "spark.port.maxRetries": "0",
    }
    recount = {
        "spark.master": "local[*]",
        "spark.driver.memory": "768m",
        "spark.driver.extraJavaOptions": f"-XX:+UseSerialGC -XX:TieredStopAtLevel=1 {temporary}",
        "spark.ui.enabled": "false",
    }
    home.folder("spark", "temporary")
    for job, own in (("stream", stream | CHECKPOINT_ON_DISK), ("recount", recount)):
        folder = home.folder("spark", job)
        lines = [f"{name} {value}" for name, value in sorted((common | own).items())]
        (folder / "spark-defaults.conf").write_text("\n".join(lines) + "\n")
        (folder / "log4j2.properties").write_text(LOGGING)
