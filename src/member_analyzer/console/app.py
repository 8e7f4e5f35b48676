"""The web program: who may ask for what, and in which form it is answered."""

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

from member_analyzer.analysis.counts import TABLE_NAMES
from member_analyzer.analysis.tables import KEY_COLUMNS
from member_analyzer.console.backends import Backends, Settings, describe_entry
from member_analyzer.console.board import as_json
from member_analyzer.console.distribution import describe_distribution, write_csv
from member_analyzer.console.events import stream_events
from member_analyzer.console.headers import SecurityHeaders
from member_analyzer.console.login import (
    REPLAY,
    Door,
    Session,
    find_session,
    own_address,
    require_right,
    require_session,
    require_token,
    same,
    session_cookie,
    signing_key,
)
from member_analyzer.console.messages import MOST_MESSAGES, NoSuchPartitionError, Window
from member_analyzer.console.pictures import find_picture, list_days
from member_analyzer.console.rejected_index import Selection
from member_analyzer.http.problem import ProblemError, answer_problem
from member_analyzer.kafka.registry import read_version
from member_analyzer.kafka.topics import TOPICS

log = structlog.get_logger(__name__)

STATIC = Path(__file__).with_name("static")
LARGEST_BODY = 256 * 1024
SECONDS_TO_SEND = 30
MOST_BUCKETS, BUCKETS = 10_000, 100
MOST_REJECTED, REJECTED = 1_000, 100
# The largest offset of a topic, and number of a partition.
MOST_OFFSET, MOST_PARTITION = 2**63 - 1, 2**31 - 1
SECONDS_TO_STOP = 3

Handler = Callable[[Request, Session], Awaitable[Response]]


def create_app(settings: Settings) -> ASGIApp:
    """Make the web program; what it watches is watched while it runs."""
    console = Console(Backends(settings))

    @asynccontextmanager
    async def watch(_: Starlette) -> AsyncIterator[None]:
        console.backends.overseer.start()
        try:
            yield
        finally:
            await to_thread.run_sync(console.backends.overseer.stop, SECONDS_TO_STOP)

    app = Starlette(
        routes=console.routes,
        lifespan=watch,
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
            HTTPException: _answer_http_error,
            Exception: _answer_fault,
        },
    )
    # A redirect would name the scheme that the program sees, which behind a proxy is http.
    app.router.redirect_slashes = False
    return SecurityHeaders(app)


