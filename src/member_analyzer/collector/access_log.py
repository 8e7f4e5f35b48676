"""Request ids, access log lines without personal data, and request metrics."""

import re
import time
import traceback
from http import HTTPStatus
from uuid import uuid4

import structlog
from starlette.datastructures import Headers, MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from member_analyzer.collector.metrics import Metrics
from member_analyzer.http.problem import ProblemError

log = structlog.get_logger(__name__)

REQUEST_ID = re.compile(r"[A-Za-z0-9._-]{1,64}")
METHODS = {"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"}
UNMATCHED = "unmatched"


class AccessLog:
    """The outermost ASGI middleware; it answers unexpected errors with status 500."""

    def __init__(self, app: ASGIApp, metrics: Metrics) -> None:
        self._app = app
        self._metrics = metrics

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        began = time.perf_counter()
        request_id = choose_request_id(Headers(scope=scope))
        status = 0

        async def send_with_id(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
                MutableHeaders(scope=message)["X-Request-ID"] = request_id
            await send(message)

        structlog.contextvars.clear_contextvars()
        structlog.contextvars.bind_contextvars(request_id=request_id)
        try:
            await self._app(scope, receive, send_with_id)
        except Exception as error:
            # Without its message, which may contain posted data.
            log.error(
                "request.failed",
                error=type(error).__name__,
                traceback="".join(traceback.format_tb(error.__traceback__)),
            )
            if status:
                raise
            detail = f"Internal error. The collector's log has details of request {request_id}."
            response = ProblemError(HTTPStatus.INTERNAL_SERVER_ERROR, detail).response
            await response(scope, receive, send_with_id)
        finally:
            seconds = time.perf_counter() - began
            route = getattr(scope.get("route"), "path", UNMATCHED)
            method = scope["method"] if scope["method"] in METHODS else "other"
            self._metrics.count_request(route, method, status, seconds)
            log.info("request.completed", method=method, route=route, status=status, ms=round(seconds * 1000, 1))


def choose_request_id(headers: Headers) -> str:
    """The request id of the client if it is valid, otherwise a random one."""
    given = headers.get("x-request-id", "")
    return given if REQUEST_ID.fullmatch(given) else uuid4().hex
