"""A server that hangs is killed; one with a heartbeat, or whose heartbeat is unknown, is not."""

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

SERVER = "import time; time.sleep(600)"


class Report:
    """Airflow's health report; while the server is alive, its heartbeat changes with every request."""

    def __init__(self) -> None:
        self.is_alive = True
        self.database = "healthy"
        self.requests = 0

    def render(self) -> bytes:
        self.requests += 1
        moment = self.requests if self.is_alive else 0
        scheduler = {"status": "healthy", "latest_scheduler_heartbeat": f"2026-01-01T00:00:{moment:02}+00:00"}
        return json.dumps({"metadatabase": {"status": self.database}, "scheduler": scheduler}).encode()


@pytest.fixture
def report() -> Report:
    return Report()


@pytest.fixture
def server(report: Report) -> Iterator["subprocess.Popen[bytes]"]:
    """A process with a watchdog whose timeout is two seconds."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(200)
            self.end_headers()
            self.wfile.write(report.render())

        def log_message(self, *_: object) -> None:
            pass

    http = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=http.serve_forever, daemon=True).start()
    url = f"http://127.0.0.1:{http.server_port}/health"
    watchdog = [sys.executable, "-m", "member_analyzer.local.watchdog", "scheduler", url, "2"]
    process = subprocess.Popen([*watchdog, sys.executable, "-c", SERVER])
    yield process
    process.kill()
    process.wait()
    http.shutdown()
    http.server_close()


def test_a_server_that_hangs_is_killed(report: Report, server: "subprocess.Popen[bytes]") -> None:
    report.is_alive = False
    assert server.wait(DEADLINE) == -signal.SIGKILL


def test_a_server_with_a_heartbeat_is_not_killed(report: Report, server: "subprocess.Popen[bytes]") -> None:
    assert holds(lambda: report.requests > 6)
    assert server.poll() is None


def test_a_server_is_not_killed_while_its_database_is_unavailable(
    report: Report, server: "subprocess.Popen[bytes]"
) -> None:
    report.is_alive, report.database = False, "unhealthy"
    assert holds(lambda: report.requests > 6)
    assert server.poll() is None


def test_the_watchdog_exits_with_its_server(report: Report, server: "subprocess.Popen[bytes]") -> None:
    assert holds(lambda: report.requests > 0)
    (watchdog,) = psutil.Process(server.pid).children()
    server.terminate()
    watchdog.wait(DEADLINE)
