"""Runs programs that send events with unmodified SDKs, each installed once into var/sdks from its lock file."""

import hashlib
import json
import shutil
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import datetime
from functools import partial
from pathlib import Path
from typing import Any

from member_analyzer.local.artifacts import fetch, read_lock
from member_analyzer.local.failure import LocalError
from member_analyzer.local.java import choose_java
from missing import skip_or_fail
from patience import DEADLINE

FOLDER = Path(__file__).parent
INSTALLED = FOLDER.parents[1] / "var" / "sdks"
INSTALL_SECONDS = 600
JAVA_LOCK = FOLDER / "java" / "java.lock"
JAVA_SOURCE = FOLDER / "java" / "SegmentClient.java"


@dataclass(frozen=True)
class Event:
    """An event as it was handed to the SDK, with the values that its record must have; ids are text."""

    message_id: str
    type: str
    properties: dict[str, Any]
    occurred_at: datetime
    name: str | None = None
    member_id: str | None = None
    anonymous_id: str | None = None
    previous_id: str | None = None
    group_id: str | None = None


@dataclass
class Sent:
    """What a client sent in a run."""

    events: dict[str, Event] = field(default_factory=dict)
    """By message id."""
    failed: set[str] = field(default_factory=set)
    """The message ids of the events that the SDK reported as not delivered."""

    def add(self, report: dict[str, Any]) -> None:
        """Add one line of the program's report."""
        if "event" in report:
            fields = report["event"]
            event = Event(**fields | {"occurred_at": datetime.fromisoformat(fields["occurred_at"])})
            self.events[event.message_id] = event
        else:
            self.failed.add(report["failed"])


def python_command(name: str) -> list[str]:
    """The command of `python/NAME_client.py` in a virtual environment with the packages of `python/NAME.lock`."""
    lock = FOLDER / "python" / f"{name}.lock"
    with installation(name, lock.read_bytes(), sys.version.encode()) as (folder, is_new):
        python = folder / "bin" / "python"
        if is_new:
            run_installer(sys.executable, "-m", "venv", "--without-pip", folder)
            run_installer(
                *(sys.executable, "-m", "pip", "--python", python, "--disable-pip-version-check", "--quiet"),
                *("install", "--no-deps", "--require-hashes", "--requirement", lock),
            )
    return [str(python), str(FOLDER / "python" / f"{name}_client.py")]


def java_command() -> list[str]:
    """The command of `java/SegmentClient.java`, compiled with the artifacts of `java/java.lock`.

    The lock contains a compiler, because the Java runtime of the platform need not be a development kit.
    """
    try:
        java = choose_java().executable
    except LocalError as error:
        skip_or_fail(str(error))
    lock, repository = read_lock(JAVA_LOCK), INSTALLED / "java"
    class_path = ":".join(str(artifact.path(repository)) for artifact in lock["sdk"])
    with installation("segment-java", JAVA_LOCK.read_bytes(), JAVA_SOURCE.read_bytes()) as (folder, is_new):
        if is_new:
            for artifact in (*lock["sdk"], *lock["compiler"]):
                fetch(artifact, repository)
            (compiler,) = (artifact.path(repository) for artifact in lock["compiler"])
            run_installer(
                *(java, "-jar", compiler, "-17", "-encoding", "UTF-8", "-proc:none"),
                *("-classpath", class_path, "-d", folder, JAVA_SOURCE),
            )
    return [str(java), "-Dfile.encoding=UTF-8", "-classpath", f"{folder}:{class_path}", JAVA_SOURCE.stem]


@contextmanager
def installation(name: str, *sources: bytes) -> Iterator[tuple[Path, bool]]:
    """The folder of what is installed from the sources, and whether the block must install it."""
    digest = hashlib.sha256(b"".join(hashlib.sha256(source).digest() for source in sources)).hexdigest()
    folder = INSTALLED / f"{name}-{digest[:12]}"
    # Written at the end, so that an interrupted installation is not used.
    complete = folder / "complete"
    is_new = not complete.exists()
    if is_new:
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir(parents=True)
    yield folder, is_new
    complete.touch()


def run_installer(*command: str | Path) -> None:
    done = subprocess.run(command, capture_output=True, text=True, timeout=INSTALL_SECONDS)
    assert done.returncode == 0, f"{command} failed:\n{done.stdout}{done.stderr}"


CLIENTS: dict[str, Callable[[], list[str]]] = {
    "segment-python": partial(python_command, "segment"),
    "rudder-python": partial(python_command, "rudder"),
    "analytics-python": partial(python_command, "analytics"),
    "segment-java": java_command,
}
"""The command of each client, which is installed if necessary."""


def run_client(
    name: str, url: str, write_key: str, run: str, count: int, on_event: Callable[[int], None] = lambda _: None
) -> Sent:
    """Send `count` events with a client, and wait until it has exited.

    The message id of each event begins with the run and a hyphen. `on_event` is called with the number of events that
    the SDK has taken so far, while it sends them. Raises AssertionError if the program fails or takes longer than
    DEADLINE.
    """
    command = [*CLIENTS[name](), url, write_key, run, str(count)]
    sent, errors = Sent(), INSTALLED / f"{name}.log"
    with (
        errors.open("w+") as log,
        # An empty environment: proxies, Python's and Java's options are for other programs.
        subprocess.Popen(command, env={"LC_ALL": "C.UTF-8"}, stdout=subprocess.PIPE, stderr=log, text=True) as process,
    ):
        assert process.stdout is not None
        overdue = threading.Timer(DEADLINE, process.kill)
        overdue.start()
        try:
            for line in process.stdout:
                report = json.loads(line)
                sent.add(report)
                if "event" in report:
                    on_event(len(sent.events))
            status = process.wait()
        finally:
            # Also if a line is invalid or `on_event` fails; otherwise the block would wait for the program.
            process.kill()
            overdue.cancel()
    assert status == 0, f"{name} ended with status {status}:\n{errors.read_text()}"
    return sent
