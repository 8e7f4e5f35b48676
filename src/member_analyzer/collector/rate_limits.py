"""Rate limits of clients, per process."""

import time
from http import HTTPStatus

from limits import RateLimitItem
from limits.storage import MemoryStorage
from limits.strategies import SlidingWindowCounterRateLimiter

from member_analyzer.http.problem import ProblemError


class RateLimits:
    """Counts what clients do, in sliding windows."""

    def __init__(self) -> None:
        self._limiter = SlidingWindowCounterRateLimiter(MemoryStorage())

    def has_reached(self, limit: RateLimitItem, client: str) -> bool:
        """Whether a client has reached its limit."""
        return not self._limiter.test(limit, client)

    def enforce(self, limit: RateLimitItem, client: str, message: str, cost: int = 1) -> None:
        """Count `cost` against a limit. Raises ProblemError (429, with Retry-After) if that exceeds it."""
        if not self._limiter.hit(limit, client, cost=cost):
            wait = max(1, round(self._limiter.get_window_stats(limit, client).reset_time - time.time()))
            raise ProblemError(
                HTTPStatus.TOO_MANY_REQUESTS,
                f"{message} Retry in {wait} seconds.",
                headers={"Retry-After": str(wait)},
            )
