"""The platform's own servers are reached directly, the user API through the configured proxy."""

import base64
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest
import requests

from member_analyzer.http.sessions import external_session, find_proxy
from member_analyzer.kafka.registry import registry_client
from member_analyzer.local.environment import INHERITED, program_environment
from member_analyzer.local.failure import LocalError
from member_analyzer.local.home import open_home
from member_analyzer.local.http import fetch_json
from member_analyzer.operations.airflow import AirflowClient, AirflowError
from member_analyzer.settings import AirflowSettings, LocalSettings, RegistrySettings, UserApiSettings
from member_analyzer.sources.user_api import fetch_page, open_session

PROXIES = ("http_proxy", "https_proxy", "all_proxy", "HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY")
# Nothing listens on the discard port.
DEAD = "http://127.0.0.1:9"
UNSUPPORTED = "socks5h://127.0.0.1:9"


class Server:
    """An HTTP server that records its requests; as a proxy it gets absolute URLs."""

    def __init__(self) -> None:
        self.requests: list[tuple[str, str | None]] = []
        server = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                server.requests.append((self.path, self.headers["Authorization"]))
                body = b'{"results": [{}], "access_token": "token", "dags": []}'
                if self.path.startswith("/subjects"):
                    body = b"[]"
                self.send_response(200)
                self.send_header("Content-Type", "application/json")
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            def do_POST(self) -> None:
                self.do_GET()

            def log_message(self, *_: object) -> None:
                pass

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self._server.server_port}"
        threading.Thread(target=self._server.serve_forever, daemon=True).start()

    def close(self) -> None:
        self._server.shutdown()
        self._server.server_close()


@pytest.fixture
def server() -> Iterator[Server]:
    server = Server()
    yield server
    server.close()


@pytest.fixture(params=[DEAD, UNSUPPORTED])
def proxied(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in PROXIES:
        monkeypatch.setenv(name, request.param)
    monkeypatch.delenv("no_proxy", raising=False)
    monkeypatch.delenv("NO_PROXY", raising=False)


@pytest.fixture
def netrc(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file = tmp_path / "netrc"
    file.write_text("default login joe password secret\n")
    monkeypatch.setenv("NETRC", str(file))


@pytest.fixture
def without_proxies(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in (*PROXIES, "no_proxy", "NO_PROXY"):
        monkeypatch.delenv(name, raising=False)


@pytest.mark.usefixtures("proxied")
def test_airflow_is_reached_without_a_proxy(server: Server) -> None:
    with AirflowClient.log_in(AirflowSettings(url=server.url, username="x", password="x")):
        assert [path for path, _ in server.requests] == ["/auth/token"]


@pytest.mark.usefixtures("netrc", "without_proxies")
def test_a_netrc_does_not_replace_the_login_of_airflow(server: Server) -> None:
    with AirflowClient.log_in(AirflowSettings(url=server.url, username="x", password="x")) as client:
        with pytest.raises(AirflowError):
            client.wait_for_dags("unknown", seconds=0)
        assert server.requests[-1][1] == "Bearer token"


@pytest.mark.usefixtures("proxied")
def test_the_registry_is_reached_without_a_proxy(server: Server) -> None:
    assert registry_client(RegistrySettings(url=server.url), attempts=1).get_subjects() == []


@pytest.mark.usefixtures("proxied")
def test_readiness_checks_use_no_proxy(server: Server) -> None:
    assert fetch_json(f"{server.url}/healthz")


@pytest.mark.usefixtures("proxied")
def test_a_local_user_api_is_reached_without_a_proxy(server: Server) -> None:
    settings = UserApiSettings(url=f"{server.url}/api/", attempts=1)
    with open_session(settings) as session:
        assert fetch_page(session, settings, number=1, page_size=1, seed="x").users


@pytest.mark.usefixtures("without_proxies", "netrc")
@pytest.mark.parametrize("how", ["setting", "environment"])
def test_an_external_user_api_is_reached_through_the_proxy(
    server: Server, monkeypatch: pytest.MonkeyPatch, how: str
) -> None:
    settings = UserApiSettings(url="http://users.example/api/", attempts=1)
    if how == "setting":
        settings = UserApiSettings(url=settings.url, attempts=1, proxy=server.url)
    else:
        monkeypatch.setenv("http_proxy", server.url)
    with open_session(settings) as session:
        fetch_page(session, settings, number=1, page_size=1, seed="x")
    assert server.requests == [("http://users.example/api/?results=1&page=1&seed=x", None)]


@pytest.mark.usefixtures("without_proxies")
def test_the_login_in_the_user_apis_url_is_sent(server: Server) -> None:
    url = server.url.replace("http://", "http://joe:secret@")
    with external_session(url) as session:
        session.get(url, timeout=5)
    assert server.requests[0][1] == f"Basic {base64.b64encode(b'joe:secret').decode()}"


def test_the_environments_ca_bundle_is_used(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("REQUESTS_CA_BUNDLE", "/etc/ssl/own.pem")
    assert external_session("https://users.example/").verify == "/etc/ssl/own.pem"


@pytest.mark.usefixtures("without_proxies")
@pytest.mark.parametrize(
    ("url", "expected"),
    [
        ("https://users.example/api/", DEAD),
        ("http://127.0.0.1:18000/api/", None),
        ("http://127.8.8.8/", None),
        ("http://[::1]:18000/api/", None),
        ("http://localhost:18000/api/", None),
        ("https://inside.example/api/", None),
    ],
)
def test_find_proxy(monkeypatch: pytest.MonkeyPatch, url: str, expected: str | None) -> None:
    monkeypatch.setenv("ALL_PROXY", DEAD)
    monkeypatch.setenv("no_proxy", "inside.example")
    assert find_proxy(url) == expected


@pytest.mark.usefixtures("without_proxies")
def test_only_airflow_gets_the_proxy_of_an_external_user_api(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    home = open_home(LocalSettings(home=tmp_path / "home", downloads=None))
    monkeypatch.delenv("USER_API_URL", raising=False)
    monkeypatch.setenv("https_proxy", DEAD)
    assert "USER_API_PROXY" not in program_environment("airflow", home)
    monkeypatch.setenv("USER_API_URL", "https://users.example/api/")
    assert program_environment("airflow", home)["USER_API_PROXY"] == DEAD
    assert not {name.lower() for name in INHERITED} & set(PROXIES)


@pytest.mark.usefixtures("without_proxies")
def test_an_unsupported_proxy_scheme_is_rejected_before_the_start(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    home = open_home(LocalSettings(home=tmp_path / "home", downloads=None))
    monkeypatch.setenv("USER_API_URL", "https://users.example/api/")
    monkeypatch.setenv("ALL_PROXY", UNSUPPORTED)
    with pytest.raises(LocalError, match=r"has the scheme socks5h, .* USER_API_PROXY"):
        program_environment("airflow", home)


def test_a_netrc_replaces_the_header_of_an_ordinary_session(server: Server, netrc: None, without_proxies: None) -> None:
    """The premise of the tests above."""
    requests.get(server.url, headers={"Authorization": "Bearer token"}, timeout=5)
    assert server.requests[0][1] != "Bearer token"