class Console:
    """The answers of the console."""

    def __init__(self, backends: Backends) -> None:
        self.backends = backends
        self._settings = backends.settings.console
        self._door = Door(self._settings)
        self._login_cookie = f"{session_cookie(self._settings)}-login"

    @property
    def routes(self) -> list[Route | Mount]:
        """All addresses; but for four of them only with a login."""
        return [
            Route("/healthz", self.answer_health),
            Route("/login", self.show_login),
            Route("/login", self.log_in, methods=["POST"]),
            Mount("/static", StaticFiles(directory=STATIC, check_dir=False)),
            Route("/", self.show_page),
            Route("/logout", logged_in(self.log_out), methods=["POST"]),
            Route("/api/session", logged_in(self.answer_session)),
            Route("/api/events", logged_in(self.answer_events)),
            Route("/api/days", logged_in(self.answer_days)),
            Route("/api/analysis/{table:str}.csv", logged_in(self.answer_csv)),
            Route("/api/analysis/{table:str}", logged_in(self.answer_analysis)),
            Route("/api/messages", logged_in(self.answer_messages)),
            Route("/api/registry/{subject:str}/diff", logged_in(self.answer_difference)),
            Route("/api/registry/{subject:str}/{version:int}", logged_in(self.answer_schema)),
            Route("/api/rejected", logged_in(self.answer_rejected)),
            Route("/api/rejected/{origin:str}", logged_in(self.answer_rejected_record)),
            Route("/api/replays", logged_in(self.replay), methods=["POST"]),
            Route("/api/graphs", logged_in(self.answer_graphs)),
            Route("/graphs/{day:str}/{file:str}", logged_in(self.answer_picture)),
        ]

    async def answer_health(self, request: Request) -> Response:
        """It serves, whatever is behind it."""
        return answer({"status": "ok"})

    async def show_login(self, request: Request) -> Response:
        """The form; whoever is logged in goes on."""
        if find_session(request):
            return RedirectResponse(own_address(request.query_params.get("next", "/")), HTTPStatus.SEE_OTHER)
        return self._login_form("", HTTPStatus.OK)

    async def log_in(self, request: Request) -> Response:
        """Check a form that was sent, and begin a session."""
        form = parse_qs((await read_body(request)).decode(errors="replace"))
        token, login, password = (form.get(name, [""])[0] for name in ("token", "login", "password"))
        address = request.client.host if request.client else ""
        if wait := self._door.seconds_to_wait(address):
            log.warning("console.login_slowed", seconds=wait)
            page = self._login_form(
                f"There were too many failures; try again in {wait} seconds.", HTTPStatus.TOO_MANY_REQUESTS
            )
            page.headers["Retry-After"] = str(wait)
            return page
        if not token or not same(token, request.cookies.get(self._login_cookie, "")):
            return self._login_form("The form was too old; try again.", HTTPStatus.FORBIDDEN)
        session = self._door.open(login, password, address)
        if session is None:
            log.warning("console.login_failed")
            return self._login_form("Login and password do not belong together.", HTTPStatus.UNAUTHORIZED)
        request.session.clear()
        request.session.update(session)
        log.info("console.logged_in", login=login)
        gone = RedirectResponse(own_address(request.query_params.get("next", "/")), HTTPStatus.SEE_OTHER)
        gone.delete_cookie(self._login_cookie, path="/login")
        return gone

    async def log_out(self, request: Request, session: Session) -> Response:
        """End a session."""
        require_token(request, session)
        request.session.clear()
        return Response(status_code=HTTPStatus.NO_CONTENT)

    async def show_page(self, request: Request) -> Response:
        """The application, for those who are logged in."""
        if find_session(request) is None:
            target = request.url.path + (f"?{request.url.query}" if request.url.query else "")
            return RedirectResponse(f"/login?next={quote(target)}", HTTPStatus.SEE_OTHER)
        return FileResponse(STATIC / "index.html")

    async def answer_session(self, request: Request, session: Session) -> Response:
        """Who is logged in."""
        return answer(session.document)

    async def answer_events(self, request: Request, session: Session) -> Response:
        """Everything that changes."""
        return stream_events(self.backends.board, session.ends_at)

    async def answer_days(self, request: Request, session: Session) -> Response:
        """The days of which there is an analysis."""
        return answer({"days": await self.backends.read_days()})

    async def answer_analysis(self, request: Request, session: Session) -> Response:
        """One table of one day."""
        table, limit = path_table(request), query_integer(request, "limit", 1, MOST_BUCKETS) or BUCKETS
        day, distribution = await self.backends.read_distribution(table, query_day(request))
        return answer(describe_distribution(table, day.isoformat(), KEY_COLUMNS[table], distribution, limit))

    async def answer_csv(self, request: Request, session: Session) -> Response:
        """One table of one day, whole, as a file."""
        table = path_table(request)
        day, distribution = await self.backends.read_distribution(table, query_day(request))
        text = await to_thread.run_sync(write_csv, table, KEY_COLUMNS[table], distribution)
        disposition = {"Content-Disposition": f'attachment; filename="{table}_{day}.csv"'}
        return Response(text, media_type="text/csv; charset=utf-8", headers=disposition)

    async def answer_messages(self, request: Request, session: Session) -> Response:
        """A window of a topic."""
        window = query_window(request)
        try:
            return answer(await self.backends.read_messages(window, masked=session.is_masked))
        except NoSuchPartitionError as error:
            raise wrong(str(error)) from error

    async def answer_schema(self, request: Request, session: Session) -> Response:
        """One version of a subject."""
        subject, version = request.path_params["subject"], request.path_params["version"]
        schema_id, schema = await self.backends.ask_registry(read_version, subject, version)
        return answer({"subject": subject, "version": version, "id": schema_id, "schema": format_schema(schema)})

    async def answer_difference(self, request: Request, session: Session) -> Response:
        """What changed from one version of a subject to another."""
        subject = request.path_params["subject"]
        numbers = [query_integer(request, name, 1, MOST_PARTITION) for name in ("from", "to")]
        if None in numbers:
            raise wrong("Say which versions to compare: from=1&to=2.")
        before, after = [
            format_schema((await self.backends.ask_registry(read_version, subject, number))[1]) for number in numbers
        ]
        return answer({"from": numbers[0], "to": numbers[1], "lines": compare_lines(before, after)})

    async def answer_rejected(self, request: Request, session: Session) -> Response:
        """The newest rejected records."""
        selection = request.query_params.get("state") or "waiting"
        if selection not in get_args(Selection):
            raise wrong(f"The state is one of: {', '.join(get_args(Selection))}.")
        limit = query_integer(request, "limit", 1, MOST_REJECTED) or REJECTED
        reason = request.query_params.get("reason") or None
        number, entries = await to_thread.run_sync(self.backends.list_rejected, selection, reason, limit)
        return answer({"of": number, "records": [describe_entry(entry) for entry in entries]})

    async def answer_rejected_record(self, request: Request, session: Session) -> Response:
        """One rejected record as it came."""
        return answer(await self.backends.read_rejected(request.path_params["origin"], masked=session.is_masked))

    async def replay(self, request: Request, session: Session) -> Response:
        """Send rejected records again."""
        require_right(session, REPLAY)
        require_token(request, session)
        reason, origins = read_choice(await read_body(request))
        if reason is not None and not await to_thread.run_sync(self.backends.is_reason, reason):
            raise wrong("No record was rejected for this reason; /api/rejected shows the reasons of some.")
        replayed = await self.backends.replay(reason, origins)
        log.info("console.replayed", login=session.login, reason=reason, records=len(origins), **asdict(replayed))
        return answer(asdict(replayed))

    async def answer_graphs(self, request: Request, session: Session) -> Response:
        """The days of which there are graphs."""
        return answer({"days": await to_thread.run_sync(list_days, self.backends.settings.graphs.directory)})

    async def answer_picture(self, request: Request, session: Session) -> Response:
        """One graph."""
        directory, day, file = self.backends.settings.graphs.directory, *request.path_params.values()
        picture = await to_thread.run_sync(find_picture, directory, day, file)
        if picture is None:
            raise ProblemError(HTTPStatus.NOT_FOUND, "There is no such graph; /api/graphs has all of them.")
        return FileResponse(picture, media_type="image/png")

    def _login_form(self, message: str, status: HTTPStatus) -> Response:
        token = secrets.token_urlsafe()
        page = (STATIC / "login.html").read_text(encoding="utf-8")
        page = page.replace("{{token}}", token).replace("{{message}}", html.escape(message))
        form = HTMLResponse(page, status)
        form.set_cookie(
            self._login_cookie,
            token,
            path="/login",
            httponly=True,
            samesite="strict",
            secure=self._settings.secure_cookies,
        )
        return form


