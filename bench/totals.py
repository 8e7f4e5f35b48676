"""Watches a total while it grows."""

import threading
import time
from collections.abc import Callable

from members import wait_until


class TotalMonitor:
    """Polls a total, and records when it changes, as (time, total)."""

    def __init__(self, count: Callable[[], int], timeout: float) -> None:
        self._count = count
        self._timeout = timeout
        self.seen: list[tuple[float, int]] = [(time.time(), count())]
        self._is_over = threading.Event()
        self._thread = threading.Thread(target=self._run)

    def __enter__(self) -> "TotalMonitor":
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._is_over.set()
        self._thread.join()

    def _run(self) -> None:
        while not self._is_over.wait(0.1):
            total = self._count()
            if total != self.seen[-1][1]:
                self.seen.append((time.time(), total))

    def wait_for(self, total: int) -> None:
        """Wait until the total is reached."""
        wait_until(lambda: self.seen[-1][1] >= total, self._timeout)

    def moments(self, first: int, last: int) -> list[float]:
        """The times at which what lies between two totals was counted, in order."""
        moments: list[float] = []
        for (_, before), (moment, total) in zip(self.seen, self.seen[1:], strict=False):
            moments += [moment] * max(0, min(total, last) - max(before, first))
        return moments
