"""Masking of personal data, decoding of arbitrary values, and distributions as JSON and CSV."""

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
from member_analyzer.console.decoding import Decoder, RegistryUnavailableError, format_bytes, to_json_value
from member_analyzer.console.distribution import describe_distribution, write_csv
from member_analyzer.console.masking import IDENTIFIER_FIELDS, MASK, NON_PERSONAL_FIELDS, mask_fields, mask_identifier
from member_analyzer.streams.members.definition import MEMBERS
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
    def test_only_non_personal_fields_are_shown(self) -> None:
        masked = mask_fields(EVENT)
        visible = {name for name, value in masked.items() if value not in (None, MASK)}
        assert visible == {"id", "kind", "occurred_at", "gender", "country", "city"}

    def test_unknown_fields_are_personal(self) -> None:
        assert mask_fields({"passport": 7, "country": ["Ann"], "gender": {"first": "Ann"}}) == {
            "passport": MASK,
            "country": MASK,
            "gender": MASK,
        }

    def test_every_field_of_a_member_is_classified(self) -> None:
        personal = {"date_of_birth", "title", "first_name", "last_name", "email", "username", "phone", "address"}
        personal |= {"postcode", "registered_at", "picture"}
        assert personal | NON_PERSONAL_FIELDS | IDENTIFIER_FIELDS == set(MEMBER.names)

    def test_an_id_that_is_not_a_uuid_is_masked(self) -> None:
        assert mask_identifier(UUID) == UUID
        assert mask_identifier("ann@example.org") == MASK
        assert mask_identifier(None) is None


class TestDecoding:
    def test_a_value_is_decoded_with_its_writer_schema(self) -> None:
        decoded = decoder().decode(encode(EVENT), masked=False)
        assert (decoded.schema_id, decoded.error) == (1, None)
        assert decoded.fields == dict.fromkeys(MEMBER.names) | ANN | {
            "occurred_at": "2026-11-21T00:00:00.000Z",
            "date_of_birth": "1990-05-01",
        }

    def test_a_masked_value_contains_no_personal_data(self) -> None:
        decoded = decoder().decode(encode(EVENT), masked=True)
        text = json.dumps(decoded.fields)
        assert not [part for part in ("Ann", "script", "ann@", "1990") if part in text]

    @pytest.mark.parametrize(
        ("value", "message"),
        [
            (None, "The value is null."),
            (b"", "The value has no schema id."),
            (b"\1\0\0\0\1Ann", "The value has no schema id."),
            (b"\0\0\0\0\7Ann", "Schema 7 is not in the registry."),
            (b"\0\0\0\0\1\x08Ann", "The value does not match schema 1."),
        ],
    )
    def test_the_error_of_an_undecodable_value_does_not_quote_it(self, value: bytes | None, message: str) -> None:
        decoded = decoder().decode(value, masked=True)
        assert (decoded.fields, decoded.error) == (None, message)

    def test_an_unavailable_registry_is_reported(self) -> None:
        def fail(_: int) -> str:
            raise RegistryUnavailableError

        assert "the registry is unavailable" in str(Decoder(fail).decode(encode(EVENT), masked=False).error)

    @given(st.binary(max_size=60))
    def test_any_bytes_can_be_decoded_or_reported(self, payload: bytes) -> None:
        for masked in (False, True):
            decoded = decoder().decode(b"\0\0\0\0\1" + payload, masked=masked)
            json.dumps([decoded.fields, decoded.error, format_bytes(payload, masked=masked)])

    def test_a_long_value_is_truncated(self) -> None:
        deep: Any = "x"
        for _ in range(1000):
            deep = [deep]
        truncated = to_json_value(
            {"text": "x" * 5000, "many": list(range(1000)), "deep": deep, "bytes": b"\0" * 9000, "n": 2**60}
        )
        assert len(json.dumps(truncated)) < 5000
        assert truncated["n"] == str(2**60)


class TestDistribution:
    CITIES = Distribution({("=1+1", "@SUM(A1)"): 1, ("Norway", 'Ås, "by"'): 2, ("Iran", "-2"): 1}, 4)

    def test_the_largest_buckets_come_first_with_their_percentages(self) -> None:
        described = describe_distribution(MEMBERS.dimension_of("city"), "2026-11-21", self.CITIES, 1)
        assert (described["bucket_count"], described["total"]) == (3, 4)
        assert described["buckets"] == [{"bucket": ("Norway", 'Ås, "by"'), "members": 2, "percent": 50.0}]

    def test_age_groups_are_ordered_by_age(self) -> None:
        ages = Distribution({("61+",): 1, ("0-15",): 1, ("16-30",): 5}, 7)
        described = describe_distribution(MEMBERS.dimension_of("age"), "2026-11-21", ages, 10)
        assert [bucket["bucket"] for bucket in described["buckets"]] == [("0-15",), ("16-30",), ("61+",)]

    def test_the_csv_contains_no_formulas(self) -> None:
        assert write_csv(MEMBERS.dimension_of("city"), self.CITIES).splitlines() == [
            "\ufeffcountry,city,members,percent",
            'Norway,"Ås, ""by""",2,50.0',
            "'=1+1,'@SUM(A1),1,25.0",
            "Iran,'-2,1,25.0",
        ]

    @pytest.mark.parametrize("prefix", ["=", "+", "-", "@", "\t", "\r", "\n", "＝", "＋", "－", "＠"])
    def test_formula_prefixes_are_escaped(self, prefix: str) -> None:
        cities = Distribution({("Norway", f"{prefix}cmd|' /C calc'!A0"): 1}, 1)
        written = write_csv(MEMBERS.dimension_of("city"), cities).encode().decode("utf-8-sig")
        (row,) = csv.DictReader(io.StringIO(written, newline=""))
        assert row["city"] == f"'{prefix}cmd|' /C calc'!A0"

    def test_percentages_of_an_empty_total_are_zero(self) -> None:
        described = describe_distribution(
            MEMBERS.dimension_of("age"), "2026-11-21", Distribution({("0-15",): 0}, 0), 10
        )
        assert described["buckets"][0]["percent"] == 0

    def test_control_and_bidirectional_characters_are_escaped(self) -> None:
        cities = Distribution({("Norway", "Oslo\u202e\x1b"): 1}, 1)
        described = describe_distribution(MEMBERS.dimension_of("city"), "2026-11-21", cities, 1)
        assert described["buckets"][0]["bucket"] == ("Norway", r"Oslo\u202e\x1b")
