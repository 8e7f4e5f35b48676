"""How fast a counter grows.

Pure: asks no clock.
"""

from collections import deque
from collections.abc import Hashable


class Rate:
    """How much a counter grew a second, over a window of so many seconds."""

    def __init__(self, window: float = 10) -> None:
        self._window = window
        self._seen: deque[tuple[float, int]] = deque()

    def note(self, count: int, at: float) -> None:
        """Take down the counter at a moment in seconds; one that falls begins anew."""
        if self._seen and count < self._seen[-1][1]:
            self._seen.clear()
        self._seen.append((at, count))
        # One from before the window stays, so that a counter that is seldom read has a rate too.
        while len(self._seen) > 2 and self._seen[1][0] <= at - self._window:
            self._seen.popleft()

    @property
    def per_second(self) -> float | None:
        """The rate as it was last noted, to a tenth; none before the counter was noted twice."""
        if len(self._seen) < 2:
            return None
        (begin, first), (end, last) = self._seen[0], self._seen[-1]
        return round((last - first) / (end - begin), 1) if end > begin else None


class Rates:
    """The rates of several counters, each known by a key."""

    def __init__(self, window: float = 10) -> None:
        self._window = window
        self._rates: dict[Hashable, Rate] = {}

    def note(self, key: Hashable, count: int, at: float) -> float | None:
        """Take down one counter at a moment in seconds; gives its rate."""
        rate = self._rates.setdefault(key, Rate(self._window))
        rate.note(count, at)
        return rate.per_second
