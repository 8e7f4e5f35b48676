"""Submits Spark jobs from `spark-apps`, or reads the SparkApplication for the Spark operator."""

import subprocess
import sys
from pathlib import Path
from typing import Any

import structlog
import yaml

from member_analyzer.settings import SparkSubmitSettings

log = structlog.get_logger(__name__)


class SparkJobError(RuntimeError):
    """Raised when a Spark job fails; the log has its output."""


def submit_job(name: str, *arguments: str) -> None:
    """Run `<name>.py` with spark-submit, forward its output, and wait for it. Raises SparkJobError.

    spark-submit reads master, memory and jars from the configuration in SPARK_CONF_DIR.
    """
    application = SparkSubmitSettings().applications / f"{name}.py"
    spark_submit = Path(sys.executable).with_name("spark-submit")
    log.info("spark.submits", application=str(application))
    with subprocess.Popen(
        [spark_submit, application, *arguments],
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        errors="replace",
    ) as process:
        try:
            for line in process.stdout or ():
                sys.stdout.write(line)
        except BaseException:
            # Do not leave a job behind that continues to write.
            process.terminate()
            raise
    if process.returncode != 0:
        raise SparkJobError(f"The Spark job {name} failed with status {process.returncode}; see its output above.")


def read_application(manifest: Path) -> dict[str, Any]:
    """Read a SparkApplication manifest."""
    application: dict[str, Any] = yaml.safe_load(manifest.read_text(encoding="utf-8"))
    return application
