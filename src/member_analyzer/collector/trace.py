"""What is known of each request: its id, one line in the log without personal data, and its measures."""

import re
import time
import traceback
from http import HTTPStatus
from uuid import uuid4

import structlog
from starlette.datastructures import Headers, MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from member_analyzer.collector.measures import Measures
from member_analyzer.http.problem import ProblemError

log = structlog.get_logger(__name__)

REQUEST_ID = re.compile(r"[A-Za-z0-9._-]{1,64}")
METHODS = {"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"}
UNMATCHED = "unmatched"


class Trace:
    """ASGI middleware around everything else; what nobody has foreseen is answered here with status 500."""

    def __init__(self, app: ASGIApp, measures: Measures) -> None:
        self._app = app
        self._measures = measures

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass a request on, and note what became of it."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        began = time.perf_counter()
        request_id = request_id_of(Headers(scope=scope))
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
            # Without its text, which may tell what was posted.
            log.error(
                "request.failed",
                error=type(error).__name__,
                traceback="".join(traceback.format_tb(error.__traceback__)),
            )
            if status:
                raise
            detail = f"The collector failed. Its log tells more of the request {request_id}."
            response = ProblemError(HTTPStatus.INTERNAL_SERVER_ERROR, detail).response
            await response(scope, receive, send_with_id)
        finally:
            seconds = time.perf_counter() - began
            route = getattr(scope.get("route"), "path", UNMATCHED)
            method = scope["method"] if scope["method"] in METHODS else "other"
            self._measures.answered(route, method, status, seconds)
            log.info("request.answered", method=method, route=route, status=status, ms=round(seconds * 1000, 1))


def request_id_of(headers: Headers) -> str:
    """The id that the client gave its request, where it is one; otherwise a random one."""
    given = headers.get("x-request-id", "")
    return given if REQUEST_ID.fullmatch(given) else uuid4().hex
