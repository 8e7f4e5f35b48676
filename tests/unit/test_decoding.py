"""The driver reads small batches, Spark large ones: both must accept and reject the same."""

import json
import random
from datetime import date
from typing import Any

import fastavro
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from pyspark.sql import SparkSession
from test_stream import HUGE_CLAIMS, SCHEMA_ID, encode, records

from member_analyzer.records.decoding import RecordDecoder
from member_analyzer.records.rejection import Reason
from member_analyzer.streaming import transforms as stream
from member_analyzer.streams.members.record import MEMBER, avro_schema
from member_samples import MOMENT, make_member

NEWER: dict[str, Any] = json.loads(avro_schema())
NEWER["fields"].append({"name": "nickname", "type": ["null", "string"], "default": None})
WRITERS = {SCHEMA_ID: avro_schema(), 2: json.dumps(NEWER)}
UNBOUNDED = [5]
UNKNOWN_SCHEMA_OFFSETS = {2: {0: 1}}
DECODER = RecordDecoder(
    MEMBER, writers=WRITERS, reader=avro_schema(), unbounded=UNBOUNDED, unknown_schema_offsets=UNKNOWN_SCHEMA_OFFSETS
)


def in_python(values: list[bytes | None]) -> list[tuple[str | None, dict[str, Any] | None]]:
    decoded = [DECODER.validate(DECODER.decode(value, 0, offset)) for offset, value in enumerate(values)]
    return [(one.rejection.message if one.rejection else None, one.record) for one in decoded]


def in_spark(spark: SparkSession, values: list[bytes | None]) -> list[tuple[str | None, dict[str, Any] | None]]:
    frame = stream.decode(
        records(spark, values),
        MEMBER,
        writers=WRITERS,
        reader=avro_schema(),
        unbounded=UNBOUNDED,
        unknown_schema_offsets=UNKNOWN_SCHEMA_OFFSETS,
    )
    rows = frame.orderBy("offset").collect()
    return [(row["message"], None if row["message"] else row["record"].asDict()) for row in rows]


def comparable(found: list[tuple[str | None, dict[str, Any] | None]]) -> list[Any]:
    # PySpark gives moments in the zone of its process, without naming it.
    return [
        (message, record and {name: value for name, value in record.items() if not name.endswith("_at")})
        for message, record in found
    ]


GOOD = encode(make_member())
VALUES: list[bytes | None] = [
    None,
    b"",
    b"\0\0\0\0\1",
    b"\1" + GOOD[1:],
    b'{"id": "7"}',
    GOOD,
    encode(make_member(id="later", registered_at=MOMENT), 2, fastavro.parse_schema(NEWER)),
    encode(make_member(), 77),
    encode(make_member(), 2**32 - 1),
    encode(make_member(), 5),
    *(GOOD[:length] for length in range(6, len(GOOD), 7)),
    GOOD + b"behind it",
    GOOD.replace(b"Skre", b"Sk\xff\xfe"),
    GOOD.replace(b"Skre", b"Sk\0e"),
    encode(make_member(city="")),
    encode(make_member(city="\u3000")),
    encode(make_member(id="x" * 65)),
    encode(make_member(gender="?")),
    encode(make_member(date_of_birth=date(1066, 10, 14))),
    encode(make_member(date_of_birth=date(9999, 12, 31))),
    *(b"\0\0\0\0\1" + claim for claim in HUGE_CLAIMS.values()),
]


def test_the_driver_and_spark_read_the_same_and_reject_for_the_same_reasons(spark: SparkSession) -> None:
    assert comparable(in_python(VALUES)) == comparable(in_spark(spark, VALUES))


def test_the_driver_and_spark_agree_on_damaged_values(spark: SparkSession) -> None:
    dice = random.Random(20261130)
    values: list[bytes | None] = []
    for _ in range(400):
        damaged = bytearray(encode(make_member(registered_at=MOMENT)))
        for _ in range(dice.randint(1, 3)):
            damaged[dice.randrange(len(damaged))] = dice.randrange(256)
        values.append(bytes(damaged))
    here, there = comparable(in_python(values)), comparable(in_spark(spark, values))
    assert [one for one in zip(values, here, there, strict=True) if one[1] != one[2]] == []


def test_moments_come_out_in_utc(spark: SparkSession) -> None:
    assert spark is not None
    ((_, record),) = in_python([encode(make_member(registered_at=MOMENT))])
    assert record is not None
    assert record["registered_at"] == MOMENT


@pytest.mark.parametrize("days", [-(2**31), -800_000, 2**31 - 1, 3_000_000])
def test_a_day_that_no_calendar_has_is_a_bad_date(days: int) -> None:
    value = encode(make_member()).replace(encoded_day(make_member()["date_of_birth"]), zigzag(days), 1)
    ((message, _),) = in_python([value])
    assert message is not None
    assert "date_of_birth" in message
    assert DECODER.validate(DECODER.decode(value, 0, 9)).rejection.reason == Reason.BAD_DATE  # type: ignore[union-attr]


def encoded_day(day: date) -> bytes:
    return zigzag(day.toordinal() - date(1970, 1, 1).toordinal())


def zigzag(number: int) -> bytes:
    number = (number << 1) ^ (number >> 63)
    number &= (1 << 64) - 1
    encoded = bytearray()
    while number > 0x7F:
        encoded.append(number & 0x7F | 0x80)
        number >>= 7
    return bytes([*encoded, number])


@settings(max_examples=300, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(st.binary(max_size=80))
def test_no_bytes_raise(payload: bytes) -> None:
    for value in (payload, b"\0\0\0\0\1" + payload, b"\0\0\0\0\2" + payload):
        decoded = DECODER.validate(DECODER.decode(value, 0, 9))
        assert (decoded.record is None) != (decoded.rejection is None)
