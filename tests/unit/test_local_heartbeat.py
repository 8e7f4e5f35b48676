"""A server that hangs is ended; one that lives, or of which nothing can be told, is not."""

import json
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import psutil
import pytest

from patience import DEADLINE, holds

LIVING = "import time; time.sleep(600)"


class Report:
    """What the health report says; the heartbeat moves on when it is asked for while the server beats."""

    def __init__(self) -> None:
        self.beats = True
        self.database = "healthy"
        self.asked = 0

    def tell(self) -> bytes:
        self.asked += 1
        moment = self.asked if self.beats else 0
        scheduler = {"status": "healthy", "latest_scheduler_heartbeat": f"2026-01-01T00:00:{moment:02}+00:00"}
        return json.dumps({"metadatabase": {"status": self.database}, "scheduler": scheduler}).encode()


@pytest.fixture
def report() -> Report:
    return Report()


@pytest.fixture
def server(report: Report) -> Iterator["subprocess.Popen[bytes]"]:
    """A process that ends neither by itself nor soon, watched, with a patience of two seconds."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(200)
            self.end_headers()
            self.wfile.write(report.tell())

        def log_message(self, *_: object) -> None:
            """Nobody reads it."""

    http = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=http.serve_forever, daemon=True).start()
    url = f"http://127.0.0.1:{http.server_port}/health"
    heartbeat = [sys.executable, "-m", "member_analyzer.local.heartbeat", "scheduler", url, "2"]
    process = subprocess.Popen([*heartbeat, sys.executable, "-c", LIVING])
    yield process
    process.kill()
    process.wait()
    http.shutdown()
    http.server_close()


def test_a_server_that_hangs_is_ended(report: Report, server: "subprocess.Popen[bytes]") -> None:
    report.beats = False
    assert server.wait(DEADLINE) == -signal.SIGKILL


def test_a_server_that_beats_lives(report: Report, server: "subprocess.Popen[bytes]") -> None:
    assert holds(lambda: report.asked > 6)
    assert server.poll() is None


def test_no_server_is_ended_for_the_silence_of_its_database(report: Report, server: "subprocess.Popen[bytes]") -> None:
    report.beats, report.database = False, "unhealthy"
    assert holds(lambda: report.asked > 6)
    assert server.poll() is None


def test_the_watcher_ends_with_its_server(report: Report, server: "subprocess.Popen[bytes]") -> None:
    assert holds(lambda: report.asked > 0)
    (watcher,) = psutil.Process(server.pid).children()
    server.terminate()
    watcher.wait(DEADLINE)
