"""The readers of `users_rejected` over Kafka's real client, whose library brings a broker for tests."""

from collections.abc import Iterator
from contextlib import closing
from datetime import datetime
from typing import Any, cast

import pytest
from confluent_kafka import Consumer, Producer
from confluent_kafka.admin import AdminClient

from member_analyzer.console.monitors import rejected
from member_analyzer.console.monitors.rejected import RejectedMonitor
from member_analyzer.console.rate import Rate
from member_analyzer.console.rejected_index import RejectedIndex
from member_analyzer.deadletters.rejected import FOREIGN, Headers, read_rejected
from member_analyzer.kafka.reader import TopicReader
from member_analyzer.landing.connection import Connection
from member_analyzer.records.rejection import REJECTION_HEADERS, rejection_header
from member_analyzer.streams.members.definition import MEMBERS

TOLD = (b"bad_date", b"It is no day.", b"users", b"0", b"17", b"2026-11-21T12:00:00.000Z")
OURS: Headers = list(zip(map(rejection_header, REJECTION_HEADERS), TOLD, strict=True))
RECORDS: list[Headers] = [
    [("replayed.from", b"\xff"), *OURS],
    [("replayed.from", b"\xff")],
    [(name, b"\xff") for name, _ in OURS],
    [("a", None), ("a", b""), ("", b"\0")] * 300,
    [],
]


@pytest.fixture
def reader() -> Iterator[TopicReader]:
    producer = Producer({"test.mock.num.brokers": 1, "log_level": 0})
    (broker,) = producer.list_topics(timeout=30).brokers.values()
    for headers in RECORDS:
        producer.produce(MEMBERS.dead_letter_topic.name, partition=0, key=b"\xfe", value=b"\0\xff", headers=headers)
    assert producer.flush(30) == 0
    options = {"bootstrap.servers": f"{broker.host}:{broker.port}", "group.id": "reader", "log_level": 0}
    with closing(Consumer(options | {"enable.auto.commit": False})) as consumer:
        yield TopicReader(consumer, AdminClient(options))


class Landing:
    """A landing from which nothing was sent again."""

    def execute(self, *_: object) -> list[Any]:
        return []


def test_every_record_is_read_whoever_wrote_it(reader: TopicReader) -> None:
    found = read_rejected(reader, cast(Connection, Landing()), MEMBERS)
    assert {one.origin for one in found} == {"users:0:17", *(f"users_rejected:0:{offset}" for offset in range(1, 5))}
    assert [one.reason for one in found if one.is_foreign] == [FOREIGN] * 4
    (own,) = (one for one in found if not one.is_foreign)
    assert own.headers == [("replayed.from", b"\xff")]


def test_the_console_counts_foreign_records(reader: TopicReader, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(rejected, "count_rejected", lambda landing, definition: dict[str, int]())
    monkeypatch.setattr(rejected, "read_replays", lambda landing, since: dict[str, datetime]())
    monitor = RejectedMonitor(cast(Any, None), cast(Any, None), RejectedIndex(), MEMBERS)
    status = monitor._check(reader, cast(Connection, Landing()), Rate())
    assert status.error is None
    assert monitor.index.count() == {"bad_date": (1, 0), FOREIGN: (4, 0)}
