"""What becomes of records that are no ordinary members, on the real topic and in the running stream."""

import io
import json
import struct
import uuid
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

import fastavro
import pytest
import requests
from confluent_kafka import Consumer, Message, Producer

from member_analyzer.kafka import client_options
from member_analyzer.local.supervision import list_processes
from member_analyzer.member import ERASED, MEMBER, avro_schema, from_random_user
from member_analyzer.record import Reason, to_avro, to_json
from member_analyzer.registry import (
    USERS_VALUE,
    SchemaRefusedError,
    find_schema_id,
    register_schema,
    registry_client,
    subject_schemas,
)
from member_analyzer.settings import KafkaSettings, RegistrySettings
from member_analyzer.topics import USERS, USERS_REJECTED
from running_platform import Platform, holds

Member = dict[str, Any]


class Records:
    """Writes to the topic `users` as the publisher may, and reads what was rejected."""

    def __init__(self, platform: Platform) -> None:
        self._platform = platform
        self._kafka = KafkaSettings.of(platform.environment("airflow"))
        self.registry = registry_client(RegistrySettings.of(platform.environment("admin")))
        self.schema_id = find_schema_id(self.registry, USERS_VALUE, avro_schema())

    def make_members(self, seed: str, count: int) -> list[Member]:
        """Members of the bundled API; the platform is told to expect them."""
        parameters: dict[str, str | int] = {"seed": seed, "results": count, "page": 1}
        users = requests.get(self._platform.source.url, params=parameters, timeout=30).json()["results"]
        self._platform.taken |= {user["login"]["uuid"]: user for user in users}
        return [from_random_user(user, datetime.now(UTC)) for user in users]

    def encode(self, member: Member, *, schema: str = "", schema_id: int | None = None, **more: Any) -> bytes:
        payload = io.BytesIO()
        parsed = fastavro.parse_schema(json.loads(schema or avro_schema()))
        fastavro.schemaless_writer(payload, parsed, to_avro(MEMBER, to_json(MEMBER, member)) | more)
        return b"\0" + struct.pack(">I", self.schema_id if schema_id is None else schema_id) + payload.getvalue()

    def send(self, *values: bytes | None, key: str = "", trace: bytes = b"") -> None:
        producer = Producer(client_options(self._kafka) | {"enable.idempotence": True})
        for value in values:
            producer.produce(USERS.name, key=key.encode(), value=value, headers={"trace": trace})
        assert producer.flush(30) == 0

    def wait_for_rejected(self, is_wanted: Callable[[Message], bool], count: int) -> list[Message]:
        """So many rejected records that are wanted, from the beginning of their topic on."""
        options = client_options(KafkaSettings.of(self._platform.environment("reader")))
        consumer = Consumer(
            options
            | {"group.id": f"tests-{uuid.uuid4()}", "auto.offset.reset": "earliest", "enable.auto.commit": False}
        )
        consumer.subscribe([USERS_REJECTED.name])
        found: list[Message] = []

        def has_all() -> bool:
            found.extend(one for one in consumer.consume(1000, timeout=1) if one.error() is None and is_wanted(one))
            return len(found) >= count

        try:
            assert holds(has_all, 60), f"only {len(found)} of {count} records were rejected in 60 seconds"
        finally:
            consumer.close()
        return found


@pytest.fixture(scope="module")
def records(platform: Platform) -> Records:
    return Records(platform)


def stream_pid(platform: Platform) -> int:
    return list_processes(platform.home)["stream"].pid


