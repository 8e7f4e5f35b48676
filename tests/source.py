"""A user API for the tests: the bundled one behind it, recorded answers and faults in front of it."""

import json
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qs, urlsplit

import requests


class Source:
    """Answers as the bundled API does, but gives `recorded` for the seed of that name, and faults where one is set."""

    def __init__(self, bundled_url: str) -> None:
        self.bundled_url = bundled_url
        self.recorded: list[dict[str, Any]] = []
        self.faults: dict[tuple[str, str], tuple[int, bytes]] = {}
        source = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                status, body = source.answer(self.path)
                self.send_response(status)
                self.send_header("Content-Type", "application/json")
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, *_: object) -> None:
                pass

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self._server.server_port}/api/"
        threading.Thread(target=self._server.serve_forever, daemon=True).start()

    def answer(self, path: str) -> tuple[int, bytes]:
        query = parse_qs(urlsplit(path).query)
        seed, page = query["seed"][0], query["page"][0]
        if (seed, page) in self.faults:
            return self.faults[(seed, page)]
        if seed == "recorded":
            first = (int(page) - 1) * int(query["results"][0])
            users = self.recorded[first : first + int(query["results"][0])]
            return 200, json.dumps({"results": users, "info": {"seed": seed}}).encode()
        answer = requests.get(self.bundled_url, params=query, timeout=30)
        return answer.status_code, answer.content

    def break_page(self, seed: str, page: int, status: int, body: bytes) -> None:
        self.faults[(seed, str(page))] = (status, body)

    def mend(self) -> None:
        self.faults.clear()

    def close(self) -> None:
        self._server.shutdown()
        self._server.server_close()
