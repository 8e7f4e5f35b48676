"""Recent restarts of a server and its last error, to distinguish a restart loop from a single failure.

On one machine they are read from the supervisor's log, on Kubernetes from the pods.
"""

import json
import re
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from member_analyzer.records.text import printable

WINDOW = timedelta(minutes=15)
# This many restarts within the window are a restart loop.
LOOP = 3
TAIL_BYTES = 256 * 1024
MAX_ERROR_LENGTH = 300

# The log says "stopped" for a process that was stopped on request.
EXITED = re.compile(r"^(\d{4}-\d\d-\d\d \d\d:\d\d:\d\d),\d+ \w+ exited: (\S+) \(")
SUPERVISED = re.compile(r"^(\d{4}-\d\d-\d\d \d\d:\d\d:\d\d),\d+ ")
# Of errors from other software only the type is shown: the message may contain personal data.
OUT_OF_MEMORY = re.compile(r"java\.lang\.OutOfMemoryError(: [A-Za-z ]+)?")
KIND_OF_ERROR = re.compile(r"\b(?:[a-z_]\w*[.$])*[A-Z]\w*(?:Error|Exception)\b")


@dataclass(frozen=True)
class Restarts:
    """The restarts of one server within a period, and its last error, if its log has one."""

    count: int
    last_error: str | None = None
    period: str = f"within the last {WINDOW // timedelta(minutes=1)} minutes"

    @property
    def is_loop(self) -> bool:
        """Whether the server is in a restart loop."""
        return self.count >= LOOP

    @property
    def message(self) -> str:
        """Describe the restarts for people."""
        times = f"{self.count:,} times" if self.count > 1 else "once"
        error = f" Its last error: {self.last_error}" if self.last_error else " Its log has no error."
        loop = "It is in a restart loop: it" if self.is_loop else "It"
        return f"{loop} was restarted {times} {self.period}.{error}"


def read_restarts(logs: Path, now: datetime) -> dict[str, Restarts]:
    """Read the restarts of the local servers from the supervisor's log, by server name."""
    lines = read_tail(logs / "supervisor.log.1") + read_tail(logs / "supervisor.log")
    counts = count_exits(lines, now, _clock_offset(logs / "supervisor.log", lines))
    return {
        name: Restarts(count, find_last_error(read_tail(logs / f"{name}.log.1") + read_tail(logs / f"{name}.log")))
        for name, count in counts.items()
    }


def count_exits(lines: Iterable[str], now: datetime, offset: timedelta = timedelta()) -> Counter[str]:
    """Count the exits of each process within the window; `offset` is the UTC offset of the log."""
    since = now - WINDOW
    return Counter(
        found[2]
        for line in lines
        if (found := EXITED.match(line)) and since <= datetime.fromisoformat(f"{found[1]}+00:00") - offset <= now
    )


def find_last_error(lines: Iterable[str]) -> str | None:
    """Find the last error of a log: the project's own in full, of others only the type."""
    for line in reversed(list(lines)):
        if error := _read_error(line):
            return error
    return None


def read_pod_restarts(pods: Iterable[Mapping[str, Any]], now: datetime) -> Restarts | None:
    """Read the restarts of pods if the last one is within the window."""
    count = 0
    last: tuple[datetime, str] | None = None
    for pod in pods:
        for one in (pod.get("status") or {}).get("containerStatuses") or ():
            ended = (one.get("lastState") or {}).get("terminated") or {}
            if not one.get("restartCount") or not ended.get("finishedAt"):
                continue
            at = datetime.fromisoformat(str(ended["finishedAt"]))
            if at < now - WINDOW:
                continue
            # Kubernetes counts since the pod was created, not within the window.
            count += one["restartCount"]
            logged = find_last_error(str(ended.get("message") or "").splitlines())
            error = logged or f"{ended.get('reason') or 'Error'}, exit code {ended.get('exitCode')}."
            last = max(last or (at, error), (at, error))
    return (
        Restarts(count, last[1], f"since its pod was created, the last time at {last[0]:%H:%M} UTC") if last else None
    )


def read_tail(path: Path) -> list[str]:
    """Read the last lines of a file; empty if it does not exist."""
    try:
        with path.open("rb") as file:
            file.seek(max(0, path.stat().st_size - TAIL_BYTES))
            return file.read(TAIL_BYTES).decode(errors="replace").splitlines()
    except OSError:
        return []


def _read_error(line: str) -> str | None:
    if line.startswith("{"):
        try:
            entry = json.loads(line)
        except (ValueError, RecursionError):
            return None
        if not isinstance(entry, dict) or entry.get("level") not in ("error", "critical"):
            return None
        return _shorten(": ".join(str(entry[name]) for name in ("event", "error") if entry.get(name)))
    found = OUT_OF_MEMORY.search(line) or KIND_OF_ERROR.search(line)
    return _shorten(found[0]) if found else None


def _shorten(text: str) -> str:
    line = printable(" ".join(text.split()))
    line = line if len(line) <= MAX_ERROR_LENGTH else f"{line[: MAX_ERROR_LENGTH - 1]}…"
    return line if line.endswith((".", "!", "?", "…")) else f"{line}."


def _clock_offset(log: Path, lines: list[str]) -> timedelta:
    """Return the UTC offset of the supervisor's log: its last line was written when the file was modified."""
    found = next((one for line in reversed(lines) if (one := SUPERVISED.match(line))), None)
    if found is None:
        return timedelta()
    written = datetime.fromtimestamp(log.stat().st_mtime, UTC) if log.exists() else datetime.now(UTC)
    quarters = round((datetime.fromisoformat(f"{found[1]}+00:00") - written) / timedelta(minutes=15))
    return quarters * timedelta(minutes=15)
