import json
from typing import Any

import pytest

from member_analyzer.records.avro_schemas import find_unbounded
from member_analyzer.streams.members.record import avro_schema


def with_field(kind: Any) -> str:
    schema = json.loads(avro_schema())
    schema["fields"].append({"name": "added", "type": kind})
    return json.dumps(schema)


NODE = {"type": "record", "name": "Node", "fields": [{"name": "next", "type": ["null", "Node"]}]}
UNBOUNDED = {
    "a record that contains itself": NODE,
    "a list of records that contain themselves": {"type": "array", "items": NODE},
    "an array of nulls": {"type": "array", "items": "null"},
    "an array of records without a field": {"type": "array", "items": {"type": "record", "name": "E", "fields": []}},
    "an array of fixed values of no bytes": {"type": "array", "items": {"type": "fixed", "name": "F", "size": 0}},
    "an array of nulls in a record in a union": [
        "null",
        {"type": "record", "name": "R", "fields": [{"name": "a", "type": {"type": "array", "items": "null"}}]},
    ],
    "a map of records that contain themselves": {"type": "map", "values": NODE},
}
BOUNDED = {
    "a string": "string",
    "an optional string": ["null", "string"],
    "an array of optional values, whose branch takes a byte": {"type": "array", "items": ["null"]},
    "a map of nulls, whose keys take a byte": {"type": "map", "values": "null"},
    "one named type twice": [
        {"type": "record", "name": "P", "fields": [{"name": "x", "type": "int"}]},
        {"type": "array", "items": "P"},
    ],
    "a logical type": {"type": "long", "logicalType": "timestamp-millis"},
    "an enum": {"type": "enum", "name": "Colour", "symbols": ["RED"]},
}


@pytest.mark.parametrize("kind", UNBOUNDED.values(), ids=UNBOUNDED.keys())
def test_a_schema_that_bounds_nothing_is_found(kind: Any) -> None:
    assert find_unbounded(with_field(kind)) is not None


@pytest.mark.parametrize("kind", BOUNDED.values(), ids=BOUNDED.keys())
def test_ordinary_schemas_are_bounded(kind: Any) -> None:
    assert find_unbounded(with_field(kind)) is None


def test_the_schema_of_the_members_is_bounded() -> None:
    assert find_unbounded(avro_schema()) is None
