"""Monitors the components.

Each component has its own thread, so that a hanging server does not delay the others.
"""

import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from threading import Event, Thread
from typing import Protocol

import structlog

from member_analyzer.console.client_errors import describe_error
from member_analyzer.console.status import State, Status
from member_analyzer.console.status_store import StatusStore
from member_analyzer.operations.restarts import Restarts

log = structlog.get_logger(__name__)

# The pause grows with the duration of the probe, so that probes never take more than a sixth of a server's time.
MIN_PAUSE, PAUSE_FACTOR = 1.0, 5
MAX_RETRY_DELAY = 10.0
# A component whose probe runs longer counts as down, even while the client still waits.
PROBE_TIMEOUT = 15.0


class UnavailableError(Exception):
    """Raised by a probe whose server does not answer as expected; the message is shown to the user."""


@dataclass(frozen=True)
class Probe:
    """A check to repeat, and the pause after it in seconds; it returns None if it does not report a status."""

    check: Callable[[], Status | None]
    pause: float = MIN_PAUSE


class Monitor(Protocol):
    """Checks one component."""

    name: str
    unavailable_errors: tuple[type[Exception], ...]
    """Errors of its clients while the server is unavailable."""

    def impact(self, last_seen: str) -> str:
        """The effect of an outage on the displayed counts; `last_seen` is the time of the last successful check."""

    def connect(self) -> AbstractContextManager[Sequence[Probe]]:
        """Open a connection until the block ends; yields the probes that use it."""


class MonitorThread:
    """Runs the probes of one monitor in a thread."""

    def __init__(
        self,
        monitor: Monitor,
        store: StatusStore,
        find_restart_loop: Callable[[str], Restarts | None] = lambda component: None,
    ) -> None:
        self._monitor = monitor
        self._store = store
        self._find_restart_loop = find_restart_loop
        self._unavailable_errors: tuple[type[Exception], ...] = (*monitor.unavailable_errors, UnavailableError)
        self._is_stopping = Event()
        self._probe_started_at: float | None = None
        self._thread = Thread(target=self._run, name=f"monitor-{monitor.name}", daemon=True)

    def start(self) -> None:
        self._thread.start()

    def stop(self) -> None:
        """Ask the thread to stop after the running probe."""
        self._is_stopping.set()

    def join(self, seconds: float) -> None:
        self._thread.join(seconds)

    def check_timeout(self) -> None:
        """Mark the component as down if its probe hangs."""
        started_at = self._probe_started_at
        if started_at is not None and time.monotonic() - started_at > PROBE_TIMEOUT:
            self._mark_down(f"No response for {PROBE_TIMEOUT:.0f} seconds.")

    def _run(self) -> None:
        failures = 0
        while not self._is_stopping.is_set():
            has_run_all = False
            try:
                self._probe_started_at = time.monotonic()
                with self._monitor.connect() as probes:
                    for has_run_all in self._run_probes(probes):
                        failures = 0 if has_run_all else failures
            except self._unavailable_errors as error:
                # A connection that has worked is reopened at once: it may only have been idle for too long.
                if not has_run_all:
                    failures += 1
                    self._mark_down(describe_error(error))
            except Exception:
                # A bug in the console says nothing about the component.
                failures += 1
                log.exception("console.probe_failed", component=self._monitor.name)
                message = "The console failed to check it; see the console's log."
                self._store.mark_unavailable(self._monitor.name, message, "", datetime.now(UTC), State.UNKNOWN)
            finally:
                self._probe_started_at = None
            self._is_stopping.wait(min(MIN_PAUSE * 2 ** max(0, failures - 1), MAX_RETRY_DELAY))

    def _run_probes(self, probes: Sequence[Probe]) -> Iterator[bool]:
        """Run each probe when it is due; yields after each whether all have run at least once."""
        due = dict.fromkeys(range(len(probes)), 0.0)
        while not self._is_stopping.is_set():
            index = min(due, key=lambda candidate: due[candidate])
            self._probe_started_at = None
            if self._is_stopping.wait(max(0.0, due[index] - time.monotonic())):
                return
            started_at = self._probe_started_at = time.monotonic()
            status = probes[index].check()
            ended_at = time.monotonic()
            due[index] = ended_at + max(probes[index].pause, PAUSE_FACTOR * (ended_at - started_at))
            if status is not None:
                self._update(status)
            yield all(due.values())

    def _update(self, status: Status) -> None:
        if (loop := self._find_restart_loop(self._monitor.name)) is not None:
            state = State.DEGRADED if status.state == State.UP else status.state
            status = replace(status, state=state, error=_join(loop.message, status.error))
        before = self._store.component(self._monitor.name).status.state
        self._store.update(self._monitor.name, status, datetime.now(UTC))
        if before != status.state:
            self._log_state(status.state, status.error)

    def _mark_down(self, error: str) -> None:
        component = self._store.component(self._monitor.name)
        impact = self._monitor.impact(describe_time(component.checked_at))
        if (loop := self._find_restart_loop(self._monitor.name)) is not None:
            error = _join(loop.message, error)
        self._store.mark_unavailable(self._monitor.name, error, impact, datetime.now(UTC))
        if component.status.state != State.DOWN:
            self._log_state(State.DOWN, error)

    def _log_state(self, state: State, error: str | None) -> None:
        write = log.warning if state == State.DOWN else log.info
        write("console.component_state", component=self._monitor.name, state=state.value, error=error)


class Watchdog:
    """Starts and stops the monitor threads, and detects hanging probes."""

    def __init__(self, threads: Sequence[MonitorThread]) -> None:
        self._threads = threads
        self._is_stopping = Event()
        self._thread = Thread(target=self._run, name="watchdog", daemon=True)

    def start(self) -> None:
        for thread in self._threads:
            thread.start()
        self._thread.start()

    def stop(self, seconds: float) -> None:
        """Stop all threads; those that still hang after the timeout are abandoned."""
        self._is_stopping.set()
        for thread in self._threads:
            thread.stop()
        deadline = time.monotonic() + seconds
        for thread in self._threads:
            thread.join(max(0.0, deadline - time.monotonic()))

    def _run(self) -> None:
        while not self._is_stopping.wait(1):
            for thread in self._threads:
                thread.check_timeout()


def describe_time(moment: datetime | None) -> str:
    """The time of the last successful check, as text."""
    return "the start of the console" if moment is None else f"{moment:%H:%M:%S} UTC"


def _join(message: str, error: str | None) -> str:
    return f"{message} {error}" if error else message
