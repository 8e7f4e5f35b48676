import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from pyspark.sql import SparkSession
from rich.console import Console

from member_analyzer.local.artifacts import fetch_artifacts, spark_jars
from member_analyzer.local.home import open_home
from member_analyzer.local.java import choose_java
from member_analyzer.local.spark import AVRO_LIMITS
from member_analyzer.spark import stop_session


@pytest.fixture(scope="session")
def spark(tmp_path_factory: pytest.TempPathFactory) -> Iterator[SparkSession]:
    """A Spark of its own, with the jars that the platform runs."""
    downloads = open_home().downloads
    fetch_artifacts(["spark"], downloads, Console(stderr=True))
    folder: Path = tmp_path_factory.mktemp("spark")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("JAVA_HOME", str(choose_java().home))
        patch.setenv("SPARK_LOCAL_IP", "127.0.0.1")
        patch.setenv("PYSPARK_PYTHON", sys.executable)
        session = (
            SparkSession.builder.master("local[2]")
            .appName("tests")
            .config("spark.driver.extraClassPath", ":".join(str(jar) for jar in spark_jars(downloads)))
            .config("spark.driver.bindAddress", "127.0.0.1")
            .config("spark.ui.enabled", "false")
            .config("spark.sql.session.timeZone", "UTC")
            .config("spark.sql.shuffle.partitions", "2")
            .config("spark.sql.warehouse.dir", str(folder))
            .config("spark.sql.codegen.wholeStage", "false")
            .config("spark.driver.extraJavaOptions", AVRO_LIMITS)
            .getOrCreate()
        )
        yield session
        stop_session(session)
