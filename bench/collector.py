"""Measures the collector of a running platform: the throughput of batches, and the latency of single posts.

    .venv/bin/python bench/collector.py [--rounds 3] [--seconds 15] [--batch 500] [--connections 4] [--rate 100]

For comparison it measures empty requests (`GET /healthz`) at the same rate, which show the cost of HTTP and the machine
alone. The measurements alternate.

It uses the platform of the home LOCAL_HOME (default `var`) with a new API key, which it revokes at the end. The members
are kept.
"""

import http.client
import secrets
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from itertools import count
from queue import SimpleQueue
from typing import Annotated
from urllib.parse import urlsplit

import orjson
import typer
from figures import FOLDER, Figures, Output, percentiles

from member_analyzer.fake_users.page import make_users
from member_analyzer.fake_users.query import parse_query
from member_analyzer.landing.api_keys import Right, create_key, revoke_key
from member_analyzer.landing.connection import connect_landing
from member_analyzer.local.environment import program_environment
from member_analyzer.local.home import open_home
from member_analyzer.records.codec import to_json
from member_analyzer.settings import LandingSettings
from member_analyzer.streams.members.forms import from_random_user
from member_analyzer.streams.members.record import MEMBER

PLACEHOLDER = b"00000000-0000-4000-8000-000000000000"
WARMUP_SECONDS = 3


class Bodies:
    """Request bodies with unique ids; everything else is encoded only once, to keep the client's own cost low."""

    def __init__(self, body: bytes) -> None:
        """Makes copies of a body, in which PLACEHOLDER stands for an id."""
        self._parts = body.split(PLACEHOLDER)
        self._run = secrets.token_hex(8)
        self._numbers = count()

    def next(self) -> bytes:
        """A body with new ids."""
        ids = (f"{self._run}-{next(self._numbers):019}".encode() for _ in self._parts[1:])
        return self._parts[0] + b"".join(key + part for key, part in zip(ids, self._parts[1:], strict=True))


def make_body(form: str, size: int) -> bytes:
    """A body with members."""
    return orjson.dumps([make_record(form, user) for user in sample(size)])


def sample(size: int) -> Iterator[dict[str, object]]:
    """Users of the bundled user API, all with the same id."""
    now = datetime.now(UTC)
    for user in make_users(parse_query({"seed": "bench", "results": str(size)}), now.date()):
        login = user["login"]
        yield user | {"login": {**login, "uuid": PLACEHOLDER.decode()}} if isinstance(login, dict) else user


def make_record(form: str, user: dict[str, object]) -> object:
    """The user in randomuser.me's format or as a flat record."""
    return user if form == "randomuser" else to_json(MEMBER, from_random_user(user, datetime.now(UTC)))


@dataclass(frozen=True)
class Collector:
    """A client of a collector."""

    url: str
    key: str

    def connect(self) -> http.client.HTTPConnection:
        address = urlsplit(self.url)
        return http.client.HTTPConnection(address.hostname or "", address.port, timeout=60)

    def post(self, connection: http.client.HTTPConnection, body: bytes, expected: int) -> None:
        """Post members, and check that all of them are accepted."""
        headers = {"Authorization": f"Bearer {self.key}", "Content-Type": "application/json"}
        connection.request("POST", "/v1/users", body, headers)
        response = connection.getresponse()
        content = response.read()
        if response.status != http.client.ACCEPTED or not content.startswith(b'{"accepted":%d,' % expected):
            raise RuntimeError(f"The collector returned {response.status}: {content[:300]!r}")

    def check_health(self, connection: http.client.HTTPConnection) -> None:
        connection.request("GET", "/healthz")
        response = connection.getresponse()
        response.read()
        if response.status != http.client.OK:
            raise RuntimeError(f"The collector returned {response.status}.")


def measure_batches(collector: Collector, body: bytes, batch: int, connections: int, seconds: float) -> float:
    """Records per second accepted in batches over several connections, each of which sends one batch after another."""
    bodies_of_connections = [Bodies(body) for _ in range(connections)]
    began = threading.Barrier(connections)

    def send(bodies: Bodies) -> float:
        connection = collector.connect()
        collector.post(connection, bodies.next(), batch)
        began.wait()
        start, accepted = time.monotonic(), 0
        while (elapsed := time.monotonic() - start) < seconds:
            collector.post(connection, bodies.next(), batch)
            accepted += batch
        return accepted / elapsed

    with ThreadPoolExecutor(connections) as pool:
        return sum(pool.map(send, bodies_of_connections))


Send = Callable[[http.client.HTTPConnection], None]


def measure_singles(collector: Collector, send: Send, rate: float, seconds: float) -> list[float]:
    """The latencies in milliseconds of requests at a constant rate (an open-loop load).

    Each latency is measured from the time at which the request was due, so that stalls are not omitted.
    """
    due = SimpleQueue[float | None]()
    times: list[float] = []

    def work() -> None:
        connection = collector.connect()
        while (moment := due.get()) is not None:
            send(connection)
            times.append((time.perf_counter() - moment) * 1000)

    workers = 32
    with ThreadPoolExecutor(workers) as pool:
        working = [pool.submit(work) for _ in range(workers)]
        start = time.perf_counter()
        for number in range(round(rate * seconds)):
            moment = start + number / rate
            time.sleep(max(0.0, moment - time.perf_counter()))
            due.put(moment)
        for _ in range(workers):
            due.put(None)
        for one in working:
            one.result()
    return times


@contextmanager
def own_key() -> Iterator[str]:
    """An API key for this measurement."""
    name = f"bench-{secrets.token_hex(4)}"
    with connect_landing(LandingSettings.of(program_environment("admin", open_home()))) as landing:
        key = create_key(landing, name, [Right.WRITE])
        try:
            yield key
        finally:
            revoke_key(landing, name)


def main(
    rounds: Annotated[int, typer.Option(min=1, help="Number of measurements of each kind.")] = 3,
    seconds: Annotated[float, typer.Option(help="Duration of each measurement.")] = 15,
    batch: Annotated[int, typer.Option(min=1, max=900, help="Members per request.")] = 500,
    connections: Annotated[int, typer.Option(min=1, help="Clients that send batches.")] = 4,
    rate: Annotated[float, typer.Option(help="Single requests per second.")] = 100,
    output: Output = FOLDER,
    url: Annotated[str | None, typer.Option(help="URL of the collector; defaults to the local platform's.")] = None,
) -> None:
    """Measure the collector."""
    figures = Figures("collector")
    posted = {form: f"{form}, in batches of {batch}, members per second" for form in ("flat", "randomuser")}
    bodies = Bodies(make_body("randomuser", 1))
    with own_key() as key:
        collector = Collector(url or f"http://127.0.0.1:{open_home().settings.collector_port}", key)

        def post(connection: http.client.HTTPConnection) -> None:
            collector.post(connection, bodies.next(), 1)

        measure_singles(collector, post, rate, WARMUP_SECONDS)
        for _ in range(rounds):
            figures.add(percentiles("single post", measure_singles(collector, post, rate, seconds), "ms"))
            figures.add(
                percentiles("empty request", measure_singles(collector, collector.check_health, rate, seconds), "ms")
            )
        for form, name in posted.items():
            body = make_body(form, batch)
            measure_batches(collector, body, batch, connections, WARMUP_SECONDS)
            for _ in range(rounds):
                figures.add({name: measure_batches(collector, body, batch, connections, seconds)})
    figures.targets |= dict.fromkeys(posted.values(), 5000) | {"single post, p99, ms": 50}
    figures.show(output)


if __name__ == "__main__":
    typer.run(main)
