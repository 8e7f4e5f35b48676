"""Authentication of sources by their write key, with rate limits.

A write key comes in whatever place the SDK chose: HTTP Basic authentication, a header, the query of a beacon, or the
body.
"""

import asyncio
import base64
import binascii
import time
from http import HTTPStatus

import structlog
from fastapi import Request
from limits import RateLimitItemPerMinute

from member_analyzer.collector.landing_pool import LandingPool, LandingUnavailableError
from member_analyzer.collector.rate_limits import RateLimits
from member_analyzer.http.problem import ProblemError
from member_analyzer.landing.sources import Source, find_source, read_sources

log = structlog.get_logger(__name__)

# A revoked source is rejected after at most this many seconds. An unknown key is looked up immediately.
CACHE_SECONDS = 5
FAILURES_PER_MINUTE = 60
QUERY_NAMES = ("writeKey", "write_key")


def find_write_key(request: Request) -> str | None:
    """Return the write key in a request's headers or query, or None: then it may be in the body."""
    scheme, _, given = request.headers.get("authorization", "").partition(" ")
    if scheme.lower() == "basic":
        try:
            login = base64.b64decode(given.strip(), validate=True).decode()
        except (binascii.Error, UnicodeDecodeError):
            login = ""
        if key := login.partition(":")[0]:
            return key
    if key := request.headers.get("x-write-key", "").strip():
        return key
    return next((value for name in QUERY_NAMES if (value := request.query_params.get(name))), None)


class SourceAuthenticator:
    """Finds the source of a write key, and checks its origin and its rate.

    The sources are cached, and the cache is used for as long as PostgreSQL is unavailable.
    """

    def __init__(self, pool: LandingPool) -> None:
        self._pool = pool
        self._sources: dict[bytes, Source] = {}
        self._read_at = float("-inf")
        self._tried_at = float("-inf")
        self._lock = asyncio.Lock()
        self._limits = RateLimits()
        self._failures = RateLimitItemPerMinute(FAILURES_PER_MINUTE, namespace="source-failures")

    async def authenticate(self, request: Request, key: str | None) -> Source:
        """Return the source of a write key, for a request.

        Raises ProblemError: 401 for a missing or unknown key, 403 for an origin that the source does not allow, 429
        after too many failures. Raises LandingUnavailableError if no sources are cached.
        """
        address = request.client.host if request.client else "unknown"
        source = await self._find(key or "", address)
        if source is None:
            self._limits.enforce(self._failures, address, "Too many requests without a valid write key.")
            raise ProblemError(
                HTTPStatus.UNAUTHORIZED,
                "Send the write key of a source as the user name of HTTP Basic authentication. "
                "Create one with `member-analyzer sources create`.",
            )
        structlog.contextvars.bind_contextvars(source=source.name)
        self._check_origin(request, source)
        return source

    def limit(self, source: Source, events: int) -> None:
        """Count events of a source. Raises ProblemError (429) if it exceeds its rate."""
        most = source.events_per_second * 60
        limit = RateLimitItemPerMinute(most, namespace="events")
        message = f"The source {source.name} exceeds its rate of events."
        self._limits.enforce(limit, source.name, message, min(events, most))

    async def _find(self, key: str, address: str) -> Source | None:
        await self._refresh(time.monotonic() - CACHE_SECONDS)
        source = find_source(self._sources, key)
        # Unknown keys must not make the collector query the table without limit.
        if source is None and key and not self._limits.has_reached(self._failures, address):
            await self._refresh(time.monotonic())
            source = find_source(self._sources, key)
        return source

    async def _refresh(self, since: float) -> None:
        """Read the sources unless that was tried after `since`. Raises LandingUnavailableError if none are cached."""
        if self._tried_at >= since and self._sources:
            return
        async with self._lock:
            if self._tried_at >= since and self._sources:
                return
            self._tried_at = time.monotonic()
            try:
                self._sources = await self._pool.run(read_sources)
            except LandingUnavailableError as error:
                if not self._sources:
                    raise
                log.warning("sources.cached", cause=str(error))

    def _check_origin(self, request: Request, source: Source) -> None:
        """Raise ProblemError (403) if a web page may not use this key."""
        origin = request.headers.get("origin")
        if origin is not None and not source.allows_origin(origin):
            listed = "none" if not source.origins else ", ".join(source.origins)
            raise ProblemError(
                HTTPStatus.FORBIDDEN,
                f"Pages of this origin may not send events of the source {source.name}. Its origins: {listed}.",
            )
        if origin is None and source.origins:
            raise ProblemError(
                HTTPStatus.FORBIDDEN,
                f"The write key of {source.name} is for web pages of {', '.join(source.origins)}, and this request has "
                "no Origin header. Create a source without origins for servers and mobile applications.",
            )
