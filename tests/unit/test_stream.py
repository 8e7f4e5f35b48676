import io
import json
import struct
from collections.abc import Iterable
from datetime import date, datetime
from importlib.resources import files
from typing import Any

import fastavro
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from pyspark.sql import DataFrame, SparkSession

from member_analyzer.records.canonical import canonical
from member_analyzer.records.codec import to_avro, to_json
from member_analyzer.records.fields import TextField
from member_analyzer.records.rejection import Reason
from member_analyzer.records.rules import broken_rule
from member_analyzer.streaming import transforms as stream
from member_analyzer.streams.members.countries import country_names
from member_analyzer.streams.members.genders import GENDERS
from member_analyzer.streams.members.record import MEMBER, avro_schema
from member_samples import MOMENT, make_member

SCHEMA_ID = 1
COLUMNS = (
    "key binary, value binary, headers array<struct<key:string,value:binary>>, topic string, partition int, offset long"
)
PARSED = fastavro.parse_schema(json.loads(avro_schema()))


def encode(member: dict[str, Any], schema_id: int = SCHEMA_ID, schema: Any = PARSED) -> bytes:
    """A member as a Kafka value, in Confluent's wire format."""
    payload = io.BytesIO()
    fastavro.schemaless_writer(payload, schema, to_avro(MEMBER, to_json(MEMBER, member)) | {"nickname": "Sisi"})
    return b"\0" + struct.pack(">I", schema_id) + payload.getvalue()


def records(spark: SparkSession, values: Iterable[bytes | None], *, partition: int = 0, first: int = 0) -> DataFrame:
    rows = [
        (b"key", value, [("trace", b"\xff\x00")], "users", partition, first + number)
        for number, value in enumerate(values)
    ]
    return spark.createDataFrame(rows, COLUMNS)


def decode(frame: DataFrame, writers: dict[int, str] | None = None) -> DataFrame:
    return stream.decode(frame, MEMBER, writers=writers or {SCHEMA_ID: avro_schema()}, reader=avro_schema())


def reasons(spark: SparkSession, *values: bytes | None) -> list[str | None]:
    return [row["reason"] for row in decode(records(spark, values)).orderBy("offset").collect()]


def test_a_member_comes_out_as_it_went_in(spark: SparkSession) -> None:
    member = make_member(city="ساوه", registered_at=MOMENT)
    row = stream.accepted_records(decode(records(spark, [encode(member)])), MEMBER).collect()[0]
    assert row["id"] == member["id"]
    assert row["city"] == "ساوه"
    assert row["date_of_birth"] == date(1976, 3, 2)
    assert row["last_name"] is None
    assert (row["kafka_partition"], row["kafka_offset"]) == (0, 0)


@pytest.mark.parametrize(
    ("value", "reason"),
    [
        (None, Reason.EMPTY_VALUE),
        (b"", Reason.WRONG_MAGIC_BYTE),
        (b"\0\0\0\0\1", Reason.WRONG_MAGIC_BYTE),
        (b"\1" + encode(make_member())[1:], Reason.WRONG_MAGIC_BYTE),
        (b'{"id": "7"}', Reason.WRONG_MAGIC_BYTE),
        (encode(make_member(), schema_id=77), Reason.UNKNOWN_SCHEMA),
        (encode(make_member(), schema_id=2**32 - 1), Reason.UNKNOWN_SCHEMA),
        (encode(make_member())[:25], Reason.UNDECODABLE),
        (b"\0\0\0\0\1" + b"\xff" * 40, Reason.UNDECODABLE),
        (encode(make_member()).replace(b"Skre", b"Sk\xff\xfe"), Reason.UNREADABLE_TEXT),
        (encode(make_member(city="")), Reason.MISSING_FIELD),
        (encode(make_member(date_of_birth=date(1066, 10, 14))), Reason.BAD_DATE),
        (encode(make_member(date_of_birth=date(9999, 1, 1))), Reason.BAD_DATE),
    ],
)
def test_what_cannot_be_read_is_rejected_with_the_reason(
    spark: SparkSession, value: bytes | None, reason: Reason
) -> None:
    assert reasons(spark, value) == [reason.value]


