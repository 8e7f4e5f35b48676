"""Values that claim more than they are, and the program that reads one of them: `python hostile_values.py NAME`.

The program limits its own memory and time, so that a reader that believes a claim ends, and nothing else with it.
"""

import json
import resource
import sys
from collections.abc import Callable
from typing import Any

from member_analyzer.records.wire import UnreadableValueError, ValueReader
from member_analyzer.streams.members.record import avro_schema

MEMORY_BYTES = 2 * 2**30
CPU_SECONDS = 60
UNREADABLE, READ = "unreadable", "read"
LARGEST_BYTES = 64 * 2**20


def number(value: int) -> bytes:
    """A number as Avro writes it."""
    zigzag = value << 1 ^ value >> 63
    written = bytearray()
    while zigzag > 0x7F:
        written.append(zigzag & 0x7F | 0x80)
        zigzag >>= 7
    written.append(zigzag)
    return bytes(written)


def record(*fields: Any) -> Any:
    """A schema with fields of these types."""
    return {"type": "record", "name": "R", "fields": [{"name": f"f{n}", "type": one} for n, one in enumerate(fields)]}


def array(items: Any) -> Any:
    return {"type": "array", "items": items}


EMPTY = {"type": "record", "name": "Empty", "fields": []}
LIST = {"type": "record", "name": "List", "fields": [{"name": "next", "type": ["null", "List"]}]}
TREE = {"type": "record", "name": "Tree", "fields": [{"name": "children", "type": array("Tree")}]}
ENDLESS = {"type": "record", "name": "Endless", "fields": [{"name": "again", "type": "Endless"}]}
# Each holds the one before twice: 2^60 values in no byte.
DOUBLED = [
    EMPTY | {"name": "D0"},
    *(
        {"type": "record", "name": f"D{n}", "fields": [{"name": name, "type": f"D{n - 1}"} for name in "ab"]}
        for n in range(1, 61)
    ),
]
MEMBER = json.loads(avro_schema())

# Name -> the schema, and what makes the bytes after the header.
HOSTILE: dict[str, tuple[Any, Callable[[], bytes]]] = {
    "a text of two billion bytes": (MEMBER, lambda: bytes.fromhex("80d0acf30e78")),
    "a text of a negative length": (record("string"), lambda: number(-1) + b"x"),
    "a text of 2^62 bytes": (record("string"), lambda: number(2**62)),
    "bytes of two billion bytes": (record("bytes"), lambda: number(2 * 10**9) + b"x"),
    "a fixed type of 2^40 bytes": (record({"type": "fixed", "name": "F", "size": 2**40}), lambda: b"x" * 100),
    "2^60 nulls": (record(array("null")), lambda: number(2**60) + b"\0"),
    "2^60 nulls in a block of a size": (record(array("null")), lambda: number(-(2**60)) + number(0) + b"\0"),
    "2^60 empty records": (record(array(EMPTY)), lambda: number(2**60) + b"\0"),
    "2^60 fixed types of no bytes": (
        record(array({"type": "fixed", "name": "F", "size": 0})),
        lambda: number(2**60) + b"\0",
    ),
    "blocks of nulls without an end": (record(array("null")), lambda: number(1000) * LARGEST_BYTES),
    "arrays of arrays of nulls": (
        record(array(array("null"))),
        lambda: number(10**6) + (number(10**6) + b"\0") * 10**6,
    ),
    "2^60 entries of a map": (record({"type": "map", "values": "null"}), lambda: number(2**60) + b"\0"),
    "64 MiB of integers": (record(array("int")), lambda: number(LARGEST_BYTES) + b"\2" * LARGEST_BYTES + b"\0"),
    "records of many nulls for each byte": (
        record(array(record("boolean", *["null"] * 1000) | {"name": "Item"})),
        lambda: number(10**6) + b"\1" * 10**6 + b"\0",
    ),
    "a list of a million levels": (LIST, lambda: b"\2" * 1_000_000 + b"\0"),
    "a tree of a million levels": (TREE, lambda: b"\2" * 1_000_000 + b"\0" * 1_000_000),
    "a record that holds itself": (ENDLESS, lambda: b"x"),
    "records that double": (DOUBLED, lambda: number(60) + b"x"),
    "a decimal of 32 MiB": (
        record({"type": "bytes", "logicalType": "decimal", "precision": 9, "scale": 2}),
        lambda: number(LARGEST_BYTES // 2) + b"\x7f" * (LARGEST_BYTES // 2),
    ),
    "a number that does not end": (record("long"), lambda: b"\xff" * LARGEST_BYTES),
    "an integer of six bytes": (record("int"), lambda: b"\x80\x80\x80\x80\x80\0"),
    "a branch that is not there": (record(["null", "string"]), lambda: number(2) + b"\2x"),
    "a negative branch": (record(["null", "string"]), lambda: number(-1) + b"\2x"),
    "a negative symbol": (record({"type": "enum", "name": "E", "symbols": ["A", "B"]}), lambda: number(-1)),
    "a schema that is none of Avro": ({"type": "object", "properties": {}}, lambda: b"x"),
    "a schema of many levels": ("[" * 100_000 + "]" * 100_000, lambda: b"x"),
}

# Large, but all that it claims is there.
HONEST: dict[str, tuple[Any, Callable[[], bytes]]] = {
    "a text of 64 MiB": (record("string"), lambda: number(LARGEST_BYTES) + b"x" * LARGEST_BYTES),
    "bytes of 64 MiB": (record("bytes"), lambda: number(LARGEST_BYTES) + b"\xff" * LARGEST_BYTES),
    "100,000 integers": (record(array("int")), lambda: number(100_000) + b"\2" * 100_000 + b"\0"),
    "a list of fifty levels": (LIST, lambda: b"\2" * 50 + b"\0"),
}


def read(name: str, reader: str | None = None) -> str:
    """Whether the value can be read, as a record of another schema or of its own."""
    schema, write = (HOSTILE | HONEST)[name]
    text = schema if isinstance(schema, str) else json.dumps(schema)
    try:
        ValueReader({7: text}, reader or text).read(b"\0\0\0\0\7" + write())
    except UnreadableValueError:
        return UNREADABLE
    return READ


if __name__ == "__main__":
    resource.setrlimit(resource.RLIMIT_AS, (MEMORY_BYTES, MEMORY_BYTES))
    resource.setrlimit(resource.RLIMIT_CPU, (CPU_SECONDS, CPU_SECONDS))
    # As the console reads it, and as the audit does.
    outcomes = read(sys.argv[1]), read(sys.argv[1], avro_schema())
    print(*outcomes, resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024)
