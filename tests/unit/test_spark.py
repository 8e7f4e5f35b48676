import os
import subprocess
import sys
import time
from pathlib import Path

import pytest

from member_analyzer.local.java import choose_java
from patience import DEADLINE

# Spark waits at its end for every listener; this one never comes back.
HANGS = """
import sys, threading
from pyspark.sql import SparkSession
from pyspark.sql.streaming import StreamingQueryListener
from member_analyzer.logs import configure_logs
from member_analyzer.spark.session import stop_session

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
