"""The collector, without the servers behind it, against clients that send too much, too slowly or nothing at all."""

import gzip
import os
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import ExitStack, closing, suppress

import psutil
import pytest
import requests

from member_analyzer.collector.body import MAX_BODY_BYTES, decompress
from member_analyzer.http.server import HEADER_TIMEOUT_SECONDS, MAX_CONNECTIONS
from patience import answers, holds

MAX_ADDITIONAL_MEGABYTES = 200
HEAD = b"POST /v1/users HTTP/1.1\r\nHost: collector\r\n"
# None of these servers exists.
ENVIRONMENT = {
    **{"LANDING_PORT": "1", "LANDING_PASSWORD": "none", "COLLECTOR_PUBLISH": "false"},
    **{"KAFKA_USERNAME": "none", "KAFKA_PASSWORD": "none", "CASSANDRA_USERNAME": "none", "CASSANDRA_PASSWORD": "none"},
}


class Collector:
    """A collector process and a client of it."""

    def __init__(self, port: int, process: subprocess.Popen[bytes]) -> None:
        self.port = port
        self.url = f"http://127.0.0.1:{port}"
        self._process = psutil.Process(process.pid)

    @property
    def megabytes(self) -> float:
        return float(self._process.memory_info().rss / 2**20)

    def connect(self) -> socket.socket:
        return socket.create_connection(("127.0.0.1", self.port), timeout=60)

    def is_serving(self) -> bool:
        return requests.get(f"{self.url}/healthz", timeout=60).status_code == 200


@pytest.fixture(scope="module")
def collector(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Collector]:
    with closing(socket.create_server(("127.0.0.1", 0))) as free:
        port = free.getsockname()[1]
    log = tmp_path_factory.mktemp("collector") / "log"
    with log.open("wb") as output:
        process = subprocess.Popen(
            [sys.executable, "-m", "member_analyzer.collector", "--port", str(port)],
            env={"PATH": os.environ["PATH"], **ENVIRONMENT},
            stderr=output,
        )
    try:
        assert holds(lambda: answers(f"http://127.0.0.1:{port}/healthz"), 120), log.read_text()
        yield Collector(port, process)
    finally:
        process.terminate()
        process.wait(60)


@pytest.fixture
def connections() -> Iterator[ExitStack]:
    with ExitStack() as stack:
        yield stack


def is_closed(connection: socket.socket) -> bool:
    """Whether the server closes the connection within the socket's timeout."""
    with suppress(ConnectionError):
        while connection.recv(65536):
            pass
    return True


@pytest.mark.parametrize("path", ["/v1/users", "/v1/users/"])
def test_a_path_with_a_trailing_slash_is_served_without_a_redirect(collector: Collector, path: str) -> None:
    answer = requests.post(f"{collector.url}{path}", json=[], allow_redirects=False, timeout=60)
    assert answer.status_code in (401, 503)
    assert "location" not in answer.headers


@pytest.mark.parametrize("beginning", [b"", b"\r\n", HEAD], ids=["nothing", "an empty line", "half of the headers"])
def test_other_clients_are_served_while_1100_requests_are_half_open(
    collector: Collector, connections: ExitStack, beginning: bytes
) -> None:
    half_open = [connections.enter_context(collector.connect()) for _ in range(MAX_CONNECTIONS + 100)]
    for connection in half_open:
        # The oldest ones have been closed already.
        with suppress(ConnectionError):
            connection.sendall(beginning)
    assert collector.is_serving()
    assert all(is_closed(connection) for connection in half_open)


def test_a_request_with_incomplete_headers_times_out(collector: Collector, connections: ExitStack) -> None:
    connection = connections.enter_context(collector.connect())
    connection.sendall(b"GET /healthz HTTP/1.1\r\nHost: collector\r\n\r\n")
    assert connection.recv(65536).startswith(b"HTTP/1.1 200")
    connection.sendall(HEAD)
    connection.settimeout(HEADER_TIMEOUT_SECONDS + 60)
    assert is_closed(connection)


@pytest.mark.parametrize(
    "line", [b"X-Large: " + b"x" * 50 * 2**20, b"X-Many: 1\r\n" * 5 * 2**20], ids=["large", "many"]
)
def test_headers_of_50_mb_are_rejected_in_bounded_memory(
    collector: Collector, connections: ExitStack, line: bytes
) -> None:
    before = collector.megabytes
    connection = connections.enter_context(collector.connect())
    with pytest.raises(ConnectionError):
        connection.sendall(HEAD + line)
    assert collector.is_serving()
    assert collector.megabytes - before < MAX_ADDITIONAL_MEGABYTES


def test_headers_that_are_too_large_are_answered_with_431(collector: Collector) -> None:
    answer = requests.get(f"{collector.url}/healthz", headers={"X-Large": "x" * 65_537}, timeout=60)
    assert answer.status_code == 431


def test_other_clients_are_served_while_bodies_arrive_slowly(collector: Collector, connections: ExitStack) -> None:
    for _ in range(300):
        connection = connections.enter_context(collector.connect())
        connection.sendall(HEAD + b"Content-Length: 1000\r\nContent-Type: application/json\r\n\r\n[")
    assert collector.is_serving()


def test_thousands_of_empty_gzip_members_are_decompressed() -> None:
    empty = gzip.compress(b"", mtime=0)
    many = empty * (MAX_BODY_BYTES // len(empty) - 10)
    assert decompress(many + gzip.compress(b"[]") + many[:1000]) == b"[]"
