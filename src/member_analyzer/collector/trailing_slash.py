"""A path with a slash at its end is the same path without it."""

from starlette.types import ASGIApp, Receive, Scope, Send


class TrailingSlash:
    """ASGI middleware that serves paths below a prefix with and without a slash at their end, without a redirect."""

    def __init__(self, app: ASGIApp, prefix: str) -> None:
        self._app = app
        self._prefix = prefix

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass a request on."""
        if scope["type"] == "http" and scope["path"].startswith(self._prefix) and scope["path"].endswith("/"):
            scope = {**scope, "path": scope["path"][:-1], "raw_path": scope["raw_path"].removesuffix(b"/")}
        await self._app(scope, receive, send)
