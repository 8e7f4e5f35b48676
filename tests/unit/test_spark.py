import os
import subprocess
import sys
import time
from pathlib import Path

import pytest
from pyspark.sql import DataFrame, SparkSession
from pyspark.sql import functions as F

from member_analyzer.local.java import choose_java
from member_analyzer.spark import read_observed
from patience import DEADLINE

# Spark waits at its end for every listener; this one never comes back.
HANGS = """
import sys, threading
from pyspark.sql import SparkSession
from pyspark.sql.streaming import StreamingQueryListener
from member_analyzer.logs import configure_logs
from member_analyzer.spark import stop_session

configure_logs()

class Hanging(StreamingQueryListener):
    called = threading.Event()

    def onQueryStarted(self, event): pass
    def onQueryTerminated(self, event): pass
    def onQueryIdle(self, event): pass

    def onQueryProgress(self, event):
        self.called.set()
        threading.Event().wait()

spark = SparkSession.builder.master("local[1]").config("spark.ui.enabled", "false").getOrCreate()
spark.streams.addListener(Hanging())
spark.readStream.format("rate").load().writeStream.format("noop").start()
assert Hanging.called.wait(300)
print("it hangs", flush=True)
stop_session(spark, 3)
"""


@pytest.fixture
def environment(tmp_path: Path) -> dict[str, str]:
    java = {"JAVA_HOME": str(choose_java().home), "SPARK_LOCAL_IP": "127.0.0.1"}
    return dict(os.environ) | java | {"TMPDIR": str(tmp_path)}


def test_a_program_ends_with_an_error_though_its_spark_does_not_stop(environment: dict[str, str]) -> None:
    command = [sys.executable, "-c", HANGS]
    with subprocess.Popen(
        command, env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as program:
        assert program.stdout is not None
        try:
            assert program.stdout.readline() == "it hangs\n"
            began = time.monotonic()
            _, errors = program.communicate(timeout=DEADLINE)
        finally:
            program.kill()
    assert program.returncode == 1
    assert time.monotonic() - began >= 3
    assert "spark.does_not_stop" in errors


def test_what_a_batch_holds_is_known_once_a_part_of_it_is_written(spark: SparkSession, tmp_path: Path) -> None:
    (tmp_path / "input").mkdir()
    found = []

    def write(batch: DataFrame, number: int) -> None:
        batch.filter("value < 0").write.format("noop").mode("overwrite").save()
        found.append(read_observed(spark, "observed", "kinds"))

    def run_once() -> None:
        lines = spark.readStream.schema("value LONG").json(str(tmp_path / "input"))
        kinds = [F.count_if(F.col("value") < 0).alias("negative"), F.count_if(F.col("value") >= 0).alias("other")]
        query = (
            lines.observe("kinds", *kinds)
            .writeStream.queryName("observed")
            .option("checkpointLocation", str(tmp_path / "checkpoint"))
            .trigger(availableNow=True)
            .foreachBatch(write)
            .start()
        )
        assert query.awaitTermination(60)

    for number, values in enumerate(([-1, 2, 3], [4], [-5])):
        lines = "".join(f'{{"value": {value}}}\n' for value in values)
        (tmp_path / "input" / f"{number}.json").write_text(lines)
        run_once()
    assert found == [{"negative": 1, "other": 2}, {"negative": 0, "other": 1}, {"negative": 1, "other": 0}]


def test_a_query_that_does_not_run_has_nothing_observed(spark: SparkSession) -> None:
    with pytest.raises(LookupError, match="'none'"):
        read_observed(spark, "none", "kinds")
