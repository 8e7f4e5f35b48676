"""Who asks, and may they: the API key, its rights, and how often it may ask."""

import asyncio
import time
from collections.abc import Awaitable, Callable
from http import HTTPStatus
from typing import Annotated

import structlog
from fastapi import Request, Security
from fastapi.security import HTTPAuthorizationCredentials, HTTPBearer
from limits import RateLimitItem, RateLimitItemPerMinute, RateLimitItemPerSecond
from limits.storage import MemoryStorage
from limits.strategies import SlidingWindowCounterRateLimiter

from member_analyzer.collector.landing_pool import LandingPool
from member_analyzer.http.problem import ProblemError
from member_analyzer.landing.api_keys import ApiKey, Right, is_secret_of, read_keys, split_key

# After so many seconds at most a revoked key is refused. One that is not known is looked for at once.
SECONDS_TRUSTED = 5
FAILURES_PER_MINUTE = 60

# It only describes itself in the OpenAPI document; who asks is found out below.
BEARER = HTTPBearer(
    scheme_name="API key",
    bearerFormat="ma_<name>_<secret>",
    description="Made by `member-analyzer keys create NAME --rights write,read,erase`.",
    auto_error=False,
)


class Gate:
    """Lets requests in that bring a key in use, and not too many of them."""

    def __init__(self, pool: LandingPool, requests_per_second: int) -> None:
        self._pool = pool
        self._keys: dict[str, ApiKey] = {}
        self._read_at = float("-inf")
        self._reading = asyncio.Lock()
        self._limiter = SlidingWindowCounterRateLimiter(MemoryStorage())
        self._requests = RateLimitItemPerSecond(requests_per_second, namespace="requests")
        self._failures = RateLimitItemPerMinute(FAILURES_PER_MINUTE, namespace="failures")

    async def admit(self, authorization: str, address: str, right: Right) -> ApiKey:
        """The key that asks. Raises ProblemError: 401, 403, 429; LandingAwayError where the keys cannot be read."""
        key = await self._find_key(authorization, address)
        if key is None:
            self._limit(self._failures, address, "There were too many requests without a valid API key.")
            raise ProblemError(
                HTTPStatus.UNAUTHORIZED,
                "Send an API key that is in use, as `Authorization: Bearer ma_<name>_<secret>`.",
                headers={"WWW-Authenticate": "Bearer"},
            )
        structlog.contextvars.bind_contextvars(api_key=key.name)
        self._limit(self._requests, key.name, f"The API key {key.name} asks too often.")
        if right not in key.rights:
            raise ProblemError(HTTPStatus.FORBIDDEN, f"The API key {key.name} has not the right to {right.value}.")
        return key

    async def _find_key(self, authorization: str, address: str) -> ApiKey | None:
        scheme, _, given = authorization.partition(" ")
        parts = split_key(given.strip()) if scheme.lower() == "bearer" else None
        if parts is None:
            return None
        name, secret = parts
        await self._read_keys(time.monotonic() - SECONDS_TRUSTED)
        # Nobody may have the table read anew as often as they like.
        if name not in self._keys and self._limiter.test(self._failures, address):
            await self._read_keys(time.monotonic())
        key = self._keys.get(name)
        return key if is_secret_of(key, secret) else None

    async def _read_keys(self, since: float) -> None:
        """Know the keys as they were at a moment, or later."""
        if self._read_at >= since:
            return
        async with self._reading:
            if self._read_at < since:
                began = time.monotonic()
                self._keys = await self._pool.run(read_keys)
                self._read_at = began

    def _limit(self, item: RateLimitItem, who: str, complaint: str) -> None:
        if not self._limiter.hit(item, who):
            wait = max(1, round(self._limiter.get_window_stats(item, who).reset_time - time.time()))
            raise ProblemError(
                HTTPStatus.TOO_MANY_REQUESTS,
                f"{complaint} It may ask again in {wait} seconds.",
                headers={"Retry-After": str(wait)},
            )


def holder_of(right: Right) -> Callable[..., Awaitable[ApiKey]]:
    """What FastAPI asks for the key of a request that needs a right."""

    async def admit(
        request: Request, _: Annotated[HTTPAuthorizationCredentials | None, Security(BEARER)] = None
    ) -> ApiKey:
        gate: Gate = request.app.state.services.gate
        address = request.client.host if request.client else "unknown"
        return await gate.admit(request.headers.get("authorization", ""), address, right)

    return admit
