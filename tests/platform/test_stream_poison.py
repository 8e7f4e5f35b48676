"""No record stops the stream: whatever bytes the topic holds, what arrives behind them is counted."""

import json
import random
import struct

from confluent_kafka import Producer

from member_analyzer.kafka.client import client_options
from member_analyzer.kafka.registry import register_schema
from member_analyzer.local.supervision import list_processes
from member_analyzer.records.rejection import Reason
from member_analyzer.settings import KafkaSettings
from member_analyzer.streams.members.definition import MEMBERS
from member_analyzer.streams.members.record import avro_schema
from patience import holds
from running_platform import Platform
from topic_records import Records

# What follows the schema's id: the length of the first field, a string.
CLAIMS = {
    "two billion bytes": bytes.fromhex("80d0acf30e78"),
    "more than an integer holds": b"\xfe" * 9 + b"\x01",
    "a negative length": b"\x03",
    "a number without an end": b"\xff" * 30,
    "two billion bytes in the second field": b"\x02a" + bytes.fromhex("80d0acf30e78"),
}


def test_values_that_claim_more_than_their_bytes_are_rejected_and_the_stream_continues(platform: Platform) -> None:
    records = Records(platform)
    pid = list_processes(platform.home)["stream"].pid
    header = b"\0" + struct.pack(">I", records.schema_id)
    before, after = records.make_members("around-the-claims", 2)
    records.send(records.encode(before), *(header + claim for claim in CLAIMS.values()), key="claims")
    records.send(records.encode(after), key="claims")
    rejected = records.wait_for_rejected(lambda one: one.key == b"claims", len(CLAIMS))
    assert {one.reason for one in rejected} == {Reason.UNDECODABLE.value}
    assert {(one.value or b"")[len(header) :] for one in rejected} == set(CLAIMS.values())
    platform.wait_until_counted()
    assert list_processes(platform.home)["stream"].pid == pid, "the stream was started again"


def test_a_record_of_a_schema_that_contains_itself_is_rejected_however_deep_it_is(platform: Platform) -> None:
    records = Records(platform)
    node = {"type": "record", "name": "Node", "fields": [{"name": "next", "type": ["null", "Node"], "default": None}]}
    recursive = json.loads(avro_schema())
    recursive["fields"].append({"name": "nested", "type": ["null", node], "default": None})
    schema_id = register_schema(records.registry, MEMBERS.subject, json.dumps(recursive))
    # Later versions are compared with the newest one, and other tests register theirs.
    assert register_schema(records.registry, MEMBERS.subject, avro_schema()) == records.schema_id
    member, marker = records.make_members("deep", 2)
    del platform.taken[member["id"]]
    flat = records.encode(member, schema=json.dumps(recursive), schema_id=schema_id, nested=None)
    records.send(flat[:-1] + b"\x02" * 500_000 + b"\0", key="deep")
    records.send(records.encode(marker), key="deep")
    (rejected,) = records.wait_for_rejected(lambda one: one.key == b"deep", 1)
    assert rejected.reason == Reason.UNDECODABLE
    platform.wait_until_counted()


def hard_to_compress() -> bytes:
    """Bytes that Kafka takes as their producer compresses them, but not as Spark's producer does.

    The same random block comes again and again, further apart than the smaller of the two windows.
    """
    block = random.Random(7).randbytes(400_000)
    return b"\1" + (block + bytes(2_600_000)) * 8


def test_a_record_that_fails_every_attempt_is_isolated_and_the_others_count(platform: Platform) -> None:
    records = Records(platform)
    log = platform.home.logs / "stream.log"
    size = log.stat().st_size
    value = hard_to_compress()
    producer = Producer(
        client_options(KafkaSettings.of(platform.environment("airflow")))
        | {"compression.type": "zstd", "compression.level": 12, "message.max.bytes": 2**26}
    )
    before, after = records.make_members("around-the-unprocessable", 2)
    records.send(records.encode(before), key="unprocessable")
    producer.produce(MEMBERS.topic.name, key=b"unprocessable", value=value)
    assert producer.flush(60) == 0
    records.send(records.encode(after), key="unprocessable")

    def is_isolated() -> bool:
        return "stream.record_isolated" in log.read_text(errors="replace")[size:]

    assert holds(is_isolated, 400), "the record was not isolated"
    (rejected,) = records.wait_for_rejected(lambda one: one.key == b"unprocessable", 1)
    assert rejected.reason == Reason.UNPROCESSABLE
    assert rejected.value == value
    platform.wait_until_counted()


def test_a_string_as_long_as_a_record_may_be_is_too_long_and_nothing_else(platform: Platform) -> None:
    records = Records(platform)
    (member,) = records.make_members("long-text", 1)
    del platform.taken[member["id"]]
    records.send(records.encode({**member, "address": "x" * 3_000_000}), key="long-text")
    (rejected,) = records.wait_for_rejected(lambda one: one.key == b"long-text", 1)
    assert rejected.reason == Reason.TEXT_TOO_LONG