def test_good_and_rejected_are_all(spark: SparkSession) -> None:
    decoded = decode(records(spark, [encode(make_member()), b"", encode(make_member(gender="?")), None]))
    assert stream.accepted_records(decoded, MEMBER).count() == 1
    assert stream.rejected_records(decoded).count() == 3


def test_a_rejected_record_keeps_its_bytes_and_says_why_and_from_where(spark: SparkSession) -> None:
    row = stream.rejected_records(decode(records(spark, [b"\1poison"], partition=3, first=41))).collect()[0]
    headers = [(header["key"], bytes(header["value"])) for header in row["headers"]]
    assert bytes(row["key"]) == b"key"
    assert bytes(row["value"]) == b"\1poison"
    assert headers[0] == ("trace", b"\xff\x00")
    values = dict(headers)
    assert values["rejected.reason"] == b"wrong_magic_byte"
    assert values["rejected.message"].startswith(b"The value")
    assert (values["rejected.topic"], values["rejected.partition"], values["rejected.offset"]) == (
        b"users",
        b"3",
        b"41",
    )
    assert datetime.fromisoformat(values["rejected.at"].decode()).utcoffset() is not None


def test_versions_of_the_schema_are_read_side_by_side(spark: SparkSession) -> None:
    newer = json.loads(avro_schema())
    newer["fields"].append({"name": "nickname", "type": ["null", "string"], "default": None})
    values = [encode(make_member()), encode(make_member(id="other"), 2, fastavro.parse_schema(newer))]
    decoded = decode(records(spark, values), {1: avro_schema(), 2: json.dumps(newer)})
    assert {row["id"] for row in stream.accepted_records(decoded, MEMBER).collect()} == {make_member()["id"], "other"}


texts = st.text(max_size=12) | st.sampled_from(["female", "created", " ", "NO", "x" * 201, "a\n", "\u3000"])
fields = {
    "id": texts,
    "gender": texts,
    "city": texts,
    "nationality": texts,
    "first_name": texts,
    "date_of_birth": st.dates(min_value=date(1800, 1, 1), max_value=date(2100, 1, 1)),
}


@settings(max_examples=5, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.lists(st.fixed_dictionaries({}, optional=fields), min_size=40, max_size=80))
def test_spark_and_python_apply_the_same_rules(spark: SparkSession, changes: list[dict[str, Any]]) -> None:
    members = [make_member(**change) for change in changes]
    members = [member for member in members if all(c < "\ud800" or c > "\udfff" for c in str(member))]
    in_python = [(rejection.reason.value if (rejection := broken_rule(MEMBER, one)) else None) for one in members]
    assert reasons(spark, *(encode(member) for member in members)) == in_python


def canonical_in_spark(spark: SparkSession, members: list[dict[str, Any]]) -> list[bool]:
    schema = ", ".join(f"{name} string" for name in TEXTS)
    rows = [(number, tuple(member.get(name) for name in TEXTS)) for number, member in enumerate(members)]
    frame = spark.createDataFrame(rows, f"number int, record struct<{schema}>")
    found = frame.select("number", stream.is_canonical(MEMBER).alias("canonical")).orderBy("number").collect()
    return [row["canonical"] for row in found]


