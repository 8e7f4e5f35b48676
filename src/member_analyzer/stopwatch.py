"""Measures how long a program has waited, without the time in which it could not run."""

import time
from collections.abc import Callable

from tenacity import RetryCallState

# Longer than any single look at a server takes.
LONGEST_STEP_SECONDS = 45.0


class Stopwatch:
    """Seconds of waiting, for loops that ask it in every round.

    While a laptop sleeps or a process is stopped, nothing can make progress, so that a deadline would be over at once
    afterwards. A longer gap than `longest_step` between two readings therefore counts as `longest_step` seconds.
    """

    def __init__(
        self, *, longest_step: float = LONGEST_STEP_SECONDS, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._clock = clock
        self._longest_step = longest_step
        self.restart()

    def restart(self) -> None:
        """Begin at zero again."""
        self._read = self._clock()
        self._seconds = 0.0

    def read(self) -> float:
        """The seconds since the start."""
        now = self._clock()
        self._seconds += min(now - self._read, self._longest_step)
        self._read = now
        return self._seconds


def stop_after_waiting(seconds: float) -> Callable[[RetryCallState], bool]:
    """A stop condition for tenacity's Retrying: `stop_after_delay`, measured with a Stopwatch. For one call."""
    stopwatch = Stopwatch()
    return lambda _: stopwatch.read() >= seconds
