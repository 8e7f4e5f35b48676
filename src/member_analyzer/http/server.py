"""An HTTP protocol for Uvicorn that bounds the time and memory a connection takes before its request is complete.

Uvicorn itself waits indefinitely for the rest of a request and accepts headers of any size. Here requests have a
deadline, headers have a size limit, and when there are too many connections, those that have been idle longest are
closed, so that slow clients cannot block others.
"""

import asyncio
import resource
import time
from http import HTTPStatus
from typing import Any, ClassVar

import structlog
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

log = structlog.get_logger(__name__)

MAX_HEADER_BYTES = 64 * 1024
HEADER_TIMEOUT_SECONDS = 10
# More than the programs' own limit, so that they can answer with the reason.
BODY_TIMEOUT_SECONDS = 60
MAX_CONNECTIONS = 1000
WARNING_INTERVAL_SECONDS = 60


def max_connections() -> int:
    """The limit of connections: at most half of the process's file descriptors, because other things need some."""
    soft, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    return MAX_CONNECTIONS if soft == resource.RLIM_INFINITY else min(MAX_CONNECTIONS, soft // 2)


class BoundedHttp(HttpToolsProtocol):
    """One connection."""

    # The idle connections of this process, oldest first.
    idle: ClassVar[dict["BoundedHttp", None]] = {}
    _warned_at: ClassVar[float] = float("-inf")

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._is_in_headers = True
        self._is_complete = False
        self._header_bytes = 0
        self._has_large_headers = False
        self._deadline: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Accept a connection; close the oldest idle one if there are too many."""
        super().connection_made(transport)
        self.idle[self] = None
        self._begin_headers()
        if len(self.connections) > max_connections():
            self._evict_oldest()

    def connection_lost(self, exc: Exception | None) -> None:
        self._set_deadline(None)
        self.idle.pop(self, None)
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        if self._is_complete:
            self._begin_headers()
        if self._is_in_headers:
            self._header_bytes += len(data)
        super().data_received(data)
        if self._is_in_headers and self._header_bytes > MAX_HEADER_BYTES and not self.transport.is_closing():
            self._has_large_headers = True
            self.send_400_response("")

    def on_message_begin(self) -> None:
        """Begin a request, possibly a pipelined one."""
        super().on_message_begin()
        if self._is_complete:
            self._begin_headers()

    def on_headers_complete(self) -> None:
        size = len(self.url) + sum(len(name) + len(value) for name, value in self.headers)
        if size > MAX_HEADER_BYTES:
            self._has_large_headers = True
            raise ValueError("The headers are too large.")
        self._is_in_headers = False
        self.idle.pop(self, None)
        self._set_deadline(BODY_TIMEOUT_SECONDS)
        super().on_headers_complete()

    def on_message_complete(self) -> None:
        self._is_complete = True
        self._set_deadline(None)
        super().on_message_complete()

    def on_response_complete(self) -> None:
        super().on_response_complete()
        if not self.transport.is_closing():
            self.idle[self] = None

    def send_400_response(self, msg: str) -> None:
        """Answer an invalid request, or one whose headers are too large."""
        if not self._has_large_headers:
            super().send_400_response(msg)
            return
        status = HTTPStatus.REQUEST_HEADER_FIELDS_TOO_LARGE
        self.transport.write(
            f"HTTP/1.1 {status.value} {status.phrase}\r\ncontent-length: 0\r\nconnection: close\r\n\r\n".encode()
        )
        self.transport.close()

    def _begin_headers(self) -> None:
        self._is_in_headers, self._is_complete, self._header_bytes = True, False, 0
        self._set_deadline(HEADER_TIMEOUT_SECONDS)

    def _set_deadline(self, seconds: float | None) -> None:
        if self._deadline is not None:
            self._deadline.cancel()
        self._deadline = None if seconds is None else self.loop.call_later(seconds, self.transport.abort)

    def _evict_oldest(self) -> None:
        oldest = next(iter(self.idle))
        self.idle.pop(oldest)
        oldest.transport.abort()
        now = time.monotonic()
        if now - BoundedHttp._warned_at > WARNING_INTERVAL_SECONDS:
            BoundedHttp._warned_at = now
            log.warning("http.too_many_connections", connections=len(self.connections), limit=max_connections())
