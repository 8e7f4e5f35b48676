"""A value never claims more than its own bytes: what is laid out wrongly is unreadable, in bounded time and memory."""

import io
import subprocess
import sys
from pathlib import Path
from typing import Any

import fastavro
import pytest
from fastavro.utils import generate_many

import hostile_values
from hostile_values import HONEST, HOSTILE, READ, UNREADABLE, array, number, record
from member_analyzer.records.layout import LayoutError, compile_layout

DEADLINE_SECONDS = 300
# The largest value is made and kept several times.
MOST_MEGABYTES = 800

EVERY_TYPE = record(
    *("null", "boolean", "int", "long", "float", "double", "bytes", "string"),
    array("long"),
    array(array({"type": "map", "values": "bytes"})),
    {"type": "map", "values": ["null", "int", "string"]},
    {"type": "enum", "name": "Colour", "symbols": ["RED", "GREEN"]},
    {"type": "fixed", "name": "Hash", "size": 16},
    [{"type": "fixed", "name": "Other", "size": 3}, "Hash", "Colour"],
    ["string", "null"],
    {"type": "long", "logicalType": "timestamp-millis"},
    record("int", ["null", "string"]) | {"name": "Inner"},
    {"type": "string"},
)


def read_in_another_process(name: str) -> list[str]:
    """Whether a value can be read as itself, and as a member; the process is killed at the deadline."""
    done = subprocess.run(
        [sys.executable, str(Path(hostile_values.__file__)), name],
        capture_output=True,
        text=True,
        timeout=DEADLINE_SECONDS,
        check=False,
    )
    assert done.returncode == 0, f"it ended with {done.returncode}: {done.stderr[-2000:]}"
    *outcomes, megabytes = done.stdout.split()
    assert int(megabytes) < MOST_MEGABYTES
    return outcomes


@pytest.mark.parametrize("name", HOSTILE)
def test_a_value_that_claims_more_than_it_is_is_unreadable(name: str) -> None:
    assert read_in_another_process(name) == [UNREADABLE, UNREADABLE]


@pytest.mark.parametrize("name", HONEST)
def test_a_large_value_whose_claims_are_true_is_read(name: str) -> None:
    assert read_in_another_process(name)[0] == READ


def test_what_fastavro_writes_is_laid_out_as_its_schema_says() -> None:
    schema = fastavro.parse_schema(EVERY_TYPE)
    check = compile_layout(schema)
    for one in generate_many(schema, 200):
        written = io.BytesIO()
        fastavro.schemaless_writer(written, schema, one)
        check(b"head." + written.getvalue(), 5)
        with pytest.raises(LayoutError):
            check(b"head." + written.getvalue()[:-1], 5)


@pytest.mark.parametrize("value", [0, -1, 63, -64, 64, 2**31 - 1, -(2**31)])
def test_an_integer_of_every_length_is_laid_out_rightly(value: int) -> None:
    schema: Any = fastavro.parse_schema(record("int", "string"))
    compile_layout(schema)(number(value) + b"\2x", 0)
