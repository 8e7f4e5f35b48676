"""How much processor time the servers of a platform take, and how much an empty micro-batch of Spark does."""

import json
import subprocess
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import psutil

from member_analyzer.local.environment import base_environment, program_environment, python
from member_analyzer.local.home import Home
from member_analyzer.local.supervision import list_processes

# Servers of the same kind are one figure.
KINDS = {"airflow-api": "airflow", "airflow-scheduler": "airflow", "airflow-dag-processor": "airflow"}


def tree_seconds(process: psutil.Process) -> float:
    """Seconds of a core that a process, its children and those of them that have ended took until now."""
    total = 0.0
    for one in [process, *process.children(recursive=True)]:
        try:
            times = one.cpu_times()
        except psutil.NoSuchProcess:
            continue
        total += times.user + times.system + times.children_user + times.children_system
    return total


def server_seconds(home: Home) -> dict[str, float]:
    """Seconds of a core that each server of a platform took since it started."""
    seconds: dict[str, float] = {}
    for name, process in list_processes(home).items():
        if process.pid:
            kind = KINDS.get(name, name)
            seconds[kind] = seconds.get(kind, 0) + tree_seconds(psutil.Process(process.pid))
    return seconds


@dataclass
class Usage:
    """What the servers took in a while: cores by server, its length in seconds, and the micro-batches in it."""

    cores: dict[str, float] = field(default_factory=dict)
    seconds: float = 0
    batches: int = 0

    def figures(self, what: str) -> Mapping[str, float]:
        """The cores of all servers and of each, and the stream's milliseconds of a core in a micro-batch."""
        figures = {f"{what}, cores, all": sum(self.cores.values())}
        figures |= {f"{what}, cores, {name}": cores for name, cores in sorted(self.cores.items())}
        if self.batches:
            figures[f"{what}, CPU of a micro-batch, ms"] = 1000 * self.cores["stream"] * self.seconds / self.batches
            figures[f"{what}, from a micro-batch to the next, ms"] = 1000 * self.seconds / self.batches
        return figures


def count_batches(checkpoint: Path) -> int:
    """The number of the newest micro-batch that the streams of a checkpoint have committed, of all streams together."""
    newest: dict[Path, int] = {}
    for file in checkpoint.glob("*/*/*/commits/[0-9]*"):
        newest[file.parent] = max(newest.get(file.parent, 0), int(file.name))
    return sum(newest.values())


@contextmanager
def measured(home: Home) -> Iterator[Usage]:
    """What the servers take while the block runs; complete once it has ended."""
    usage = Usage()
    before, batches, began = server_seconds(home), count_batches(home.checkpoint), time.monotonic()
    yield usage
    usage.seconds = time.monotonic() - began
    usage.batches = count_batches(home.checkpoint) - batches
    after = server_seconds(home)
    usage.cores = {name: (after[name] - before.get(name, 0)) / usage.seconds for name in after}


def measure_floor(home: Home) -> dict[str, float]:
    """An empty micro-batch of Spark on this machine: seconds until the next one, and seconds of a core."""
    environment = base_environment(home) | program_environment("stream", home)
    environment["SPARK_CONF_DIR"] = str(home.root / "spark" / "recount")
    script = Path(__file__).with_name("empty_batches.py")
    run = subprocess.run([python(), script], env=environment, capture_output=True, text=True, check=True)
    found: dict[str, float] = json.loads(run.stdout.splitlines()[-1])
    return found
