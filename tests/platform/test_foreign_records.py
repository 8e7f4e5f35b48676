"""Records that break no reader of `users_rejected`: hostile headers on `users`, and what others write to the topic."""

from collections.abc import Callable

import pytest
from confluent_kafka import Producer

from member_analyzer.deadletters.rejected import FOREIGN, Headers
from member_analyzer.kafka.client import client_options
from member_analyzer.records.rejection import REJECTION_HEADERS, Reason, rejection_header
from member_analyzer.settings import KafkaSettings
from member_analyzer.streams.members.definition import MEMBERS
from running_platform import Platform
from topic_records import Records

Send = Callable[[str, bytes | None, Headers], None]

BAD = b"\1no value"
FORGED: Headers = [(rejection_header(name), b"\xfe") for name in REJECTION_HEADERS]
HOSTILE: dict[str, Headers] = {
    "not UTF-8": [("replayed.from", b"\xff")],
    "null": [("replayed.from", None)],
    "ours": FORGED,
    "one of ours": [("rejected.offset", b"many"), ("rejected.reason", b"none")],
    "many": [(f"h{number}", b"\xff") for number in range(1000)],
    "twice": [("a", b"1"), ("a", None)],
    # A producer that copies the headers of what it read sends the same origin again and again.
    "forged": [("replayed.from", b"users:0:0")],
    "forged too": [("replayed.from", b"users:0:0")],
}
FOREIGN_HEADERS: list[Headers] = [[], [("replayed.from", b"\xff")], FORGED, FORGED[:3]]


@pytest.fixture
def send(platform: Platform) -> Send:
    """Writes as those programs do that may: to `users` as the publisher, to `users_rejected` as the stream."""

    def produce(topic: str, value: bytes | None, headers: Headers) -> None:
        user = "stream" if topic == MEMBERS.dead_letter_topic.name else "airflow"
        producer = Producer(client_options(KafkaSettings.of(platform.environment(user))))
        producer.produce(topic, key=b"hostile", value=value, headers=headers)
        assert producer.flush(30) == 0

    return produce


def test_no_header_of_a_record_makes_its_readers_fail(platform: Platform, send: Send) -> None:
    records = Records(platform)
    for headers in HOSTILE.values():
        send(MEMBERS.topic.name, BAD, headers)
    for headers in FOREIGN_HEADERS:
        send(MEMBERS.dead_letter_topic.name, b"\0\xff", headers)
    records.wait_for_rejected(lambda one: one.key == b"hostile", len(HOSTILE) + len(FOREIGN_HEADERS))
    found = [one for one in records.rejected() if one.key == b"hostile"]
    own = [one for one in found if not one.is_foreign]
    assert sorted(map(repr, (one.headers for one in own))) == sorted(map(repr, HOSTILE.values()))
    assert {one.reason for one in own} == {Reason.WRONG_MAGIC_BYTE}
    assert not any(one.is_duplicate for one in own)
    foreign = [one for one in found if one.is_foreign]
    assert len(foreign) == len(FOREIGN_HEADERS)
    assert {one.reason for one in foreign} == {FOREIGN}
    # A command takes some seconds.
    for one in (*own[:3], foreign[0]):
        assert one.origin in platform.command("rejected", "show", one.origin).stdout
    assert FOREIGN in platform.command("rejected", "list", "--all").stdout
    audit = platform.command("audit")
    assert f"{FOREIGN} {len(FOREIGN_HEADERS)}" in audit.stdout
    # Foreign ones are not sent again.
    replayed = platform.command("rejected", "replay", *(one.origin for one in found))
    assert f"{len(HOSTILE)} records" in replayed.stdout
