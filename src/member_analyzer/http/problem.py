"""Problem documents (RFC 9457), the error responses of the web programs."""

from collections.abc import Mapping
from http import HTTPStatus
from typing import Any

import orjson
from starlette.requests import Request
from starlette.responses import Response

MEDIA_TYPE = "application/problem+json"


class ProblemError(Exception):
    """Raised to answer a request with a problem document.

    `detail` says what happened and what to do; `extensions` are additional members of the document.
    """

    def __init__(
        self, status: HTTPStatus, detail: str, *, headers: Mapping[str, str] | None = None, **extensions: Any
    ) -> None:
        super().__init__(detail)
        self.status = status
        self.detail = detail
        self.headers = headers
        self.extensions = extensions

    @property
    def document(self) -> dict[str, Any]:
        """The document as JSON values; its type carries no more than the HTTP status."""
        return {
            "type": "about:blank",
            "title": self.status.phrase,
            "status": self.status.value,
            "detail": self.detail,
            **self.extensions,
        }

    @property
    def response(self) -> Response:
        return Response(orjson.dumps(self.document), self.status, dict(self.headers or {}), media_type=MEDIA_TYPE)


async def answer_problem(request: Request, error: Exception) -> Response:
    """Starlette's exception handler for ProblemError."""
    if not isinstance(error, ProblemError):
        raise TypeError(f"{type(error).__name__} is not a ProblemError.")
    return error.response
