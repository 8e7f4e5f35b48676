"""Measures the collector of a platform that is up: members a second in batches, and how long single posts take.

    .venv/bin/python bench/collector.py [--seconds 20] [--batch 500] [--connections 4] [--rate 100]

It goes to the platform of the home that LOCAL_HOME names (`var`), makes an API key and revokes it at the end. The
members stay. Prints a table and one line of JSON.
"""

import http.client
import json
import secrets
import statistics
import threading
import time
from collections.abc import Iterator
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
from rich.console import Console
from rich.table import Table

from member_analyzer.fake_users.page import make_users
from member_analyzer.fake_users.query import parse_query
from member_analyzer.keys import Right, create_key, revoke_key
from member_analyzer.landing import connect_landing
from member_analyzer.local.environment import program_environment
from member_analyzer.local.home import open_home
from member_analyzer.member import MEMBER, from_random_user
from member_analyzer.record import to_json
from member_analyzer.settings import LandingSettings

PLACE = b"00000000-0000-4000-8000-000000000000"
SECONDS_OF_WARMING = 3

console = Console()


class Bodies:
    """Bodies of requests with ids of their own; all but the ids is encoded once, so that the client costs little."""

    def __init__(self, form: str, size: int) -> None:
        self._parts = orjson.dumps([make_record(form, user) for user in sample(size)]).split(PLACE)
        self._run = secrets.token_hex(8)
        self._numbers = count()

    def next(self) -> bytes:
        """A body that nobody has sent yet."""
        ids = (f"{self._run}-{next(self._numbers):019}".encode() for _ in self._parts[1:])
        return self._parts[0] + b"".join(key + part for key, part in zip(ids, self._parts[1:], strict=True))


def sample(size: int) -> Iterator[dict[str, object]]:
    """Users of the bundled user API, all of one id."""
    now = datetime.now(UTC)
    for user in make_users(parse_query({"seed": "bench", "results": str(size)}), now.date()):
        login = user["login"]
        yield user | {"login": {**login, "uuid": PLACE.decode()}} if isinstance(login, dict) else user


def make_record(form: str, user: dict[str, object]) -> object:
    """The user in randomuser.me's form or in the flat one."""
    return user if form == "randomuser" else to_json(MEMBER, from_random_user(user, datetime.now(UTC)))


@dataclass(frozen=True)
class Collector:
    """Where it is, and the key that opens it."""

    url: str
    key: str

    def connect(self) -> http.client.HTTPConnection:
        """A connection to it."""
        address = urlsplit(self.url)
        return http.client.HTTPConnection(address.hostname or "", address.port, timeout=60)

    def post(self, connection: http.client.HTTPConnection, body: bytes, expected: int) -> None:
        """Post members and see that all of them are accepted."""
        headers = {"Authorization": f"Bearer {self.key}", "Content-Type": "application/json"}
        connection.request("POST", "/v1/users", body, headers)
        answer = connection.getresponse()
        told = answer.read()
        if answer.status != http.client.ACCEPTED or not told.startswith(b'{"accepted":%d,' % expected):
            raise RuntimeError(f"The collector answered {answer.status}: {told[:300]!r}")


def measure_batches(collector: Collector, form: str, batch: int, connections: int, seconds: float) -> float:
    """Members a second that are accepted in batches over some connections, each sending as soon as it has an answer."""
    made = [Bodies(form, batch) for _ in range(connections)]
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
        return sum(pool.map(send, made))


def measure_singles(collector: Collector, rate: float, seconds: float) -> list[float]:
    """Milliseconds of single posts that come so many times a second, whether or not those before are answered.

    Each is measured from the moment at which it was due, so that a collector that stalls is not spared.
    """
    bodies, due = Bodies("randomuser", 1), SimpleQueue[float | None]()
    times: list[float] = []

    def send() -> None:
        connection = collector.connect()
        while (moment := due.get()) is not None:
            collector.post(connection, bodies.next(), 1)
            times.append((time.perf_counter() - moment) * 1000)

    workers = 32
    with ThreadPoolExecutor(workers) as pool:
        sending = [pool.submit(send) for _ in range(workers)]
        start = time.perf_counter()
        for number in range(round(rate * seconds)):
            moment = start + number / rate
            time.sleep(max(0.0, moment - time.perf_counter()))
            due.put(moment)
        for _ in range(workers):
            due.put(None)
        for one in sending:
            one.result()
    return times


@contextmanager
def own_key() -> Iterator[str]:
    """A key for this measurement."""
    name = f"bench-{secrets.token_hex(4)}"
    with connect_landing(LandingSettings.of(program_environment("admin", open_home()))) as landing:
        key = create_key(landing, name, [Right.WRITE])
        try:
            yield key
        finally:
            revoke_key(landing, name)


def main(
    seconds: Annotated[float, typer.Option(help="How long each measurement takes.")] = 20,
    batch: Annotated[int, typer.Option(min=1, max=900, help="Members of one request.")] = 500,
    connections: Annotated[int, typer.Option(min=1, help="Clients that send batches.")] = 4,
    rate: Annotated[float, typer.Option(help="Single posts a second.")] = 100,
    url: Annotated[str | None, typer.Option(help="The collector; this machine's platform's unless given.")] = None,
) -> None:
    """Measure and print."""
    figures: dict[str, float] = {}
    with own_key() as key:
        collector = Collector(url or f"http://127.0.0.1:{open_home().settings.collector_port}", key)
        measure_singles(collector, rate, SECONDS_OF_WARMING)
        times = measure_singles(collector, rate, seconds)
        cuts = statistics.quantiles(times, n=100)
        for name, value in (("p50", cuts[49]), ("p95", cuts[94]), ("p99", cuts[98]), ("max", max(times))):
            figures[f"single posts at {rate:g} a second, {name}, ms"] = round(value, 1)
        for form in ("flat", "randomuser"):
            measure_batches(collector, form, batch, connections, SECONDS_OF_WARMING)
            accepted = measure_batches(collector, form, batch, connections, seconds)
            figures[f"members a second in batches of {batch}, {form}"] = round(accepted)
    table = Table("figure", "value")
    for name, value in figures.items():
        table.add_row(name, f"{value:,}")
    console.print(table)
    console.print_json(json.dumps(figures), indent=None)


if __name__ == "__main__":
    typer.run(main)
