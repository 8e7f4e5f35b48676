"""Measures waiting time, without the time in which the program was suspended."""

import time
from collections.abc import Callable

from tenacity import RetryCallState

# Longer than any single health check takes.
MAX_STEP_SECONDS = 45.0


class Stopwatch:
    """Seconds of waiting, for polling loops that read it in every iteration.

    Nothing makes progress while a laptop sleeps or a process is stopped, and an ordinary deadline would have passed
    when it resumes. A gap longer than `max_step` between two readings therefore counts as `max_step` seconds.
    """

    def __init__(self, *, max_step: float = MAX_STEP_SECONDS, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._max_step = max_step
        self.restart()

    def restart(self) -> None:
        """Start again at zero."""
        self._read = self._clock()
        self._seconds = 0.0

    def read(self) -> float:
        """The seconds since the start."""
        now = self._clock()
        self._seconds += min(now - self._read, self._max_step)
        self._read = now
        return self._seconds


def stop_after_waiting(seconds: float) -> Callable[[RetryCallState], bool]:
    """tenacity's `stop_after_delay`, measured with a Stopwatch; for a single call."""
    stopwatch = Stopwatch()
    return lambda _: stopwatch.read() >= seconds
