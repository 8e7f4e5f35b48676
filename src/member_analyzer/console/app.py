"""The console's web application: routes, authorization and request parameters."""

import difflib
import html
import json
import secrets
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import asdict
from datetime import UTC, date, datetime
from http import HTTPStatus
from pathlib import Path
from typing import cast, get_args
from urllib.parse import parse_qs, quote

import structlog
from anyio import fail_after, to_thread
from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.middleware import Middleware
from starlette.middleware.gzip import GZipMiddleware
from starlette.middleware.sessions import SessionMiddleware
from starlette.requests import Request
from starlette.responses import FileResponse, HTMLResponse, RedirectResponse, Response
from starlette.routing import Mount, Route
from starlette.staticfiles import StaticFiles
from starlette.types import ASGIApp

from member_analyzer.console.backends import Backends, Settings, describe_entry
from member_analyzer.console.distribution import describe_distribution, write_csv
from member_analyzer.console.events import stream_events
from member_analyzer.console.graph_files import find_graph, list_days
from member_analyzer.console.headers import SecurityHeaders
from member_analyzer.console.login import (
    REPLAY,
    Authenticator,
    Session,
    find_session,
    is_same_secret,
    require_csrf_token,
    require_right,
    require_session,
    safe_redirect_target,
    session_cookie,
    signing_key,
)
from member_analyzer.console.messages import MAX_MESSAGES, MessageQuery, UnknownPartitionError
from member_analyzer.console.rejected_index import StateFilter
from member_analyzer.console.status_store import to_json
from member_analyzer.http.problem import ProblemError, answer_problem
from member_analyzer.streams.definition import Dimension, StreamDefinition

log = structlog.get_logger(__name__)

STATIC = Path(__file__).with_name("static")
MAX_BODY_BYTES = 256 * 1024
BODY_TIMEOUT = 30
MAX_BUCKETS, DEFAULT_BUCKETS = 10_000, 100
MAX_REJECTED, DEFAULT_REJECTED = 1_000, 100
# Limits of Kafka's protocol.
MAX_OFFSET, MAX_PARTITION = 2**63 - 1, 2**31 - 1
MAX_SCHEMA_VERSION = 2**31 - 1
SHUTDOWN_TIMEOUT = 3

Handler = Callable[[Request, Session], Awaitable[Response]]


def create_app(settings: Settings, definition: StreamDefinition) -> ASGIApp:
    """The application for one stream; the monitors run while it runs."""
    console = Console(Backends(settings, definition))

    @asynccontextmanager
    async def run_monitors(_: Starlette) -> AsyncIterator[None]:
        console.backends.watchdog.start()
        try:
            yield
        finally:
            await to_thread.run_sync(console.backends.watchdog.stop, SHUTDOWN_TIMEOUT)

    app = Starlette(
        routes=console.routes,
        lifespan=run_monitors,
        middleware=[
            Middleware(GZipMiddleware, minimum_size=1024),
            Middleware(
                SessionMiddleware,
                secret_key=signing_key(settings.console),
                session_cookie=session_cookie(settings.console),
                max_age=int(settings.console.session_hours * 3600),
                same_site="strict",
                https_only=settings.console.secure_cookies,
            ),
        ],
        exception_handlers={
            ProblemError: answer_problem,
            HTTPException: _handle_http_exception,
            Exception: _handle_exception,
        },
    )
    # A redirect would contain the scheme that the application sees, which is http behind a proxy.
    app.router.redirect_slashes = False
    return SecurityHeaders(app)


