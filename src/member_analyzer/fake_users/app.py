"""The user API over HTTP."""

import asyncio
from datetime import UTC, datetime
from http import HTTPStatus

import orjson
from starlette.applications import Starlette
from starlette.concurrency import run_in_threadpool
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from member_analyzer.fake_users.nationality import CODES, load_nationality
from member_analyzer.fake_users.page import make_page
from member_analyzer.fake_users.query import InvalidQueryError, Query, parse_query


def create_app() -> Starlette:
    """Create the ASGI application and load every nationality."""
    for code in CODES:
        load_nationality(code)
    # One page at a time: generation is CPU-bound, so two at once would only double the memory.
    page_lock = asyncio.Lock()

    async def get_users(request: Request) -> Response:
        query = parse_query(request.query_params)
        async with page_lock:
            # In a thread, so that the health check still responds.
            return _make_response(await run_in_threadpool(_render_page, query))

    return Starlette(
        routes=[
            *(Route(path, get_users) for path in ("/api", "/api/", "/api/1.4", "/api/1.4/")),
            Route("/healthz", _get_health),
        ],
        exception_handlers={Exception: _handle_error, HTTPException: _handle_error, InvalidQueryError: _handle_error},
    )


def _render_page(query: Query) -> bytes:
    return orjson.dumps(make_page(query, datetime.now(UTC).date()), option=orjson.OPT_INDENT_2 if query.pretty else 0)


async def _get_health(request: Request) -> Response:
    return _make_response(b'{"status":"ok"}')


async def _handle_error(request: Request, error: Exception) -> Response:
    match error:
        case InvalidQueryError():
            status, message = HTTPStatus.BAD_REQUEST.value, str(error)
        case HTTPException():
            status, message = error.status_code, error.detail
        case _:
            status, message = HTTPStatus.INTERNAL_SERVER_ERROR.value, "internal error, see the log"
    return _make_response(orjson.dumps({"error": message}), status)


def _make_response(content: bytes, status: int = HTTPStatus.OK) -> Response:
    return Response(content, status, media_type="application/json; charset=utf-8")
