"""The web program: the user API over HTTP."""

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
    """Make the web program, with every nationality read."""
    for code in CODES:
        load_nationality(code)
    # One page at a time: two at once would take as long together, and twice the memory.
    turn = asyncio.Semaphore(1)

    async def answer_users(request: Request) -> Response:
        query = parse_query(request.query_params)
        async with turn:
            # In a thread, so that the health check answers meanwhile.
            return _make_response(await run_in_threadpool(_write_page, query))

    return Starlette(
        routes=[
            *(Route(path, answer_users) for path in ("/api", "/api/", "/api/1.4", "/api/1.4/")),
            Route("/healthz", _answer_health),
        ],
        exception_handlers={Exception: _answer_error, HTTPException: _answer_error, InvalidQueryError: _answer_error},
    )


def _write_page(query: Query) -> bytes:
    return orjson.dumps(make_page(query, datetime.now(UTC).date()), option=orjson.OPT_INDENT_2 if query.pretty else 0)


async def _answer_health(request: Request) -> Response:
    return _make_response(b'{"status":"ok"}')


async def _answer_error(request: Request, error: Exception) -> Response:
    match error:
        case InvalidQueryError():
            status, message = HTTPStatus.BAD_REQUEST.value, str(error)
        case HTTPException():
            status, message = error.status_code, error.detail
        case _:
            status, message = HTTPStatus.INTERNAL_SERVER_ERROR.value, "the page could not be made; the log says why"
    return _make_response(orjson.dumps({"error": message}), status)


def _make_response(content: bytes, status: int = HTTPStatus.OK) -> Response:
    return Response(content, status, media_type="application/json; charset=utf-8")
