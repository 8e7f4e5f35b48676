"""Spark's configuration directories, one for the stream and one for the recount."""

import os

from member_analyzer.local.artifacts import spark_jars
from member_analyzer.local.home import Home

# The most that Avro allocates for a length that a value claims; no valid record needs nearly as much.
MAX_AVRO_LENGTH = 4 * 1024 * 1024
AVRO_LIMITS = " ".join(
    f"-Dorg.apache.avro.limits.{kind}={MAX_AVRO_LENGTH}"
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

# Hadoop's own file system starts several programs, such as chmod, for every file of a checkpoint.
CHECKPOINT_ON_DISK = {
    "spark.hadoop.fs.file.impl": "com.globalmentor.apache.hadoop.fs.BareLocalFileSystem",
    "spark.sql.streaming.checkpointFileManagerClass": (
        "org.apache.spark.sql.execution.streaming.FileSystemBasedCheckpointFileManager"
    ),
}


def write_configuration(home: Home) -> None:
    """Write both directories; `spark-submit` and PySpark find theirs through SPARK_CONF_DIR."""
    common = {
        "spark.driver.host": "127.0.0.1",
        "spark.driver.bindAddress": "127.0.0.1",
        # Driver and executors are one process here; the class path avoids the copies of spark.jars.
        "spark.driver.extraClassPath": ":".join(str(jar) for jar in spark_jars(home.downloads)),
        "spark.ui.showConsoleProgress": "false",
        # The only executor is a thread of the driver and cannot be lost. After a suspension of the machine its
        # heartbeats are late, and Spark would remove it.
        "spark.storage.blockManagerHeartbeatTimeoutMs": str(7 * 24 * 3600 * 1000),
    }
    temporary = f"-Djava.io.tmpdir={home.temporary}"
    stream = {
        # More task slots than cores, because tasks wait for Cassandra's disk.
        "spark.master": f"local[{2 * (os.cpu_count() or 2)}]",
        "spark.driver.memory": "1g",
        # Planning a micro-batch runs a lot of code about once a second: the JVM would consider it cold and flush its
        # compiled code repeatedly.
        "spark.driver.extraJavaOptions": (
            f"-XX:+UseParallelGC -XX:-UseCodeCacheFlushing -XX:ReservedCodeCacheSize=512m {temporary} {AVRO_LIMITS}"
        ),
        "spark.ui.enabled": "true",
        "spark.ui.port": str(home.settings.spark_port),
        # Nothing would find the UI on another port.
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