def test_what_cannot_be_read_is_rejected_byte_for_byte_with_the_reason(platform: Platform, records: Records) -> None:
    good, *others = records.make_members("poisoned", 8)
    encoded = [records.encode(member) for member in (good, *others)]
    template = {**good, "id": "never-accepted"}
    poison: dict[Reason, bytes | None] = {
        Reason.EMPTY_VALUE: None,
        Reason.WRONG_MAGIC_BYTE: b"\1" + records.encode(template)[1:],
        Reason.UNKNOWN_SCHEMA: records.encode(template, schema_id=987654),
        Reason.UNDECODABLE: records.encode(template)[:30],
        Reason.UNREADABLE_TEXT: records.encode({**template, "first_name": "Jane"}).replace(b"Jane", b"J\xff\xfee"),
        Reason.MISSING_FIELD: records.encode({**template, "city": " "}),
        Reason.BAD_DATE: records.encode({**template, "date_of_birth": datetime(2199, 1, 1, tzinfo=UTC).date()}),
        Reason.TEXT_TOO_LONG: records.encode({**template, "address": "x" * 5000}),
        Reason.UNKNOWN_VALUE: records.encode({**template, "gender": "?"}),
    }
    records.send(*encoded[:4], *poison.values(), *encoded[4:], key="poison", trace=b"\xff\0")
    rejected = records.wait_for_rejected(lambda message: message.key() == b"poison", len(poison))
    told = {}
    for message in rejected:
        headers: dict[str, bytes] = dict(message.headers() or [])  # type: ignore[arg-type]
        assert headers["trace"] == b"\xff\0"
        assert headers["rejected.topic"] == b"users"
        assert headers["rejected.sentence"]
        told[Reason(headers["rejected.reason"].decode())] = message.value()
    assert told == poison
    platform.wait_until_counted()


def test_a_member_that_is_sent_twice_counts_once(platform: Platform, records: Records) -> None:
    values = [records.encode(member) for member in records.make_members("doubled", 50)]
    records.send(*values, *values)
    platform.wait_until_counted()
    records.send(*values)
    marker = records.make_members("after-doubled", 1)
    records.send(records.encode(marker[0]))
    platform.wait_until_counted()


def test_the_first_of_two_records_of_one_id_is_kept_and_counted(platform: Platform, records: Records) -> None:
    (member,) = records.make_members("contradiction", 1)
    elsewhere = {**member, "country": "Atlantis", "city": "Poseidonis"}
    records.send(records.encode(member), records.encode(elsewhere), key=member["id"])
    platform.wait_until_counted()
    assert platform.created_users()[member["id"]]["country"] == member["country"]


def test_an_erased_member_is_gone_and_does_not_come_back(platform: Platform, records: Records) -> None:
    erased, *kept = records.make_members("erased", 5)
    records.send(*(records.encode(member) for member in (erased, *kept)), key=erased["id"])
    platform.wait_until_counted()
    records.send(records.encode({**erased, "kind": ERASED}), key=erased["id"])
    del platform.taken[erased["id"]]
    platform.wait_until_counted()
    records.send(records.encode(erased), key=erased["id"])
    marker = records.make_members("after-erased", 1)
    records.send(records.encode(marker[0]), key=erased["id"])
    platform.wait_until_counted()


def test_a_new_version_of_the_schema_goes_through_the_running_stream(platform: Platform, records: Records) -> None:
    pid = stream_pid(platform)
    newer = json.loads(avro_schema())
    newer["fields"].append({"name": "nickname", "type": ["null", "string"], "default": None})
    first, second, third = records.make_members("evolved", 3)
    records.send(records.encode(first))
    new_id = register_schema(records.registry, USERS_VALUE, json.dumps(newer))
    assert new_id != records.schema_id
    records.send(records.encode(second, schema=json.dumps(newer), schema_id=new_id, nickname="Sisi"))
    records.send(records.encode(third))
    platform.wait_until_counted()
    assert stream_pid(platform) == pid


def test_an_incompatible_schema_is_refused_with_the_registrys_explanation(records: Records) -> None:
    before = subject_schemas(records.registry, USERS_VALUE)
    changed = json.loads(avro_schema())
    changed["fields"].append({"name": "shoe_size", "type": "int"})
    with pytest.raises(SchemaRefusedError, match="users-value"):
        register_schema(records.registry, USERS_VALUE, json.dumps(changed))
    assert subject_schemas(records.registry, USERS_VALUE) == before
