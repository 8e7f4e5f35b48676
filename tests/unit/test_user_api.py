import json
import threading
import time
from collections.abc import Callable, Iterator
from email.utils import formatdate
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import parse_qs, urlsplit

import pytest

from member_analyzer.settings import UserApiSettings
from member_analyzer.sources.user_api import Page, UserApiError, fetch_pages
from patience import DEADLINE

Response = tuple[int, dict[str, str], bytes]


def users_of(query: dict[str, list[str]]) -> bytes:
    first = (int(query["page"][0]) - 1) * int(query["results"][0])
    return json.dumps({"results": [{"n": first + n} for n in range(int(query["results"][0]))]}).encode()


class UserApi:
    """An HTTP server that returns valid pages, after the responses that a test has queued."""

    def __init__(self) -> None:
        self.requests: list[dict[str, list[str]]] = []
        self.requested_at: list[float] = []
        self.queued: list[Response] = []
        api = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                query = parse_qs(urlsplit(self.path).query)
                api.requests.append(query)
                api.requested_at.append(time.monotonic())
                status, headers, body = api.queued.pop(0) if api.queued else (200, {}, users_of(query))
                self.send_response(status)
                for name, value in ({"Content-Length": str(len(body))} | headers).items():
                    self.send_header(name, value)
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, *_: object) -> None:
                pass

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        # Some tests make the client close its connection.
        self.server.handle_error = lambda *_: None  # type: ignore[method-assign]
        self.url = f"http://127.0.0.1:{self.server.server_port}/api/"

    def settings(self, **changes: float) -> UserApiSettings:
        return UserApiSettings.model_validate({"url": self.url, "attempts": 3, "max_wait": 2, **changes})


@pytest.fixture
def api() -> Iterator[UserApi]:
    running = UserApi()
    thread = threading.Thread(target=running.server.serve_forever, daemon=True)
    thread.start()
    yield running
    running.server.shutdown()
    running.server.server_close()


def fetch(api: UserApi, count: int = 5, page_size: int = 5, **changes: float) -> list[Page]:
    return list(fetch_pages(api.settings(**changes), count=count, page_size=page_size, seed="s"))


def test_pages_are_fetched_until_the_count_is_reached(api: UserApi) -> None:
    pages = fetch(api, count=23, page_size=10)
    assert [user["n"] for page in pages for user in page.users] == list(range(23))
    assert [query["page"] for query in api.requests] == [["1"], ["2"], ["3"]]
    assert {query["results"][0] for query in api.requests} == {"10"}
    assert {query["seed"][0] for query in api.requests} == {"s"}


@pytest.mark.parametrize(
    ("response", "message"),
    [
        ((500, {}, b"oops"), "status 500"),
        ((429, {"Retry-After": "0"}, b""), "status 429"),
        ((503, {"Retry-After": formatdate(usegmt=True)}, b""), "status 503"),
        ((200, {"Content-Type": "text/html"}, b"<html>Maintenance</html>"), "text/html"),
        ((200, {}, b'{"results": [{"n": 0}, {"n"'), "not complete JSON"),
        ((200, {"Content-Length": "4000"}, b'{"results": []}'), "did not respond"),
        ((200, {}, b'{"error": "Uh oh, something has gone wrong."}'), "something has gone wrong"),
        ((200, {}, b'{"results": [{"n": 0}]}'), "1 users instead of 5"),
        ((200, {}, b"[]"), "without a list of results"),
    ],
)
def test_a_failed_page_is_retried(api: UserApi, response: Response, message: str) -> None:
    api.queued = [response]
    assert len(fetch(api)[0].users) == 5
    api.queued = [response] * 3
    with pytest.raises(UserApiError, match=message) as caught:
        fetch(api)
    assert api.url in str(caught.value)
    assert len(api.requests) == 2 + 3


def test_our_parameters_replace_those_of_the_url_and_filters_are_kept(api: UserApi) -> None:
    settings = api.settings()
    settings = settings.model_copy(update={"url": f"{settings.url}?results=1&nat=no,de&page=9&seed=x&noinfo"})
    pages = list(fetch_pages(settings, count=4, page_size=2, seed="s"))
    assert [user["n"] for page in pages for user in page.users] == list(range(4))
    assert [(one["results"], one["page"], one["seed"], one["nat"]) for one in api.requests] == [
        (["2"], [page], ["s"], ["no,de"]) for page in "12"
    ]


def test_a_client_error_is_not_retried(api: UserApi) -> None:
    api.queued = [(404, {}, b"")]
    with pytest.raises(UserApiError, match="status 404"):
        fetch(api)
    assert len(api.requests) == 1


def test_a_retry_waits_for_retry_after(api: UserApi) -> None:
    api.queued = [(429, {"Retry-After": "1"}, b"")]
    fetch(api)
    assert api.requested_at[1] - api.requested_at[0] >= 1


def test_a_retry_after_beyond_the_maximum_fails_immediately(api: UserApi) -> None:
    api.queued = [(429, {"Retry-After": "86400"}, b"")]
    with pytest.raises(UserApiError, match=r"status 429 .* Retry-After 86400 s"):
        fetch(api)
    assert len(api.requests) == 1


def test_pages_before_a_failed_one_are_yielded(api: UserApi) -> None:
    api.queued = [(200, {}, users_of({"page": ["1"], "results": ["5"]})), (404, {}, b"")]
    pages = fetch_pages(api.settings(), count=10, page_size=5, seed="s")
    assert len(next(pages).users) == 5
    with pytest.raises(UserApiError, match="page=2"):
        next(pages)


def test_the_error_for_an_unavailable_api_has_its_url(api: UserApi) -> None:
    api.server.shutdown()
    api.server.server_close()
    with pytest.raises(UserApiError, match="did not respond") as caught:
        fetch(api, attempts=1)
    assert api.url in str(caught.value)


def test_an_api_that_hangs_times_out(api: UserApi) -> None:
    release = threading.Event()
    handler: Callable[..., None] = api.server.RequestHandlerClass.do_GET  # type: ignore[attr-defined]
    api.server.RequestHandlerClass.do_GET = lambda self: (release.wait(DEADLINE), handler(self))  # type: ignore[attr-defined]
    try:
        with pytest.raises(UserApiError, match="did not respond"):
            fetch(api, attempts=1, read_timeout=0.2)
    finally:
        release.set()


@pytest.mark.parametrize(("count", "page_size"), [(0, 5), (5, 0), (5, 5001)])
def test_invalid_sizes_are_rejected(api: UserApi, count: int, page_size: int) -> None:
    with pytest.raises(ValueError, match=r"users|number"):
        fetch(api, count=count, page_size=page_size)