TEXTS = [field.name for field in MEMBER.fields if isinstance(field, TextField)]
ORDINARY = [
    *("Oslo", "Zürich", "Saint-Étienne", "Łódź", "Đà Nẵng", "İzmir", "Київ", "Αθήνα", "ساوه", "الرياض"),
    *("東京都", "서울", "とうきょう", "می\u200cخواهم", "O'Fallon", "6036 Nybyggerveien, 3181 Skre, Trøndelag, Norway"),
]
NOT_CANONICAL = [
    *("Zu\u0308rich", "\u200bOslo", "Oslo\u200f", "\ufeffOslo", "\u200b", "Os\nlo", "Oslo\n", "\nOslo", "\x1b[31mOslo"),
    *(" Oslo", "Oslo ", "New  York", "New\u00a0York", "New\tYork", "", " ", "Os\u200clo", "می\u200c", "Oslo\ufe0f"),
    *("\u1100\u1161", "a\u0323\u0301", "\u2126", "\u3164", "Os\u00adlo"),
]


def test_ordinary_records_are_canonical_in_spark(spark: SparkSession) -> None:
    folder = files("member_analyzer.fake_users") / "nationalities"
    bundled = [json.loads(one.read_text(encoding="utf-8")) for one in folder.iterdir()]
    texts = {text for one in bundled for text in (*one["cities"], *one["last_names"], *one["streets"])}
    members = [make_member(city=text) for text in [*ORDINARY, *sorted(texts)]]
    members += [make_member(country=name) for name in sorted({*country_names(), *(one["country"] for one in bundled)})]
    members += [make_member(gender=gender, last_name=None) for gender in GENDERS]
    members += [{}, make_member(id=" x\u200b", kind="\n")]
    found = canonical_in_spark(spark, members)
    assert [one for one, is_canonical in zip(members, found, strict=True) if not is_canonical] == []
    assert all(canonical(MEMBER, one) == one for one in members)


def test_what_is_not_canonical_is_found_in_spark(spark: SparkSession) -> None:
    members = [make_member(city=text) for text in NOT_CANONICAL]
    members += [make_member(first_name=text) for text in ("", " ", "Si\nren", "-\n-")]
    members += [make_member(country=text) for text in ("germany", "DE", "Türkiye")]
    members += [make_member(gender=text) for text in ("Female", "f", "non-binary")]
    assert canonical_in_spark(spark, members) == [False] * len(members)


spellings = (
    st.sampled_from([*ORDINARY, *NOT_CANONICAL, "Norway", "norway", "female", "F"])
    | st.text(max_size=6)
    | st.text(
        st.sampled_from("aé üЙبم\u200c\u200d\u064b\u0301\u0323\n-漢가\u1161\U00010400\u0390\u09be\U0001f600"),
        max_size=8,
    )
).filter(lambda text: all(not "\ud800" <= one <= "\udfff" for one in text))


@settings(max_examples=8, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    st.lists(
        st.fixed_dictionaries(
            {}, optional={name: st.none() | spellings for name in ("country", "gender", "city", "address", "last_name")}
        ),
        min_size=60,
        max_size=120,
    )
)
def test_python_changes_no_record_that_is_canonical_in_spark(
    spark: SparkSession, changes: list[dict[str, Any]]
) -> None:
    members = [make_member(**change) for change in changes]
    for member, is_canonical in zip(members, canonical_in_spark(spark, members), strict=True):
        assert is_canonical <= (canonical(MEMBER, member) == member)


def test_the_driver_learns_what_it_has_to_know_of_each_record(spark: SparkSession) -> None:
    member = make_member(registered_at=MOMENT)
    values = [encode(member), encode(make_member(id="b", kind="erased")), encode(make_member(), 9), b""]
    columns = ("id", "kind", "registered_at", "date_of_birth", "city")
    decoded = decode(records(spark, values, partition=2, first=5))
    rows = stream.describe(decoded, MEMBER, columns).orderBy("offset").collect()
    milliseconds = int(MOMENT.timestamp() * 1000)
    assert [tuple(row) for row in rows] == [
        (2, 5, 1, False, None, member["id"], "created", milliseconds, date(1976, 3, 2), "Skre"),
        (2, 6, 1, False, None, "b", "erased", None, date(1976, 3, 2), "Skre"),
        (2, 7, 9, False, Reason.UNKNOWN_SCHEMA.value, None, None, None, None, None),
        (2, 8, None, False, Reason.WRONG_MAGIC_BYTE.value, None, None, None, None, None),
    ]


