"""Authentication, authorization and rate limiting by API key."""

import asyncio
import time
from collections.abc import Awaitable, Callable
from http import HTTPStatus
from typing import Annotated

import structlog
from fastapi import Request, Security
from fastapi.security import HTTPAuthorizationCredentials, HTTPBearer
from limits import RateLimitItemPerMinute, RateLimitItemPerSecond

from member_analyzer.collector.landing_pool import LandingPool
from member_analyzer.collector.rate_limits import RateLimits
from member_analyzer.http.problem import ProblemError
from member_analyzer.landing.api_keys import ApiKey, Right, is_secret_of, read_keys, split_key

# A revoked key is rejected after at most this many seconds. An unknown key is looked up immediately.
KEY_CACHE_SECONDS = 5
FAILURES_PER_MINUTE = 60

# It only documents the scheme in OpenAPI; `Authenticator` checks the header.
BEARER = HTTPBearer(
    scheme_name="API key",
    bearerFormat="ma_<name>_<secret>",
    description="Created by `member-analyzer keys create NAME --rights write,read,erase,people`.",
    auto_error=False,
)


class Authenticator:
    """Checks the API key of a request, its rights and its request rate."""

    def __init__(self, pool: LandingPool, requests_per_second: int) -> None:
        self._pool = pool
        self._keys: dict[str, ApiKey] = {}
        self._read_at = float("-inf")
        self._lock = asyncio.Lock()
        self._limits = RateLimits()
        self._requests = RateLimitItemPerSecond(requests_per_second, namespace="requests")
        self._failures = RateLimitItemPerMinute(FAILURES_PER_MINUTE, namespace="failures")

    async def authorize(self, authorization: str, address: str, scope: Right) -> ApiKey:
        """The API key of a request. Raises ProblemError (401, 403, 429) or LandingUnavailableError."""
        key = await self._find_key(authorization, address)
        if key is None:
            self._limits.enforce(self._failures, address, "Too many requests without a valid API key.")
            raise ProblemError(
                HTTPStatus.UNAUTHORIZED,
                "Send a valid API key as `Authorization: Bearer ma_<name>_<secret>`.",
                headers={"WWW-Authenticate": "Bearer"},
            )
        structlog.contextvars.bind_contextvars(api_key=key.name)
        self._limits.enforce(self._requests, key.name, f"The API key {key.name} exceeds its request rate.")
        if scope not in key.rights:
            raise ProblemError(HTTPStatus.FORBIDDEN, f"The API key {key.name} does not have the right `{scope.value}`.")
        return key

    async def _find_key(self, authorization: str, address: str) -> ApiKey | None:
        scheme, _, given = authorization.partition(" ")
        parts = split_key(given.strip()) if scheme.lower() == "bearer" else None
        if parts is None:
            return None
        name, secret = parts
        await self._refresh_keys(time.monotonic() - KEY_CACHE_SECONDS)
        # Unknown names must not make the collector query the table without limit.
        if name not in self._keys and not self._limits.has_reached(self._failures, address):
            await self._refresh_keys(time.monotonic())
        key = self._keys.get(name)
        return key if is_secret_of(key, secret) else None

    async def _refresh_keys(self, since: float) -> None:
        """Read the keys unless they were read after `since`."""
        if self._read_at >= since:
            return
        async with self._lock:
            if self._read_at < since:
                began = time.monotonic()
                self._keys = await self._pool.run(read_keys)
                self._read_at = began


def require_scope(scope: Right) -> Callable[..., Awaitable[ApiKey]]:
    """A FastAPI dependency that gives the API key of a request which has this right."""

    async def authorize(
        request: Request, _: Annotated[HTTPAuthorizationCredentials | None, Security(BEARER)] = None
    ) -> ApiKey:
        authenticator: Authenticator = request.app.state.services.authenticator
        address = request.client.host if request.client else "unknown"
        return await authenticator.authorize(request.headers.get("authorization", ""), address, scope)

    return authorize