class Console:
    """The request handlers."""

    def __init__(self, backends: Backends) -> None:
        self.backends = backends
        self._definition = backends.definition
        self._settings = backends.settings.console
        self._authenticator = Authenticator(self._settings)
        self._login_cookie = f"{session_cookie(self._settings)}-login"

    @property
    def routes(self) -> list[Route | Mount]:
        return [
            Route("/healthz", self.get_health),
            Route("/login", self.get_login),
            Route("/login", self.post_login, methods=["POST"]),
            Mount("/static", StaticFiles(directory=STATIC, check_dir=False)),
            Route("/", self.get_page),
            Route("/logout", authenticated(self.post_logout), methods=["POST"]),
            Route("/api/session", authenticated(self.get_session)),
            Route("/api/events", authenticated(self.get_events)),
            Route("/api/days", authenticated(self.get_days)),
            Route("/api/analysis/{table:str}.csv", authenticated(self.get_csv)),
            Route("/api/analysis/{table:str}", authenticated(self.get_analysis)),
            Route("/api/messages", authenticated(self.get_messages)),
            Route("/api/registry/{subject:str}/diff", authenticated(self.get_schema_diff)),
            Route("/api/registry/{subject:str}/{version:int}", authenticated(self.get_schema)),
            Route("/api/rejected", authenticated(self.get_rejected)),
            Route("/api/rejected/{origin:str}", authenticated(self.get_rejected_record)),
            Route("/api/replays", authenticated(self.post_replay), methods=["POST"]),
            Route("/api/graphs", authenticated(self.get_graphs)),
            Route("/graphs/{day:str}/{file:str}", authenticated(self.get_graph)),
        ]

    async def get_health(self, request: Request) -> Response:
        """Liveness, independent of the servers behind the console."""
        return json_response({"status": "ok"})

    async def get_login(self, request: Request) -> Response:
        if find_session(request):
            target = safe_redirect_target(request.query_params.get("next", "/"))
            return RedirectResponse(target, HTTPStatus.SEE_OTHER)
        return self._login_form("", HTTPStatus.OK)

    async def post_login(self, request: Request) -> Response:
        form = parse_qs((await read_body(request)).decode(errors="replace"))
        token, login, password = (form.get(name, [""])[0] for name in ("token", "login", "password"))
        address = request.client.host if request.client else ""
        if wait := self._authenticator.retry_after(address):
            log.warning("console.login_rate_limited", seconds=wait)
            page = self._login_form(
                f"Too many failed logins. Try again in {wait} seconds.", HTTPStatus.TOO_MANY_REQUESTS
            )
            page.headers["Retry-After"] = str(wait)
            return page
        if not token or not is_same_secret(token, request.cookies.get(self._login_cookie, "")):
            return self._login_form("The form has expired. Try again.", HTTPStatus.FORBIDDEN)
        session = self._authenticator.authenticate(login, password, address)
        if session is None:
            log.warning("console.login_failed")
            return self._login_form("Wrong login or password.", HTTPStatus.UNAUTHORIZED)
        request.session.clear()
        request.session.update(session)
        log.info("console.logged_in", login=login)
        target = safe_redirect_target(request.query_params.get("next", "/"))
        response = RedirectResponse(target, HTTPStatus.SEE_OTHER)
        response.delete_cookie(self._login_cookie, path="/login")
        return response

    async def post_logout(self, request: Request, session: Session) -> Response:
        require_csrf_token(request, session)
        request.session.clear()
        return Response(status_code=HTTPStatus.NO_CONTENT)

    async def get_page(self, request: Request) -> Response:
        if find_session(request) is None:
            target = request.url.path + (f"?{request.url.query}" if request.url.query else "")
            return RedirectResponse(f"/login?next={quote(target)}", HTTPStatus.SEE_OTHER)
        return FileResponse(STATIC / "index.html")

    async def get_session(self, request: Request, session: Session) -> Response:
        return json_response(session.document)

    async def get_events(self, request: Request, session: Session) -> Response:
        return stream_events(self.backends.store, session.expires_at)

    async def get_days(self, request: Request, session: Session) -> Response:
        return json_response({"days": await self.backends.read_days()})

    async def get_analysis(self, request: Request, session: Session) -> Response:
        dimension = dimension_parameter(request, self._definition)
        limit = integer_parameter(request, "limit", 1, MAX_BUCKETS) or DEFAULT_BUCKETS
        day, distribution = await self.backends.read_distribution(dimension.table, day_parameter(request))
        return json_response(describe_distribution(dimension, day.isoformat(), distribution, limit))

    async def get_csv(self, request: Request, session: Session) -> Response:
        dimension = dimension_parameter(request, self._definition)
        day, distribution = await self.backends.read_distribution(dimension.table, day_parameter(request))
        text = await to_thread.run_sync(write_csv, dimension, distribution)
        disposition = {"Content-Disposition": f'attachment; filename="{dimension.table}_{day}.csv"'}
        return Response(text, media_type="text/csv; charset=utf-8", headers=disposition)

    async def get_messages(self, request: Request, session: Session) -> Response:
        query = message_query(request, self._definition)
        try:
            return json_response(await self.backends.read_messages(query, masked=session.is_masked))
        except UnknownPartitionError as error:
            raise bad_request(str(error)) from error

    async def get_schema(self, request: Request, session: Session) -> Response:
        subject, version = request.path_params["subject"], request.path_params["version"]
        schema_id, schema = await self.backends.read_schema(subject, version)
        return json_response({"subject": subject, "version": version, "id": schema_id, "schema": format_schema(schema)})

    async def get_schema_diff(self, request: Request, session: Session) -> Response:
        subject = request.path_params["subject"]
        old, new = [integer_parameter(request, name, 1, MAX_SCHEMA_VERSION) for name in ("from", "to")]
        if old is None or new is None:
            raise bad_request("from and to are required, for example from=1&to=2.")
        before, after = [format_schema((await self.backends.read_schema(subject, one))[1]) for one in (old, new)]
        return json_response({"from": old, "to": new, "lines": compare_lines(before, after)})

    async def get_rejected(self, request: Request, session: Session) -> Response:
        """The newest rejected records."""
        state = request.query_params.get("state") or "waiting"
        if state not in get_args(StateFilter):
            raise bad_request(f"state must be one of: {', '.join(get_args(StateFilter))}.")
        limit = integer_parameter(request, "limit", 1, MAX_REJECTED) or DEFAULT_REJECTED
        reason = request.query_params.get("reason") or None
        total, entries = await to_thread.run_sync(self.backends.list_rejected, cast(StateFilter, state), reason, limit)
        return json_response({"total": total, "records": [describe_entry(entry) for entry in entries]})

    async def get_rejected_record(self, request: Request, session: Session) -> Response:
        origin = request.path_params["origin"]
        return json_response(await self.backends.read_rejected(origin, masked=session.is_masked))

    async def post_replay(self, request: Request, session: Session) -> Response:
        require_right(session, REPLAY)
        require_csrf_token(request, session)
        reason, origins = parse_replay_request(await read_body(request))
        if reason is not None and not await to_thread.run_sync(self.backends.is_reason, reason):
            raise bad_request("No record was rejected for this reason; /api/rejected lists the records.")
        replayed = await self.backends.replay(reason, origins)
        log.info("console.replayed", login=session.login, reason=reason, records=len(origins), **asdict(replayed))
        return json_response(asdict(replayed))

    async def get_graphs(self, request: Request, session: Session) -> Response:
        """The days that have graphs, with their files."""
        return json_response({"days": await to_thread.run_sync(list_days, self.backends.settings.graphs.directory)})

    async def get_graph(self, request: Request, session: Session) -> Response:
        directory, day, file = self.backends.settings.graphs.directory, *request.path_params.values()
        path = await to_thread.run_sync(find_graph, directory, day, file)
        if path is None:
            raise ProblemError(HTTPStatus.NOT_FOUND, "There is no such graph; /api/graphs lists all graphs.")
        return FileResponse(path, media_type="image/png")

    def _login_form(self, message: str, status: HTTPStatus) -> Response:
        token = secrets.token_urlsafe()
        page = (STATIC / "login.html").read_text(encoding="utf-8")
        page = page.replace("{{token}}", token).replace("{{message}}", html.escape(message))
        response = HTMLResponse(page, status)
        response.set_cookie(
            self._login_cookie,
            token,
            path="/login",
            httponly=True,
            samesite="strict",
            secure=self._settings.secure_cookies,
        )
        return response