def test_what_spark_cannot_bring_into_its_form_is_deferred_unless_it_cannot_be_read(spark: SparkSession) -> None:
    members = [make_member(id="kept"), make_member(id="odd", city="Zu\u0308rich"), make_member(id="late", city="Oslo ")]
    damaged, too_old = encode(make_member(city="Oslo "))[:30], encode(make_member(date_of_birth=date(1066, 10, 14)))
    values = [*map(encode, members), damaged, too_old]
    decoded = stream.decode(
        records(spark, values),
        MEMBER,
        writers={SCHEMA_ID: avro_schema()},
        reader=avro_schema(),
        deferred=~stream.is_canonical(MEMBER),
    )
    rows = decoded.orderBy("offset").collect()
    assert [row["is_deferred"] for row in rows] == [False, True, True, False, False]
    assert [row["reason"] for row in rows] == [None, None, None, Reason.UNDECODABLE.value, Reason.BAD_DATE.value]
    assert [row["id"] for row in stream.accepted_records(decoded, MEMBER).collect()] == ["kept"]


def test_a_part_of_a_batch_lies_between_offsets(spark: SparkSession) -> None:
    frame = records(spark, [b""] * 5, partition=0, first=3).union(records(spark, [b""] * 5, partition=1))
    part = stream.between(frame, {0: 4, 1: 0}, {0: 6})
    assert sorted(tuple(row) for row in part.select("partition", "offset").collect()) == [(0, 4), (0, 5)]
    assert stream.between(frame, {}, {}).count() == 0


def test_accepted_records_are_left_out_by_their_origin(spark: SparkSession) -> None:
    accepted = stream.accepted_records(decode(records(spark, [encode(make_member(id=name)) for name in "abc"])), MEMBER)
    positions = spark.createDataFrame([(0, 1)], "kafka_partition int, kafka_offset long")
    assert {row["id"] for row in stream.without(accepted, positions).collect()} == {"a", "c"}


HUGE_CLAIMS = {
    "a string of two billion bytes": bytes.fromhex("80d0acf30e78"),
    "a string longer than an integer": b"\xfe" * 9 + b"\x01",
    "a string of a negative length": b"\x03",
    "bytes that end in a number": b"\xff" * 10,
    "a long string behind a good one": b"\x02a" + bytes.fromhex("80d0acf30e78"),
}


@pytest.mark.parametrize("payload", HUGE_CLAIMS.values(), ids=HUGE_CLAIMS.keys())
def test_a_value_that_claims_more_than_its_bytes_is_rejected(spark: SparkSession, payload: bytes) -> None:
    found = reasons(spark, b"\0\0\0\0\1" + payload, encode(make_member()))
    assert found == [Reason.UNDECODABLE.value, None]


def test_values_of_an_unbounded_schema_are_rejected_unread(spark: SparkSession) -> None:
    decoded = stream.decode(
        records(spark, [encode(make_member()), encode(make_member(), 2)]),
        MEMBER,
        writers={SCHEMA_ID: avro_schema()},
        unbounded=[2],
        reader=avro_schema(),
    )
    assert [row["reason"] for row in decoded.orderBy("offset").collect()] == [None, Reason.UNDECODABLE.value]


def test_what_was_rejected_for_its_schema_stays_rejected_when_the_schema_is_known(spark: SparkSession) -> None:
    frame = records(spark, [encode(make_member(id=name)) for name in "abc"])
    decoded = stream.decode(
        frame,
        MEMBER,
        writers={SCHEMA_ID: avro_schema()},
        reader=avro_schema(),
        unknown_schema_offsets={SCHEMA_ID: {0: 1, 1: 9}},
    )
    assert [row["reason"] for row in decoded.orderBy("offset").collect()] == [Reason.UNKNOWN_SCHEMA.value] * 2 + [None]
