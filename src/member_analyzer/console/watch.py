"""Watches one station: a thread that looks, takes down what it saw, and rests.

Each station has a thread of its own, so that a server that hangs delays nobody but its own station.
"""

import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from threading import Event, Thread
from typing import Protocol

import structlog

from member_analyzer.console.board import Board, Look, State
from member_analyzer.console.complaint import explain
from member_analyzer.operations.restarts import Restarts

log = structlog.get_logger(__name__)

# A look that takes long is followed by a longer rest, so that the console never takes more than a sixth of a server.
SHORTEST_REST, RESTS_FOR_A_LOOK = 1.0, 5
LONGEST_WAIT_FOR_A_SERVER = 10.0
# After so many seconds without an answer a server counts as away, even where its client still waits.
PATIENCE = 15.0


class AwayError(Exception):
    """Raised by a look for a server that does not answer as it should; its message says so to a person."""


@dataclass(frozen=True)
class Glance:
    """One thing to look at, and the seconds of rest after it; it gives what it saw, or nothing new of the station."""

    look: Callable[[], Look | None]
    rest: float = SHORTEST_REST


class Source(Protocol):
    """A station as it is looked at."""

    name: str
    away: tuple[type[Exception], ...]
    """What its clients raise while its server is away."""

    def means(self, since: str) -> str:
        """What it means for the numbers that the station is away; `since` is when it was last seen, in words."""

    def connect(self) -> AbstractContextManager[Sequence[Glance]]:
        """What to look at, over a connection that is kept until the block ends."""


class Watch:
    """Looks at one station for as long as the program runs."""

    def __init__(
        self, source: Source, board: Board, find_loop: Callable[[str], Restarts | None] = lambda station: None
    ) -> None:
        """`find_loop` gives the restarts of a station whose server is in a restart loop."""
        self._find_loop = find_loop
        self._source = source
        self._board = board
        self._away: tuple[type[Exception], ...] = (*source.away, AwayError)
        self._is_stopping = Event()
        self._looking_since: float | None = None
        self._thread = Thread(target=self._run, name=f"watch-{source.name}", daemon=True)

    def start(self) -> None:
        """Begin to look."""
        self._thread.start()

    def stop(self) -> None:
        """Begin to end; a look that is under way goes on."""
        self._is_stopping.set()

    def join(self, seconds: float) -> None:
        """Wait for the end, for so many seconds at most."""
        self._thread.join(seconds)

    def check_patience(self) -> None:
        """Show the station as away where a look at it takes too long."""
        began = self._looking_since
        if began is not None and time.monotonic() - began > PATIENCE:
            self._tell_away(f"It has not answered for {PATIENCE:.0f} seconds.")

    def _run(self) -> None:
        failures = 0
        while not self._is_stopping.is_set():
            has_seen_all = False
            try:
                self._looking_since = time.monotonic()
                with self._source.connect() as glances:
                    for has_seen_all in self._look_at_all(glances):
                        failures = 0 if has_seen_all else failures
            except self._away as error:
                # A connection that was good until now is made anew at once: it may only have been idle for too long.
                if not has_seen_all:
                    failures += 1
                    self._tell_away(explain(error))
            except Exception:
                # A fault of the console: the station may do well.
                failures += 1
                log.exception("console.look_failed", station=self._source.name)
                complaint = "The console failed to look at it; its log says why."
                self._board.show_away(self._source.name, complaint, "", datetime.now(UTC), State.UNKNOWN)
            finally:
                self._looking_since = None
            self._is_stopping.wait(min(SHORTEST_REST * 2 ** max(0, failures - 1), LONGEST_WAIT_FOR_A_SERVER))

    def _look_at_all(self, glances: Sequence[Glance]) -> Iterator[bool]:
        """Look at what is due, one after the other; gives after each whether all were looked at by then."""
        due = dict.fromkeys(range(len(glances)), 0.0)
        while not self._is_stopping.is_set():
            number = min(due, key=lambda one: due[one])
            self._looking_since = None
            if self._is_stopping.wait(max(0.0, due[number] - time.monotonic())):
                return
            began = self._looking_since = time.monotonic()
            seen = glances[number].look()
            ended = time.monotonic()
            due[number] = ended + max(glances[number].rest, RESTS_FOR_A_LOOK * (ended - began))
            if seen is not None:
                self._tell(seen)
            yield all(due.values())

    def _tell(self, seen: Look) -> None:
        if (loop := self._find_loop(self._source.name)) is not None:
            state = State.DEGRADED if seen.state == State.UP else seen.state
            seen = replace(seen, state=state, complaint=_join(loop.message, seen.complaint))
        before = self._board.station(self._source.name).seen.state
        self._board.show(self._source.name, seen, datetime.now(UTC))
        if before != seen.state:
            tell = log.warning if seen.state == State.DOWN else log.info
            tell("console.station", station=self._source.name, state=seen.state.value, complaint=seen.complaint)

    def _tell_away(self, complaint: str) -> None:
        station = self._board.station(self._source.name)
        means = self._source.means(describe_moment(station.checked_at))
        if (loop := self._find_loop(self._source.name)) is not None:
            complaint = _join(loop.message, complaint)
        self._board.show_away(self._source.name, complaint, means, datetime.now(UTC))
        if station.seen.state != State.DOWN:
            log.warning("console.station", station=self._source.name, state=State.DOWN.value, complaint=complaint)


class Overseer:
    """All watches, and one who notices that a look hangs."""

    def __init__(self, watches: Sequence[Watch]) -> None:
        self._watches = watches
        self._is_stopping = Event()
        self._thread = Thread(target=self._run, name="overseer", daemon=True)

    def start(self) -> None:
        """Begin to look at every station."""
        for watch in self._watches:
            watch.start()
        self._thread.start()

    def stop(self, seconds: float) -> None:
        """End, or leave behind what hangs after so many seconds."""
        self._is_stopping.set()
        for watch in self._watches:
            watch.stop()
        deadline = time.monotonic() + seconds
        for watch in self._watches:
            watch.join(max(0.0, deadline - time.monotonic()))

    def _run(self) -> None:
        while not self._is_stopping.wait(1):
            for watch in self._watches:
                watch.check_patience()


def _join(message: str, complaint: str | None) -> str:
    return f"{message} {complaint}" if complaint else message


def describe_moment(moment: datetime | None) -> str:
    """When a station was last seen, in words."""
    return "the start of the console" if moment is None else f"{moment:%H:%M:%S} UTC"