def logged_in(handler: Handler) -> Callable[[Request], Awaitable[Response]]:
    """A handler that only answers those who are logged in."""

    async def handle(request: Request) -> Response:
        return await handler(request, require_session(request))

    return handle


def answer(document: object) -> Response:
    """A document as JSON."""
    return Response(as_json(document), media_type="application/json")


def wrong(detail: str) -> ProblemError:
    """The answer to parameters that make no sense."""
    return ProblemError(HTTPStatus.BAD_REQUEST, detail)


def path_table(request: Request) -> str:
    """The table that an address names. Raises ProblemError 404."""
    table = str(request.path_params["table"])
    if table not in TABLE_NAMES:
        raise ProblemError(HTTPStatus.NOT_FOUND, f"The tables are: {', '.join(TABLE_NAMES)}.")
    return table


def query_integer(request: Request, name: str, least: int, most: int) -> int | None:
    """A parameter that is a whole number, if it is given. Raises ProblemError 400."""
    text = request.query_params.get(name)
    if not text:
        return None
    # Not longer than the largest: Python refuses to read thousands of digits.
    if not text.isascii() or not text.isdigit() or len(text) > len(str(most)) or not least <= int(text) <= most:
        raise wrong(f"{name} is a whole number from {least} to {most}.")
    return int(text)


