"""Cross-origin requests (CORS) of the pages of sources."""

from collections.abc import Callable

from starlette.middleware.cors import CORSMiddleware
from starlette.types import ASGIApp, Receive, Scope, Send

MAX_AGE_SECONDS = 7200


class CrossOrigin:
    """ASGI middleware that lets pages of any origin send requests to some paths, and read the responses.

    A preflight has no write key, and a page whose request is refused must be able to read why: otherwise its SDK
    repeats the request. So the route checks the origin against the source. Cookies play no part in that. `applies` is
    whether pages may call a path.
    """

    def __init__(self, app: ASGIApp, applies: Callable[[str], bool]) -> None:
        self._app = app
        self._applies = applies
        self._open = CORSMiddleware(
            app,
            allow_origin_regex=".*",
            allow_methods=("GET", "POST"),
            # SDKs add headers of their own.
            allow_headers=("*",),
            allow_credentials=True,
            expose_headers=("Retry-After", "X-Request-ID"),
            max_age=MAX_AGE_SECONDS,
        )

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        is_page = scope["type"] == "http" and self._applies(scope["path"])
        await (self._open if is_page else self._app)(scope, receive, send)
