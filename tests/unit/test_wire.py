import json
from contextlib import suppress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from member_analyzer.records.codec import to_avro, to_json
from member_analyzer.records.wire import UnreadableValueError, ValueReader, ValueWriter
from member_analyzer.streams.members.record import MEMBER, avro_schema
from member_samples import make_member

MEMBER_VALUE = ValueWriter(7, avro_schema()).write(to_avro(MEMBER, to_json(MEMBER, make_member())))
READER = ValueReader({7: avro_schema()}, avro_schema())


def test_a_record_comes_out_as_it_went_in() -> None:
    read = {name: value for name, value in READER.read(MEMBER_VALUE).items() if value is not None}
    assert read == make_member()


def test_a_value_of_a_newer_schema_is_read_as_ours() -> None:
    newer = json.loads(avro_schema())
    newer["fields"].append({"name": "nickname", "type": ["null", "string"], "default": None})
    record = to_avro(MEMBER, to_json(MEMBER, make_member()))
    value = ValueWriter(8, json.dumps(newer)).write(record | {"nickname": "Sisi"})
    read = ValueReader({7: avro_schema(), 8: json.dumps(newer)}, avro_schema()).read(value)
    assert read["id"] == make_member()["id"]
    assert "nickname" not in read


@pytest.mark.parametrize(
    "value", [None, b"", b"\0\0\0\0\7", b"\1" + MEMBER_VALUE[1:], b"\0\0\0\0\x09" + MEMBER_VALUE[5:]]
)
def test_what_is_no_value_of_a_known_schema_is_unreadable(value: bytes | None) -> None:
    with pytest.raises(UnreadableValueError):
        READER.read(value)


@given(st.binary(max_size=200))
def test_any_bytes_are_read_or_unreadable(payload: bytes) -> None:
    with suppress(UnreadableValueError):
        assert READER.read(b"\0\0\0\0\7" + payload).keys() == set(MEMBER.names)
