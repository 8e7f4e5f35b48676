"""Measures how a running collector accepts interactions: the throughput of batches, and the latency of single posts.

    .venv/bin/python bench/interactions.py [--rounds 3] [--seconds 15] [--batch 100] [--connections 4] [--rate 200]

The ceiling in the same run is the writer alone: the same records, already encoded, in transactions of the same size.
The CPU time is that of the collector's process. Empty requests show the cost of HTTP and the machine alone.

It uses the platform of the home LOCAL_HOME (default `var`) with a new source, which it revokes at the end.
"""

import base64
import http.client
import secrets
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Annotated, Any

import orjson
import psutil
import typer
from collector import PLACEHOLDER, WARMUP_SECONDS, Bodies, Collector, measure_batches, measure_singles
from figures import FOLDER, Figures, Output, percentiles

from member_analyzer.kafka.registry import find_schema_id, registry_client
from member_analyzer.landing.connection import connect_landing
from member_analyzer.landing.sources import Source, create_source, revoke_source
from member_analyzer.local.environment import program_environment
from member_analyzer.local.home import open_home
from member_analyzer.local.supervision import list_processes
from member_analyzer.publishing.topic_encoder import TopicEncoder
from member_analyzer.publishing.transactions import TransactionalWriter
from member_analyzer.settings import KafkaSettings, LandingSettings, RegistrySettings
from member_analyzer.streams.interactions.batch import read_items
from member_analyzer.streams.interactions.definition import INTERACTIONS
from member_analyzer.streams.interactions.tracking import read_interaction
from member_analyzer.streams.interactions.user_agents import classify_user_agent

SAFARI = (
    "Mozilla/5.0 (iPhone; CPU iPhone OS 17_4 like Mac OS X) AppleWebKit/605.1.15 (KHTML, like Gecko) "
    "Version/17.4 Mobile/15E148 Safari/604.1"
)


@dataclass(frozen=True)
class Tracker(Collector):
    """A client of the tracking API."""

    def post(self, connection: http.client.HTTPConnection, body: bytes, expected: int) -> None:
        """Post a batch, and check that all of its items are accepted."""
        login = base64.b64encode(f"{self.key}:".encode()).decode()
        connection.request("POST", "/v1/batch", body, {"Authorization": f"Basic {login}"})
        response = connection.getresponse()
        content = response.read()
        if response.status != http.client.OK or content != b'{"success":true,"ok":true}':
            raise RuntimeError(f"The collector returned {response.status}: {content[:300]!r}")


def make_item(number: int) -> dict[str, Any]:
    """A page view, as the SDKs of browsers send it."""
    path = f"/products/{number % 50}"
    page = {"url": f"https://shop.example{path}?utm_source=news", "path": path, "title": f"Product {number % 50}"}
    return {
        "type": "page",
        "name": "Product",
        "messageId": PLACEHOLDER.decode(),
        "anonymousId": f"visitor-{number}",
        "timestamp": datetime.now(UTC).isoformat(),
        "properties": page | {"category": "shoes", "price": 79.5},
        "context": {
            "page": page | {"referrer": "https://search.example/"},
            "userAgent": SAFARI,
            "locale": "nb-NO",
            "timezone": "Europe/Oslo",
            "library": {"name": "analytics.js", "version": "next-1.84.0"},
        },
    }


def make_body(size: int) -> bytes:
    """A batch of page views."""
    return orjson.dumps({"batch": [make_item(number) for number in range(size)], "sentAt": "2026-11-21T09:15:00.000Z"})


def measure_writer(batch: int, seconds: float) -> float:
    """Records per second that the writer alone writes, four requests at a time."""
    environment = program_environment("collector", open_home())
    kafka, registry = KafkaSettings.of(environment), registry_client(RegistrySettings.of(environment))
    writer = TransactionalWriter(kafka, f"member-analyzer-collector-bench-{secrets.token_hex(4)}")
    schema_id = find_schema_id(registry, INTERACTIONS.subject, INTERACTIONS.schema)
    encoder = TopicEncoder(INTERACTIONS, schema_id)
    records = []
    for item in read_items("batch", orjson.loads(make_body(batch))):
        record = read_interaction(
            item, source="bench", received_at=datetime.now(UTC), classify=classify_user_agent, user_agent_header=None
        )
        records.append(encoder.encode(record))
    writer.start()
    writer.write(records).result(60)
    start, written, pending = time.monotonic(), 0, [writer.write(records) for _ in range(4)]
    while (elapsed := time.monotonic() - start) < seconds:
        pending.pop(0).result(60)
        written += batch
        pending.append(writer.write(records))
    for one in pending:
        one.result(60)
    writer.stop(10)
    return written / elapsed


def name_source() -> str:
    """A new name of a source."""
    return f"bench-{secrets.token_hex(4)}"


@contextmanager
def own_source(name: str) -> Iterator[str]:
    """The write key of a source for this measurement."""
    with connect_landing(LandingSettings.of(program_environment("operator", open_home()))) as landing:
        key = create_source(landing, Source(name, events_per_second=1_000_000))
        try:
            yield key
        finally:
            revoke_source(landing, name)


def main(
    rounds: Annotated[int, typer.Option(min=1, help="Number of measurements of each kind.")] = 3,
    seconds: Annotated[float, typer.Option(help="Duration of each measurement.")] = 15,
    batch: Annotated[int, typer.Option(min=1, max=400, help="Interactions per request.")] = 100,
    connections: Annotated[int, typer.Option(min=1, help="Clients that send batches.")] = 4,
    rate: Annotated[float, typer.Option(help="Single requests per second.")] = 200,
    output: Output = FOLDER,
) -> None:
    """Measure how the collector accepts interactions."""
    figures = Figures("interactions")
    accepted, ceiling = f"accepted in batches of {batch}, per second", "the writer alone, per second"
    single, body = Bodies(make_body(1)), make_body(batch)
    process = psutil.Process(list_processes(open_home())["collector"].pid)
    with own_source(name_source()) as key:
        collector = Tracker(f"http://127.0.0.1:{open_home().settings.collector_port}", key)

        def post(connection: http.client.HTTPConnection) -> None:
            collector.post(connection, single.next(), 1)

        measure_singles(collector, post, rate, WARMUP_SECONDS)
        measure_batches(collector, body, batch, connections, WARMUP_SECONDS)
        for _ in range(rounds):
            figures.add(percentiles("single post", measure_singles(collector, post, rate, seconds), "ms"))
            empty = measure_singles(collector, collector.check_health, rate, seconds)
            figures.add(percentiles("empty request", empty, "ms"))
            before = sum(process.cpu_times()[:2])
            speed = measure_batches(collector, body, batch, connections, seconds)
            used = sum(process.cpu_times()[:2]) - before
            alone = measure_writer(batch, seconds)
            figures.add(
                {
                    accepted: speed,
                    "CPU of the collector per interaction, microseconds": 1e6 * used / (speed * seconds),
                    ceiling: alone,
                    "accepted, as a share of the writer alone": speed / alone,
                }
            )
    figures.targets |= {accepted: 8000, "single post, p99, ms": 50}
    figures.show(output)


if __name__ == "__main__":
    typer.run(main)
