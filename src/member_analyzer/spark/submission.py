"""Starts a Spark job of `spark-apps` and waits for it, or reads what Spark's operator is to start instead."""

import subprocess
import sys
from pathlib import Path
from typing import Any

import structlog
import yaml

from member_analyzer.settings import SparkSubmitSettings

log = structlog.get_logger(__name__)


class SparkJobError(RuntimeError):
    """Raised when a Spark job ended with an error; its output is in the log above."""


def submit_job(name: str, *arguments: str) -> None:
    """Run `<name>.py` with spark-submit, its output in this program's, until it ends. Raises SparkJobError.

    spark-submit takes master, memory and jars from the folder that SPARK_CONF_DIR names.
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
            # Whoever is ended meanwhile must not leave a job behind that goes on writing.
            process.terminate()
            raise
    if process.returncode != 0:
        raise SparkJobError(f"The Spark job {name} ended with status {process.returncode}; see its output above.")


def read_application(manifest: Path) -> dict[str, Any]:
    """The SparkApplication of a manifest, as Kubernetes takes it."""
    application: dict[str, Any] = yaml.safe_load(manifest.read_text(encoding="utf-8"))
    return application
