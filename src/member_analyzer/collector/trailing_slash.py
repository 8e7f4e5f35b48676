"""Serves a path with a trailing slash like the path without it."""

from starlette.types import ASGIApp, Receive, Scope, Send


class TrailingSlash:
    """ASGI middleware that removes the trailing slash of a path, without a redirect."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http" and scope["path"] != "/" and scope["path"].endswith("/"):
            scope = {**scope, "path": scope["path"][:-1], "raw_path": scope["raw_path"].removesuffix(b"/")}
        await self._app(scope, receive, send)
