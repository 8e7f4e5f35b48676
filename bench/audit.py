"""Measures the memory and the time of an audit, without servers: as many members as wanted, made up as they are read.

    .venv/bin/python bench/audit.py [--members 5000000] [--on-topic 1000000] [--rejected 100000]

Nine in ten members landed, the others bypassed landing. What the servers take to give them is not in the figures.
"""

import resource
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, date, datetime
from typing import Annotated, Any
from uuid import UUID

import typer
from figures import console

from member_analyzer.analysis.counts import Bucket, Distribution
from member_analyzer.analysis.progress import Generation, Generations, Progress
from member_analyzer.operations.audit import Sources, take_audit
from member_analyzer.records.codec import to_avro, to_json
from member_analyzer.records.wire import ValueReader, ValueWriter
from member_analyzer.streams.definition import Topic
from member_analyzer.streams.members.definition import MEMBERS
from member_analyzer.streams.members.record import MEMBER, avro_schema

MOMENT = datetime(2026, 3, 1, tzinfo=UTC)
BORN = date(1976, 3, 2)
CITIES = 3000
PARTITIONS = 4


def name(number: int) -> str:
    """The id of a member."""
    return str(UUID(int=number * 0x9E3779B97F4A7C15F39CC0605CEDC835 % 2**128))


class Record:
    """A record as Kafka gives it."""

    def __init__(self, place: int, value: bytes, headers: list[tuple[str, bytes]]) -> None:
        self._place, self._value, self._headers = place, value, headers

    def partition(self) -> int:
        """Its partition."""
        return self._place % PARTITIONS

    def offset(self) -> int:
        """Its offset."""
        return self._place // PARTITIONS

    def key(self) -> bytes:
        """Its key."""
        return b""

    def value(self) -> bytes:
        """Its value."""
        return self._value

    def headers(self) -> list[tuple[str, bytes]]:
        """Its headers."""
        return self._headers


class MadeUpServers:
    """PostgreSQL, Kafka and Cassandra, as far as an audit asks them."""

    itersize = 0

    def __init__(self, members: int, on_topic: int, rejected: int) -> None:
        self._members, self._on_topic, self._rejected = members, on_topic, rejected
        self._writer = ValueWriter(1, avro_schema())

    @contextmanager
    def transaction(self) -> Iterator[None]:
        """Nothing."""
        yield

    @contextmanager
    def cursor(self, _: str) -> Iterator["MadeUpServers"]:
        """Itself."""
        yield self

    def execute(self, query: str) -> Any:
        """The rows that a query streams; itself, for a count."""
        if "count(*)" in query:
            return self
        if "landing.users" in query:
            return ((name(number), False) for number in range(self._members) if number % 10)
        return iter(())

    def fetchone(self) -> tuple[int, ...]:
        """A count."""
        return self._members, 0, 0, 0

    def read(self, topic: Topic) -> Iterator[Record]:
        """The newest members, and behind them what is rejected."""
        poison = range(self._on_topic, self._on_topic + self._rejected)
        if topic is MEMBERS.topic:
            event = to_json(MEMBER, {"id": "", "kind": "created", "occurred_at": MOMENT, "gender": "other"})
            event |= {"date_of_birth": BORN.isoformat(), "country": "Norway", "city": "Skre"}
            for place in range(self._on_topic):
                value = self._writer.write(to_avro(MEMBER, event | {"id": name(self._members - 1 - place)}))
                yield Record(place, value, [])
            yield from (Record(place, b"poison", []) for place in poison)
            return
        for place in poison:
            told = ("reason", b"undecodable"), ("message", b""), ("topic", b"users"), ("at", b"")
            where = ("partition", place % PARTITIONS), ("offset", place // PARTITIONS)
            added = dict(told) | {what: str(number).encode() for what, number in where}
            order = ("reason", "message", "topic", "partition", "offset", "at")
            yield Record(place, b"poison", [(f"rejected.{one}", added[one]) for one in order])

    def begin_offsets(self, _: Topic) -> dict[int, int]:
        """The oldest offsets."""
        return dict.fromkeys(range(PARTITIONS), 0)

    def read_generations(self) -> Generations:
        """The first generation."""
        return Generations(Generation(), None)

    def read_progress(self, _: str) -> Progress:
        """Today."""
        return Progress(date(2026, 3, 2))

    def read_rows(self) -> Iterator[dict[str, Any]]:
        """Every row."""
        for number in range(self._members):
            older = number < self._members - self._on_topic
            yield {
                "id": name(number),
                "date_of_birth": BORN,
                "gender": "other",
                "country": "Norway",
                "city": f"City {number % CITIES}",
                "kafka_partition": 0,
                "kafka_offset": -1 if older else number,
            }

    def read_distribution(self, table: str, _: date) -> Distribution:
        """A table that agrees."""
        if table == "city":
            counts: dict[Bucket, int] = {
                ("Norway", f"City {city}"): len(range(city, self._members, CITIES))
                for city in range(min(CITIES, self._members))
            }
            return Distribution(counts, self._members)
        bucket = {"age": "46-60", "gender": "other", "country": "Norway"}[table]
        return Distribution({(bucket,): self._members}, self._members)


def main(
    members: Annotated[int, typer.Option(help="Rows of created_users.")] = 5_000_000,
    on_topic: Annotated[int, typer.Option(help="Those of them that the topic still holds.")] = 1_000_000,
    rejected: Annotated[int, typer.Option(help="Rejected records.")] = 100_000,
) -> None:
    """Audit, and print what it took."""
    servers: Any = MadeUpServers(members, on_topic, rejected)
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    began = time.process_time()
    report = take_audit(Sources(servers, servers, servers, ValueReader({1: avro_schema()}, avro_schema())))
    seconds = time.process_time() - began
    after = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    console.print(
        f"{members:,} members, {on_topic:,} records, {rejected:,} rejected: {report.disagreements or 'agree'}"
    )
    console.print(f"{seconds:.0f} s of a processor; {after / 1024:.0f} MB at most, {before / 1024:.0f} MB before it")


if __name__ == "__main__":
    typer.run(main)
