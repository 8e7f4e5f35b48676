"""The rules that a member must keep, as Spark applies them: inputs and the reasons that they are rejected for."""

import io
import json
import struct
from datetime import UTC, date, datetime
from typing import Any, NamedTuple

import fastavro
import pytest
from pyspark.sql import SparkSession

from member_analyzer.records.codec import to_avro, to_json
from member_analyzer.records.rejection import Reason
from member_analyzer.records.rules import broken_rule
from member_analyzer.streaming import transforms as stream
from member_analyzer.streams.members.record import MEMBER, avro_schema
from member_samples import MOMENT, make_member

SCHEMA_ID = 1
COLUMNS = (
    "key binary, value binary, headers array<struct<key:string,value:binary>>, topic string, partition int, offset long"
)
PARSED = fastavro.parse_schema(json.loads(avro_schema()))
# A field that is longer than another system takes it is rejected, whatever it holds.
LONGEST = {
    "country": 100,
    "city": 200,
    "title": 50,
    "first_name": 200,
    "last_name": 200,
    "email": 320,
    "username": 200,
    "phone": 50,
    "address": 1000,
    "postcode": 20,
    "picture": 2000,
}


class Case(NamedTuple):
    """What one field holds, and why the record is rejected, which names the field; None where it is accepted."""

    field: str
    value: Any
    reason: Reason | None


CASES = [
    *(Case(field, "", Reason.MISSING_FIELD) for field in ("id", "kind", "gender", "country", "city")),
    *(Case(field, "   ", Reason.MISSING_FIELD) for field in ("id", "kind", "gender", "country", "city")),
    Case("title", "", None),
    Case("id", "7", None),
    Case("id", "x" * 64, None),
    Case("id", "x" * 65, Reason.TEXT_TOO_LONG),
    Case("id", "a.b_c:d-e", None),
    Case("id", "a b", Reason.UNKNOWN_VALUE),
    Case("id", "-a", Reason.UNKNOWN_VALUE),
    Case("id", "abc\n", Reason.UNKNOWN_VALUE),
    Case("id", "\u00e9", Reason.UNKNOWN_VALUE),
    Case("id", "\u0663", Reason.UNKNOWN_VALUE),
    Case("kind", "erased", None),
    Case("kind", "changed", Reason.UNKNOWN_VALUE),
    Case("gender", "other", None),
    Case("gender", "?", Reason.UNKNOWN_VALUE),
    Case("gender", "female\n", Reason.UNKNOWN_VALUE),
    Case("nationality", "NO", None),
    Case("nationality", "no", Reason.UNKNOWN_VALUE),
    Case("nationality", "NOR", Reason.UNKNOWN_VALUE),
    Case("nationality", "", Reason.UNKNOWN_VALUE),
    *(Case(field, "x" * longest, None) for field, longest in LONGEST.items()),
    *(Case(field, "x" * (longest + 1), Reason.TEXT_TOO_LONG) for field, longest in LONGEST.items()),
    Case("first_name", "\u00e9" * 200, None),
    Case("first_name", "\N{GRINNING FACE}" * 200, None),
    Case("first_name", "\N{GRINNING FACE}" * 201, Reason.TEXT_TOO_LONG),
    Case("last_name", "Ve\0stvik", Reason.UNREADABLE_TEXT),
    Case("city", "Sk\ufffdre", Reason.UNREADABLE_TEXT),
    Case("date_of_birth", date(1900, 1, 1), None),
    Case("date_of_birth", date(1899, 12, 31), Reason.BAD_DATE),
    Case("date_of_birth", date(1, 1, 1), Reason.BAD_DATE),
    Case("date_of_birth", MOMENT.date(), None),
    Case("date_of_birth", date(2026, 3, 2), Reason.BAD_DATE),
    Case("date_of_birth", date(9999, 12, 31), Reason.BAD_DATE),
    Case("occurred_at", datetime(9998, 12, 31, tzinfo=UTC), None),
    Case("occurred_at", datetime(9999, 12, 31, tzinfo=UTC), Reason.BAD_DATE),
    Case("registered_at", datetime(1900, 1, 1, tzinfo=UTC), None),
    Case("registered_at", datetime(1899, 12, 31, 23, 59, 59, tzinfo=UTC), Reason.BAD_DATE),
]


def encode(member: dict[str, Any]) -> bytes:
    payload = io.BytesIO()
    fastavro.schemaless_writer(payload, PARSED, to_avro(MEMBER, to_json(MEMBER, member)))
    return b"\0" + struct.pack(">I", SCHEMA_ID) + payload.getvalue()


@pytest.fixture(scope="module")
def judged(spark: SparkSession) -> dict[Case, tuple[str | None, str | None]]:
    """The reason and the message of every case. One batch, because most of a batch's time does not depend on it."""
    rows = [
        (b"key", encode(make_member(**{case.field: case.value})), [], "users", 0, offset)
        for offset, case in enumerate(CASES)
    ]
    frame = spark.createDataFrame(rows, COLUMNS)
    decoded = stream.decode(frame, MEMBER, writers={SCHEMA_ID: avro_schema()}, reader=avro_schema())
    found = decoded.select("reason", "message").orderBy("offset").collect()
    return {case: (row["reason"], row["message"]) for case, row in zip(CASES, found, strict=True)}


@pytest.mark.parametrize("case", CASES, ids=lambda case: f"{case.field}-{str(case.value)[:12]!a}-{case.reason}")
def test_a_member_is_rejected_for_the_rule_that_it_breaks(
    case: Case, judged: dict[Case, tuple[str | None, str | None]]
) -> None:
    reason, message = judged[case]
    assert reason == case.reason
    if case.reason is not None:
        assert str(message).startswith(f"The field {case.field} ")


@pytest.mark.parametrize("case", CASES, ids=lambda case: f"{case.field}-{str(case.value)[:12]!a}-{case.reason}")
def test_landing_rejects_it_for_the_same_reason(case: Case) -> None:
    rejection = broken_rule(MEMBER, make_member(**{case.field: case.value}))
    assert (rejection and rejection.reason) == case.reason
