"""Measures how many users per second the bundled user API serves on one core: `python bench/user_api.py`.

The server is pinned to one core, the client to the others if there are any. Each run is one request over a keep-alive
connection, timed until the last byte is read. Linux only.
"""

import http.client
import json
import os
import signal
import socket
import statistics
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Annotated

import typer


def main(
    runs: Annotated[int, typer.Option(min=1, help="Timed requests, each for a different page.")] = 15,
    results: Annotated[int, typer.Option(min=1, max=5000, help="Users per request.")] = 5000,
) -> None:
    """Print the minimum, median and maximum of users per second."""
    *others, core = sorted(os.sched_getaffinity(0))
    with running_server(core) as connection:
        if others:
            os.sched_setaffinity(0, others)
        fetch(connection, results, page=runs + 1)
        rates = [results / fetch(connection, results, page) for page in range(1, runs + 1)]
    figures = {"min": round(min(rates)), "median": round(statistics.median(rates)), "max": round(max(rates))}
    print("| users per second, one core | min | median | max |\n|---|---:|---:|---:|")
    print(f"| {runs} pages of {results} | " + " | ".join(f"{figure:,}" for figure in figures.values()) + " |\n")
    print(json.dumps({"benchmark": "user_api", "runs": runs, "results": results, "users_per_second": figures}))


@contextmanager
def running_server(core: int) -> Iterator[http.client.HTTPConnection]:
    """Run the server on one core, and connect to it."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
    process = subprocess.Popen(
        [sys.executable, "-m", "member_analyzer.fake_users", "--port", str(port)],
        preexec_fn=lambda: os.sched_setaffinity(0, {core}),
    )
    try:
        yield connect(process, port, deadline=time.monotonic() + 30)
    finally:
        process.send_signal(signal.SIGTERM)
        process.wait()


def connect(process: subprocess.Popen[bytes], port: int, deadline: float) -> http.client.HTTPConnection:
    """Wait until the server accepts a connection."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=60)
    while process.poll() is None and time.monotonic() < deadline:
        try:
            connection.connect()
        except ConnectionRefusedError:
            time.sleep(0.05)
        else:
            return connection
    sys.exit("The server did not start within 30 seconds.")


def fetch(connection: http.client.HTTPConnection, results: int, page: int) -> float:
    """Fetch one page; return the seconds."""
    started = time.perf_counter()
    connection.request("GET", f"/api/?seed=bench&results={results}&page={page}")
    response = connection.getresponse()
    body = response.read()
    seconds = time.perf_counter() - started
    if response.status != 200 or len(json.loads(body)["results"]) != results:
        sys.exit(f"The server returned {response.status}: {body[:200]!r}")
    return seconds


if __name__ == "__main__":
    typer.run(main)
