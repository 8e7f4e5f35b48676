"""HTTP as the web programs speak it: what a connection may take of time and memory before its request is known.

Uvicorn waits for the rest of a request for ever and keeps headers of any size. Here a request has a deadline and its
headers have a limit, and when there are too many connections, those that have waited longest without a request are
closed, so that other clients are served meanwhile.
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
SECONDS_FOR_HEADERS = 10
# More than a program itself allows for a body, so that the program can say what is wrong.
SECONDS_FOR_A_BODY = 60
MAX_CONNECTIONS = 1000
SECONDS_BETWEEN_WARNINGS = 60


def max_connections() -> int:
    """How many connections there may be: at most half of what a process may open, as files and servers need some."""
    soft, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    return MAX_CONNECTIONS if soft == resource.RLIM_INFINITY else min(MAX_CONNECTIONS, soft // 2)


class BoundedHttp(HttpToolsProtocol):
    """One connection."""

    # Those of this process that have no request under way, in the order since when.
    waiting: ClassVar[dict["BoundedHttp", None]] = {}
    _warned_at: ClassVar[float] = float("-inf")

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._is_in_headers = True
        self._is_complete = False
        self._header_bytes = 0
        self._has_large_headers = False
        self._deadline: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Wait for a request, and make room for this connection where there are too many."""
        super().connection_made(transport)
        self.waiting[self] = None
        self._begin_headers()
        if len(self.connections) > max_connections():
            self._make_room()

    def connection_lost(self, exc: Exception | None) -> None:
        """Forget the connection."""
        self._set_deadline(None)
        self.waiting.pop(self, None)
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        """Take in more of a request, unless its headers are too large."""
        if self._is_complete:
            self._begin_headers()
        if self._is_in_headers:
            self._header_bytes += len(data)
        super().data_received(data)
        if self._is_in_headers and self._header_bytes > MAX_HEADER_BYTES and not self.transport.is_closing():
            self._has_large_headers = True
            self.send_400_response("")

    def on_message_begin(self) -> None:
        """A request begins, perhaps right behind another one."""
        super().on_message_begin()
        if self._is_complete:
            self._begin_headers()

    def on_headers_complete(self) -> None:
        """The request is known, and the program begins to answer it."""
        size = len(self.url) + sum(len(name) + len(value) for name, value in self.headers)
        if size > MAX_HEADER_BYTES:
            self._has_large_headers = True
            raise ValueError("The headers are too large.")
        self._is_in_headers = False
        self.waiting.pop(self, None)
        self._set_deadline(SECONDS_FOR_A_BODY)
        super().on_headers_complete()

    def on_message_complete(self) -> None:
        """All of the request is there."""
        self._is_complete = True
        self._set_deadline(None)
        super().on_message_complete()

    def on_response_complete(self) -> None:
        """The request is answered."""
        super().on_response_complete()
        if not self.transport.is_closing():
            self.waiting[self] = None

    def send_400_response(self, msg: str) -> None:
        """Refuse what is no request, or one whose headers are too large."""
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
        self._set_deadline(SECONDS_FOR_HEADERS)

    def _set_deadline(self, seconds: float | None) -> None:
        if self._deadline is not None:
            self._deadline.cancel()
        self._deadline = None if seconds is None else self.loop.call_later(seconds, self.transport.abort)

    def _make_room(self) -> None:
        oldest = next(iter(self.waiting))
        self.waiting.pop(oldest)
        oldest.transport.abort()
        now = time.monotonic()
        if now - BoundedHttp._warned_at > SECONDS_BETWEEN_WARNINGS:
            BoundedHttp._warned_at = now
            log.warning("http.connections_full", connections=len(self.connections), most=max_connections())