def authenticated(handler: Handler) -> Callable[[Request], Awaitable[Response]]:
    """Wrap a handler that requires a session."""

    async def handle(request: Request) -> Response:
        return await handler(request, require_session(request))

    return handle


def json_response(document: object) -> Response:
    return Response(to_json(document), media_type="application/json")


def bad_request(detail: str) -> ProblemError:
    return ProblemError(HTTPStatus.BAD_REQUEST, detail)


def dimension_parameter(request: Request, definition: StreamDefinition) -> Dimension:
    """The dimension of the table in the path. Raises ProblemError 404."""
    try:
        return definition.dimension_of(str(request.path_params["table"]))
    except LookupError as error:
        message = f"Unknown table; the tables are: {', '.join(definition.tables)}."
        raise ProblemError(HTTPStatus.NOT_FOUND, message) from error


def integer_parameter(request: Request, name: str, minimum: int, maximum: int) -> int | None:
    """An optional integer parameter. Raises ProblemError 400."""
    text = request.query_params.get(name)
    if not text:
        return None
    # The length is limited because int() raises ValueError for thousands of digits.
    is_integer = text.isascii() and text.isdigit() and len(text) <= len(str(maximum))
    if not is_integer or not minimum <= int(text) <= maximum:
        raise bad_request(f"{name} must be an integer from {minimum} to {maximum}.")
    return int(text)


