import sys
from collections.abc import Iterator

import pytest
from hypothesis import settings
from pyspark.sql import SparkSession
from rich.console import Console

from member_analyzer.local.artifacts import fetch_artifacts, spark_jars
from member_analyzer.local.home import open_home
from member_analyzer.local.java import choose_java
from member_analyzer.local.spark import AVRO_LIMITS
from member_analyzer.settings import CassandraSettings, StreamSettings
from member_analyzer.spark.session import spark_session, stop_session

# Examples may take long on a busy machine.
settings.register_profile("patient", deadline=None)
settings.load_profile("patient")


@pytest.fixture(scope="session")
def spark(tmp_path_factory: pytest.TempPathFactory) -> Iterator[SparkSession]:
    """A Spark session like the stream's, with the platform's jars, on two cores."""
    downloads = open_home().downloads
    fetch_artifacts(["spark"], downloads, Console(stderr=True))
    folder = tmp_path_factory.mktemp("spark")
    defaults = {
        "spark.master": "local[2]",
        "spark.driver.extraClassPath": ":".join(str(jar) for jar in spark_jars(downloads)),
        "spark.driver.bindAddress": "127.0.0.1",
        "spark.driver.extraJavaOptions": AVRO_LIMITS,
        "spark.ui.enabled": "false",
        "spark.sql.warehouse.dir": str(folder / "warehouse"),
    }
    (folder / "spark-defaults.conf").write_text("".join(f"{name} {value}\n" for name, value in defaults.items()))
    # No test connects to Cassandra.
    cassandra = CassandraSettings.of({"CASSANDRA_USERNAME": "nobody", "CASSANDRA_PASSWORD": "none"})
    stream = StreamSettings.of({"STREAM_CHECKPOINT": str(folder / "checkpoint"), "STREAM_TASKS": "2"})
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("JAVA_HOME", str(choose_java().home))
        patch.setenv("SPARK_CONF_DIR", str(folder))
        patch.setenv("SPARK_LOCAL_IP", "127.0.0.1")
        patch.setenv("PYSPARK_PYTHON", sys.executable)
        session = spark_session("tests", cassandra, stream)
        yield session
        stop_session(session)
