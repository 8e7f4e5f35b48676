"""What becomes of records that are no ordinary members, on the real topic and in the running stream."""

import json
from datetime import UTC, datetime

import pytest

from member_analyzer.kafka.registry import SchemaRefusedError, register_schema, subject_schemas
from member_analyzer.local.supervision import list_processes
from member_analyzer.records.rejection import Reason
from member_analyzer.streams.members.definition import MEMBERS
from member_analyzer.streams.members.record import ERASED, avro_schema
from running_platform import Platform
from topic_records import Records


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
    rejected = records.wait_for_rejected(lambda record: record.key == b"poison", len(poison))
    for record in rejected:
        assert record.headers == [("trace", b"\xff\0")]
        assert record.topic == "users"
        assert record.message
    reasons = {Reason(record.reason): record.value for record in rejected}
    assert reasons == poison
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
    assert platform.created_user(member["id"])["country"] == member["country"]


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
    new_id = register_schema(records.registry, MEMBERS.subject, json.dumps(newer))
    assert new_id != records.schema_id
    records.send(records.encode(second, schema=json.dumps(newer), schema_id=new_id, nickname="Sisi"))
    records.send(records.encode(third))
    platform.wait_until_counted()
    assert stream_pid(platform) == pid


def test_an_incompatible_schema_is_refused_with_the_registrys_explanation(records: Records) -> None:
    before = subject_schemas(records.registry, MEMBERS.subject)
    changed = json.loads(avro_schema())
    changed["fields"].append({"name": "shoe_size", "type": "int"})
    with pytest.raises(SchemaRefusedError, match="users-value"):
        register_schema(records.registry, MEMBERS.subject, json.dumps(changed))
    assert subject_schemas(records.registry, MEMBERS.subject) == before