def day_parameter(request: Request) -> date | None:
    """The optional parameter `date`. Raises ProblemError 400."""
    text = request.query_params.get("date")
    if not text:
        return None
    try:
        return date.fromisoformat(text)
    except ValueError as error:
        raise bad_request("date must be a date such as 2026-11-21.") from error


def time_parameter(request: Request) -> datetime | None:
    """The optional parameter `time`, in UTC if it has no offset. Raises ProblemError 400."""
    text = request.query_params.get("time")
    if not text:
        return None
    try:
        time = datetime.fromisoformat(text)
        time = time.replace(tzinfo=UTC) if time.tzinfo is None else time.astimezone(UTC)
    except (ValueError, OverflowError) as error:
        raise bad_request("time must be a timestamp such as 2026-11-21T17:30:00Z.") from error
    if not 1970 <= time.year <= 9998:
        raise bad_request("time must not be before 1970.")
    return time


def message_query(request: Request, definition: StreamDefinition) -> MessageQuery:
    """The query for messages in the parameters. Raises ProblemError 400."""
    topics = {topic.name: topic for topic in (definition.topic, definition.dead_letter_topic)}
    topic = topics.get(request.query_params.get("topic", ""))
    if topic is None:
        raise bad_request(f"topic must be one of: {', '.join(topics)}.")
    partition = integer_parameter(request, "partition", 0, MAX_PARTITION)
    offset = integer_parameter(request, "offset", 0, MAX_OFFSET)
    time = time_parameter(request)
    if offset is not None and partition is None:
        raise bad_request("offset requires partition.")
    if offset is not None and time is not None:
        raise bad_request("offset and time cannot be combined.")
    limit = integer_parameter(request, "limit", 1, MAX_MESSAGES)
    return MessageQuery(topic, partition, offset, time, limit or MessageQuery.limit)


async def read_body(request: Request) -> bytes:
    """The request body. Raises ProblemError 408 or 413."""
    body = bytearray()
    try:
        with fail_after(BODY_TIMEOUT):
            async for part in request.stream():
                body += part
                if len(body) > MAX_BODY_BYTES:
                    raise ProblemError(
                        HTTPStatus.REQUEST_ENTITY_TOO_LARGE, f"The body is limited to {MAX_BODY_BYTES} bytes."
                    )
    except TimeoutError:
        raise ProblemError(
            HTTPStatus.REQUEST_TIMEOUT,
            f"The body was not received within {BODY_TIMEOUT} seconds.",
            headers={"Connection": "close"},
        ) from None
    return bytes(body)


def parse_replay_request(body: bytes) -> tuple[str | None, list[str]]:
    """The records to replay as (reason, origins), both empty for all. Raises ProblemError 400."""
    invalid = bad_request('Send {"origins": ["users:0:1"]}, {"reason": "bad_date"} or {"all": true}.')
    try:
        document = json.loads(body)
    except (ValueError, RecursionError) as error:
        raise invalid from error
    match document:
        case {"origins": [_, *_] as origins, **rest} if not rest and all(isinstance(one, str) for one in origins):
            return None, cast(list[str], origins)
        case {"reason": str(reason), **rest} if not rest:
            return reason, []
        case {"all": True, **rest} if not rest:
            return None, []
        case _:
            raise invalid


def format_schema(schema: str) -> str:
    """The schema, indented if it is JSON."""
    try:
        return json.dumps(json.loads(schema), indent=2, ensure_ascii=False)
    except ValueError:
        return schema


def compare_lines(before: str, after: str) -> list[dict[str, str]]:
    """A line diff of two texts."""
    kinds = {"  ": "same", "- ": "removed", "+ ": "added"}
    compared = difflib.ndiff(before.splitlines(), after.splitlines())
    return [{"kind": kinds[line[:2]], "text": line[2:]} for line in compared if line[:2] in kinds]


async def _handle_http_exception(request: Request, error: Exception) -> Response:
    if not isinstance(error, HTTPException):
        raise TypeError(f"Not an HTTPException: {type(error).__name__}.")
    return ProblemError(HTTPStatus(error.status_code), error.detail, headers=error.headers).response


async def _handle_exception(request: Request, error: Exception) -> Response:
    return ProblemError(HTTPStatus.INTERNAL_SERVER_ERROR, "Internal error; see the console's log.").response
