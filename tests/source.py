"""A user API for the tests: the bundled one behind it, recorded answers and faults in front of it."""

import json
import threading
import time
from collections import Counter
from dataclasses import dataclass, field, replace
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qs, urlsplit

import requests

# The platform of the tests waits READ_TIMEOUT seconds for an answer.
READ_TIMEOUT = 3
SLOWER_THAN_ANYBODY_WAITS = READ_TIMEOUT + 0.5


@dataclass(frozen=True)
class Answer:
    """What the API gives; where `cut_at` is set, the connection ends after so many bytes of the body."""

    status: int
    body: bytes
    headers: dict[str, str] = field(default_factory=dict)
    cut_at: int | None = None
    pause_seconds: float = 0


class Source:
    """Answers as the bundled API does, but gives `recorded` for the seed of that name, and faults where one is set."""

    def __init__(self, bundled_url: str) -> None:
        self.bundled_url = bundled_url
        self.recorded: list[dict[str, Any]] = []
        self.faults: dict[tuple[str, str], Answer] = {}
        self.troubled: set[str] = set()
        """Seeds whose every page is refused at first, each in another way."""
        self.pauses: dict[str, float] = {}
        """Seconds that each page of a seed takes."""
        self._asked: Counter[tuple[str, str]] = Counter()
        source = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                answer = source.answer(self.path)
                time.sleep(answer.pause_seconds)
                self.send_response(answer.status)
                headers = {"Content-Type": "application/json", "Content-Length": str(len(answer.body))}
                for name, value in (headers | answer.headers).items():
                    self.send_header(name, value)
                self.end_headers()
                self.wfile.write(answer.body[: answer.cut_at])
                self.close_connection = True

            def log_message(self, *_: object) -> None:
                pass

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self._server.server_port}/api/"
        threading.Thread(target=self._server.serve_forever, daemon=True).start()

    def answer(self, path: str) -> Answer:
        query = parse_qs(urlsplit(path).query)
        seed, page = query["seed"][0], query["page"][0]
        if (seed, page) in self.faults:
            return self.faults[(seed, page)]
        if seed == "recorded":
            first = (int(page) - 1) * int(query["results"][0])
            users = self.recorded[first : first + int(query["results"][0])]
            return Answer(200, json.dumps({"results": users, "info": {"seed": seed}}).encode())
        bundled = requests.get(self.bundled_url, params=query, timeout=30)
        answer = Answer(bundled.status_code, bundled.content, pause_seconds=self.pauses.get(seed, 0))
        self._asked[(seed, page)] += 1
        if seed in self.troubled and self._asked[(seed, page)] == 1:
            return troubled(answer, int(page))
        return answer

    def users(self, *, seed: str, results: int, page: int) -> list[dict[str, Any]]:
        """One page, without its faults."""
        query: dict[str, str | int] = {"seed": seed, "results": results, "page": page}
        users: list[dict[str, Any]] = requests.get(self.bundled_url, params=query, timeout=30).json()["results"]
        return users

    def break_page(self, seed: str, page: int, status: int, body: bytes) -> None:
        self.faults[(seed, str(page))] = Answer(status, body)

    def mend(self) -> None:
        self.faults.clear()
        self.troubled.clear()

    def close(self) -> None:
        self._server.shutdown()
        self._server.server_close()


def troubled(answer: Answer, page: int) -> Answer:
    """One of the ways in which a user API fails, in turn."""
    half = json.loads(answer.body)
    half["results"] = half["results"][: len(half["results"]) // 2]
    ways = [
        Answer(429, b'{"error": "slow down"}', {"Retry-After": "1"}),
        Answer(500, b"Internal Server Error", {"Content-Type": "text/plain"}),
        replace(answer, pause_seconds=SLOWER_THAN_ANYBODY_WAITS),
        Answer(200, b"<html><body>Down for maintenance</body></html>", {"Content-Type": "text/html"}),
        replace(answer, cut_at=len(answer.body) // 2),
        replace(answer, body=json.dumps(half).encode()),
    ]
    return ways[page % len(ways)]