def query_day(request: Request) -> date | None:
    """The parameter `date`, if it is given. Raises ProblemError 400."""
    text = request.query_params.get("date")
    if not text:
        return None
    try:
        return date.fromisoformat(text)
    except ValueError as error:
        raise wrong("date is a day such as 2026-11-21.") from error


def query_moment(request: Request) -> datetime | None:
    """The parameter `time`, in UTC unless it says otherwise, if it is given. Raises ProblemError 400."""
    text = request.query_params.get("time")
    if not text:
        return None
    try:
        moment = datetime.fromisoformat(text)
        moment = moment.replace(tzinfo=UTC) if moment.tzinfo is None else moment.astimezone(UTC)
    except (ValueError, OverflowError) as error:
        raise wrong("time is a moment such as 2026-11-21T17:30:00Z.") from error
    if not 1970 <= moment.year <= 9998:
        raise wrong("time is a moment from 1970 on.")
    return moment


def query_window(request: Request) -> Window:
    """The messages that a request asks for. Raises ProblemError 400."""
    topics = {topic.name: topic for topic in TOPICS}
    topic = topics.get(request.query_params.get("topic", ""))
    if topic is None:
        raise wrong(f"topic is one of: {', '.join(topics)}.")
    partition = query_integer(request, "partition", 0, MOST_PARTITION)
    offset = query_integer(request, "offset", 0, MOST_OFFSET)
    moment = query_moment(request)
    if offset is not None and partition is None:
        raise wrong("An offset is that of one partition: say which.")
    if offset is not None and moment is not None:
        raise wrong("Ask either from an offset or from a time on.")
    limit = query_integer(request, "limit", 1, MOST_MESSAGES)
    return Window(topic, partition, offset, moment, limit or Window.limit)


async def read_body(request: Request) -> bytes:
    """What was sent. Raises ProblemError: 408, 413."""
    body = bytearray()
    try:
        with fail_after(SECONDS_TO_SEND):
            async for part in request.stream():
                body += part
                if len(body) > LARGEST_BODY:
                    raise ProblemError(HTTPStatus.REQUEST_ENTITY_TOO_LARGE, f"At most {LARGEST_BODY} bytes are taken.")
    except TimeoutError:
        raise ProblemError(
            HTTPStatus.REQUEST_TIMEOUT,
            f"The body did not come within {SECONDS_TO_SEND} seconds.",
            headers={"Connection": "close"},
        ) from None
    return bytes(body)


def read_choice(body: bytes) -> tuple[str | None, list[str]]:
    """What is to be sent again, as (reason, origins); everything where both are empty. Raises ProblemError 400."""
    expected = wrong(
        'Say what to send again: {"origins": ["users:0:1"]}, {"reason": "bad_date"} or {"everything": true}.'
    )
    try:
        choice = json.loads(body)
    except (ValueError, RecursionError) as error:
        raise expected from error
    match choice:
        case {"origins": [_, *_] as origins, **rest} if not rest and all(isinstance(one, str) for one in origins):
            return None, cast(list[str], origins)
        case {"reason": str(reason), **rest} if not rest:
            return reason, []
        case {"everything": True, **rest} if not rest:
            return None, []
        case _:
            raise expected


def format_schema(schema: str) -> str:
    """A schema's text, indented; as it is where it is no JSON."""
    try:
        return json.dumps(json.loads(schema), indent=2, ensure_ascii=False)
    except ValueError:
        return schema


def compare_lines(before: str, after: str) -> list[dict[str, str]]:
    """The lines of two texts as one: those that both have, those that are gone, those that are new."""
    kinds = {"  ": "same", "- ": "removed", "+ ": "added"}
    compared = difflib.ndiff(before.splitlines(), after.splitlines())
    return [{"kind": kinds[line[:2]], "text": line[2:]} for line in compared if line[:2] in kinds]


async def _answer_http_error(request: Request, error: Exception) -> Response:
    if not isinstance(error, HTTPException):
        raise TypeError(f"{type(error).__name__} is no HTTPException.")
    return ProblemError(HTTPStatus(error.status_code), error.detail, headers=error.headers).response


async def _answer_fault(request: Request, error: Exception) -> Response:
    return ProblemError(HTTPStatus.INTERNAL_SERVER_ERROR, "The console failed to answer; its log says why.").response
