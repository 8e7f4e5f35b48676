"""Rates of growing counters.

Pure: does not read the clock.
"""

from collections import deque
from collections.abc import Hashable


class Rate:
    """Growth of a counter per second, over a sliding window in seconds."""

    def __init__(self, window: float = 10) -> None:
        self._window = window
        self._samples: deque[tuple[float, int]] = deque()

    def observe(self, count: int, at: float) -> None:
        """Add a sample; a counter that decreases has been reset."""
        if self._samples and count < self._samples[-1][1]:
            self._samples.clear()
        self._samples.append((at, count))
        # One sample from before the window stays, so that a counter sampled less often has a rate too.
        while len(self._samples) > 2 and self._samples[1][0] <= at - self._window:
            self._samples.popleft()

    @property
    def per_second(self) -> float | None:
        """The rate at the last sample, rounded to one decimal; None before the second sample."""
        if len(self._samples) < 2:
            return None
        (begin, first), (end, last) = self._samples[0], self._samples[-1]
        return round((last - first) / (end - begin), 1) if end > begin else None


class Rates:
    """Rates of several counters, by key."""

    def __init__(self, window: float = 10) -> None:
        self._window = window
        self._rates: dict[Hashable, Rate] = {}

    def observe(self, key: Hashable, count: int, at: float) -> float | None:
        """Add a sample of a counter and return its rate."""
        rate = self._rates.setdefault(key, Rate(self._window))
        rate.observe(count, at)
        return rate.per_second
