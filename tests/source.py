"""A user API for the tests: a proxy of the bundled one with recorded responses and injected faults."""

import json
import threading
import time
from collections import Counter
from dataclasses import dataclass, field, replace
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qs, urlsplit

import requests

# The read timeout of the platform in the tests, in seconds.
READ_TIMEOUT = 3
TOO_SLOW = READ_TIMEOUT + 0.5


@dataclass(frozen=True)
class Response:
    """A response of the API; with `cut_at`, the connection is closed after that many bytes of the body."""

    status: int
    body: bytes
    headers: dict[str, str] = field(default_factory=dict)
    cut_at: int | None = None
    delay_seconds: float = 0


class Source:
    """Responds like the bundled API, except with `recorded` for the seed of that name, and with injected faults."""

    def __init__(self, bundled_url: str) -> None:
        self.bundled_url = bundled_url
        self.recorded: list[dict[str, Any]] = []
        self.faults: dict[tuple[str, str], Response] = {}
        self.flaky: set[str] = set()
        """Seeds of which the first request for each page fails, in different ways."""
        self.delays: dict[str, float] = {}
        """Seconds of delay for each page of a seed."""
        self._requests: Counter[tuple[str, str]] = Counter()
        source = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                response = source.respond(self.path)
                time.sleep(response.delay_seconds)
                self.send_response(response.status)
                headers = {"Content-Type": "application/json", "Content-Length": str(len(response.body))}
                for name, value in (headers | response.headers).items():
                    self.send_header(name, value)
                self.end_headers()
                self.wfile.write(response.body[: response.cut_at])
                self.close_connection = True

            def log_message(self, *_: object) -> None:
                pass

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self._server.server_port}/api/"
        threading.Thread(target=self._server.serve_forever, daemon=True).start()

    def respond(self, path: str) -> Response:
        query = parse_qs(urlsplit(path).query)
        seed, page = query["seed"][0], query["page"][0]
        if (seed, page) in self.faults:
            return self.faults[(seed, page)]
        if seed == "recorded":
            first = (int(page) - 1) * int(query["results"][0])
            users = self.recorded[first : first + int(query["results"][0])]
            return Response(200, json.dumps({"results": users, "info": {"seed": seed}}).encode())
        bundled = requests.get(self.bundled_url, params=query, timeout=30)
        response = Response(bundled.status_code, bundled.content, delay_seconds=self.delays.get(seed, 0))
        self._requests[(seed, page)] += 1
        if seed in self.flaky and self._requests[(seed, page)] == 1:
            return make_faulty(response, int(page))
        return response

    def users(self, *, seed: str, results: int, page: int) -> list[dict[str, Any]]:
        """A page without faults."""
        query: dict[str, str | int] = {"seed": seed, "results": results, "page": page}
        users: list[dict[str, Any]] = requests.get(self.bundled_url, params=query, timeout=30).json()["results"]
        return users

    def break_page(self, seed: str, page: int, status: int, body: bytes) -> None:
        self.faults[(seed, str(page))] = Response(status, body)

    def clear_faults(self) -> None:
        self.faults.clear()
        self.flaky.clear()

    def close(self) -> None:
        self._server.shutdown()
        self._server.server_close()


def make_faulty(response: Response, page: int) -> Response:
    """A different failure for each page."""
    half = json.loads(response.body)
    half["results"] = half["results"][: len(half["results"]) // 2]
    faults = [
        Response(429, b'{"error": "slow down"}', {"Retry-After": "1"}),
        Response(500, b"Internal Server Error", {"Content-Type": "text/plain"}),
        replace(response, delay_seconds=TOO_SLOW),
        Response(200, b"<html><body>Down for maintenance</body></html>", {"Content-Type": "text/html"}),
        replace(response, cut_at=len(response.body) // 2),
        replace(response, body=json.dumps(half).encode()),
    ]
    return faults[page % len(faults)]
