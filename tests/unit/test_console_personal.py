"""What the console hides from whom, and what it makes of hostile values."""

import csv
import io
import json
import struct
from datetime import UTC, date, datetime
from typing import Any

import fastavro
import pytest
from hypothesis import given
from hypothesis import strategies as st

from member_analyzer.analysis.counts import Distribution
from member_analyzer.console.decoding import Decoder, SchemasAwayError, as_shown, show_bytes
from member_analyzer.console.distribution import describe_distribution, write_csv
from member_analyzer.console.masking import IDENTIFIERS, IMPERSONAL, MASK, mask_fields, mask_identifier
from member_analyzer.streams.members.record import MEMBER, avro_schema

UUID = "0c3cc3b5-9096-4366-ad09-d7e659ee68e3"
ANN = {
    "id": UUID,
    "kind": "created",
    "occurred_at": datetime(2026, 11, 21, tzinfo=UTC),
    "gender": "female",
    "date_of_birth": date(1990, 5, 1),
    "country": "Norway",
    "city": "Ås",
    "first_name": "Ann",
    "last_name": "<script>alert(1)</script>",
    "email": "ann@example.org",
}
EVENT: dict[str, Any] = dict.fromkeys(MEMBER.names) | ANN


def encode(event: dict[str, Any], schema: str = avro_schema(), schema_id: int = 1) -> bytes:
    payload = io.BytesIO()
    fastavro.schemaless_writer(payload, fastavro.parse_schema(json.loads(schema)), event)
    return b"\0" + struct.pack(">I", schema_id) + payload.getvalue()


def decoder() -> Decoder:
    return Decoder({1: avro_schema()}.get)


class TestMasking:
    def test_only_what_says_nothing_of_one_person_is_shown(self) -> None:
        masked = mask_fields(EVENT)
        shown = {name for name, value in masked.items() if value not in (None, MASK)}
        assert shown == {"id", "kind", "occurred_at", "gender", "country", "city"}

    def test_a_field_that_a_later_schema_adds_counts_as_personal(self) -> None:
        assert mask_fields({"passport": 7, "country": ["Ann"], "gender": {"first": "Ann"}}) == {
            "passport": MASK,
            "country": MASK,
            "gender": MASK,
        }

    def test_every_field_of_a_member_is_decided(self) -> None:
        personal = {"date_of_birth", "title", "first_name", "last_name", "email", "username", "phone", "address"}
        personal |= {"postcode", "registered_at", "picture"}
        assert personal | IMPERSONAL | IDENTIFIERS == set(MEMBER.names)

    def test_an_id_that_may_be_a_name_is_hidden(self) -> None:
        assert mask_identifier(UUID) == UUID
        assert mask_identifier("ann@example.org") == MASK
        assert mask_identifier(None) is None


class TestDecoding:
    def test_a_value_is_read_by_the_schema_that_wrote_it(self) -> None:
        decoded = decoder().decode(encode(EVENT), masked=False)
        assert (decoded.schema_id, decoded.error) == (1, None)
        assert decoded.fields == dict.fromkeys(MEMBER.names) | ANN | {
            "occurred_at": "2026-11-21T00:00:00.000Z",
            "date_of_birth": "1990-05-01",
        }

    def test_a_masked_value_holds_nothing_of_the_person(self) -> None:
        decoded = decoder().decode(encode(EVENT), masked=True)
        text = json.dumps(decoded.fields)
        assert not [one for one in ("Ann", "script", "ann@", "1990") if one in text]

    @pytest.mark.parametrize(
        ("value", "told"),
        [
            (None, "There is no value."),
            (b"", "It does not begin as a value with a schema does."),
            (b"\1\0\0\0\1Ann", "It does not begin as a value with a schema does."),
            (b"\0\0\0\0\7Ann", "The registry does not know schema 7."),
            (b"\0\0\0\0\1\x08Ann", "The value is not what schema 1 says."),
        ],
    )
    def test_what_cannot_be_read_says_why_without_quoting_it(self, value: bytes | None, told: str) -> None:
        decoded = decoder().decode(value, masked=True)
        assert (decoded.fields, decoded.error) == (None, told)

    def test_a_registry_that_is_away_is_no_fault_of_the_value(self) -> None:
        def away(_: int) -> str:
            raise SchemasAwayError

        assert "The registry is away" in str(Decoder(away).decode(encode(EVENT), masked=False).error)

    @given(st.binary(max_size=60))
    def test_no_bytes_break_it(self, payload: bytes) -> None:
        for masked in (False, True):
            decoded = decoder().decode(b"\0\0\0\0\1" + payload, masked=masked)
            json.dumps([decoded.fields, decoded.error, show_bytes(payload, masked=masked)])

    def test_a_value_that_is_too_long_to_show_is_cut(self) -> None:
        deep: Any = "x"
        for _ in range(1000):
            deep = [deep]
        shown = as_shown(
            {"text": "x" * 5000, "many": list(range(1000)), "deep": deep, "bytes": b"\0" * 9000, "n": 2**60}
        )
        assert len(json.dumps(shown)) < 5000
        assert shown["n"] == str(2**60)


class TestDistribution:
    CITIES = Distribution({("=1+1", "@SUM(A1)"): 1, ("Norway", 'Ås, "by"'): 2, ("Iran", "-2"): 1}, 4)

    def test_the_largest_come_first_with_their_part_of_the_total(self) -> None:
        described = describe_distribution("city", "2026-11-21", ("country", "city"), self.CITIES, 1)
        assert (described["of"], described["total"]) == (3, 4)
        assert described["buckets"] == [{"bucket": ("Norway", 'Ås, "by"'), "members": 2, "percent": 50.0}]

    def test_age_groups_are_in_their_order(self) -> None:
        ages = Distribution({("61+",): 1, ("0-15",): 1, ("16-30",): 5}, 7)
        described = describe_distribution("age", "2026-11-21", ("age_group",), ages, 10)
        assert [one["bucket"] for one in described["buckets"]] == [("0-15",), ("16-30",), ("61+",)]

    def test_no_text_of_the_csv_is_a_formula(self) -> None:
        assert write_csv("city", ("country", "city"), self.CITIES).splitlines() == [
            "\ufeffcountry,city,members,percent",
            'Norway,"Ås, ""by""",2,50.0',
            "'=1+1,'@SUM(A1),1,25.0",
            "Iran,'-2,1,25.0",
        ]

    @pytest.mark.parametrize("begin", ["=", "+", "-", "@", "\t", "\r", "\n", "＝", "＋", "－", "＠"])
    def test_a_cell_that_begins_a_formula_is_text(self, begin: str) -> None:
        cities = Distribution({("Norway", f"{begin}cmd|' /C calc'!A0"): 1}, 1)
        written = write_csv("city", ("country", "city"), cities).encode().decode("utf-8-sig")
        (row,) = csv.DictReader(io.StringIO(written, newline=""))
        assert row["city"] == f"'{begin}cmd|' /C calc'!A0"

    def test_nobody_is_no_part_of_nothing(self) -> None:
        described = describe_distribution("age", "2026-11-21", ("age_group",), Distribution({("0-15",): 0}, 0), 10)
        assert described["buckets"][0]["percent"] == 0

    def test_a_name_cannot_turn_the_page_around(self) -> None:
        cities = Distribution({("Norway", "Oslo\u202e\x1b"): 1}, 1)
        described = describe_distribution("city", "2026-11-21", ("country", "city"), cities, 1)
        assert described["buckets"][0]["bucket"] == ("Norway", r"Oslo\u202e\x1b")
