"""Avro values that claim to be larger than they are, and a program that reads one: `python hostile_values.py NAME`.

The program limits its own memory and CPU time, so that a reader that trusts such a claim only terminates itself.
"""

import json
import resource
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

from member_analyzer.records.wire import UnreadableValueError, ValueReader
from member_analyzer.streams.members.record import avro_schema

MEMORY_BYTES = 2 * 2**30
CPU_SECONDS = 60
UNREADABLE, READ = "unreadable", "read"
MAX_BYTES = 64 * 2**20


def number(value: int) -> bytes:
    """An integer in Avro's encoding."""
    zigzag = value << 1 ^ value >> 63
    encoded = bytearray()
    while zigzag > 0x7F:
        encoded.append(zigzag & 0x7F | 0x80)
        zigzag >>= 7
    encoded.append(zigzag)
    return bytes(encoded)


def record(*fields: Any) -> Any:
    """A record schema with fields of these types."""
    return {"type": "record", "name": "R", "fields": [{"name": f"f{n}", "type": one} for n, one in enumerate(fields)]}


def array(items: Any) -> Any:
    return {"type": "array", "items": items}


EMPTY = {"type": "record", "name": "Empty", "fields": []}
LIST = {"type": "record", "name": "List", "fields": [{"name": "next", "type": ["null", "List"]}]}
TREE = {"type": "record", "name": "Tree", "fields": [{"name": "children", "type": array("Tree")}]}
ENDLESS = {"type": "record", "name": "Endless", "fields": [{"name": "again", "type": "Endless"}]}
# Each contains the previous one twice: 2^60 values in zero bytes.
DOUBLED = [
    EMPTY | {"name": "D0"},
    *(
        {"type": "record", "name": f"D{n}", "fields": [{"name": name, "type": f"D{n - 1}"} for name in "ab"]}
        for n in range(1, 61)
    ),
]
MEMBER = json.loads(avro_schema())

# The schema by name, and a function that gives the bytes after the header.
HOSTILE: dict[str, tuple[Any, Callable[[], bytes]]] = {
    "a string of two billion bytes": (MEMBER, lambda: bytes.fromhex("80d0acf30e78")),
    "a string of negative length": (record("string"), lambda: number(-1) + b"x"),
    "a string of 2^62 bytes": (record("string"), lambda: number(2**62)),
    "bytes of two billion bytes": (record("bytes"), lambda: number(2 * 10**9) + b"x"),
    "a fixed type of 2^40 bytes": (record({"type": "fixed", "name": "F", "size": 2**40}), lambda: b"x" * 100),
    "2^60 nulls": (record(array("null")), lambda: number(2**60) + b"\0"),
    "2^60 nulls in a block with a size": (record(array("null")), lambda: number(-(2**60)) + number(0) + b"\0"),
    "2^60 empty records": (record(array(EMPTY)), lambda: number(2**60) + b"\0"),
    "2^60 fixed types of no bytes": (
        record(array({"type": "fixed", "name": "F", "size": 0})),
        lambda: number(2**60) + b"\0",
    ),
    "endless blocks of nulls": (record(array("null")), lambda: number(1000) * MAX_BYTES),
    "arrays of arrays of nulls": (
        record(array(array("null"))),
        lambda: number(10**6) + (number(10**6) + b"\0") * 10**6,
    ),
    "2^60 entries of a map": (record({"type": "map", "values": "null"}), lambda: number(2**60) + b"\0"),
    "64 MiB of integers": (record(array("int")), lambda: number(MAX_BYTES) + b"\2" * MAX_BYTES + b"\0"),
    "records with many nulls per byte": (
        record(array(record("boolean", *["null"] * 1000) | {"name": "Item"})),
        lambda: number(10**6) + b"\1" * 10**6 + b"\0",
    ),
    "a list of a million levels": (LIST, lambda: b"\2" * 1_000_000 + b"\0"),
    "a tree of a million levels": (TREE, lambda: b"\2" * 1_000_000 + b"\0" * 1_000_000),
    "a record that contains itself": (ENDLESS, lambda: b"x"),
    "records that double": (DOUBLED, lambda: number(60) + b"x"),
    "a decimal of 32 MiB": (
        record({"type": "bytes", "logicalType": "decimal", "precision": 9, "scale": 2}),
        lambda: number(MAX_BYTES // 2) + b"\x7f" * (MAX_BYTES // 2),
    ),
    "an endless number": (record("long"), lambda: b"\xff" * MAX_BYTES),
    "an integer of six bytes": (record("int"), lambda: b"\x80\x80\x80\x80\x80\0"),
    "a branch that does not exist": (record(["null", "string"]), lambda: number(2) + b"\2x"),
    "a negative branch": (record(["null", "string"]), lambda: number(-1) + b"\2x"),
    "a negative symbol": (record({"type": "enum", "name": "E", "symbols": ["A", "B"]}), lambda: number(-1)),
    "a schema that is not Avro": ({"type": "object", "properties": {}}, lambda: b"x"),
    "a deeply nested schema": ("[" * 100_000 + "]" * 100_000, lambda: b"x"),
}

# Large, but valid.
HONEST: dict[str, tuple[Any, Callable[[], bytes]]] = {
    "a string of 64 MiB": (record("string"), lambda: number(MAX_BYTES) + b"x" * MAX_BYTES),
    "bytes of 64 MiB": (record("bytes"), lambda: number(MAX_BYTES) + b"\xff" * MAX_BYTES),
    "100,000 integers": (record(array("int")), lambda: number(100_000) + b"\2" * 100_000 + b"\0"),
    "a list of fifty levels": (LIST, lambda: b"\2" * 50 + b"\0"),
}


def read(name: str, reader: str | None = None) -> str:
    """Whether the value can be read, with its own schema or another one as the reader's schema."""
    schema, write = (HOSTILE | HONEST)[name]
    text = schema if isinstance(schema, str) else json.dumps(schema)
    try:
        ValueReader({7: text}, reader or text).read(b"\0\0\0\0\7" + write())
    except UnreadableValueError:
        return UNREADABLE
    return READ


def read_peak_megabytes() -> int:
    """The largest amount of memory that this process had; that of `getrusage` includes what its parent had."""
    status = dict(line.split(":", 1) for line in Path("/proc/self/status").read_text().splitlines())
    return int(status["VmHWM"].split()[0]) // 1024


if __name__ == "__main__":
    resource.setrlimit(resource.RLIMIT_AS, (MEMORY_BYTES, MEMORY_BYTES))
    resource.setrlimit(resource.RLIMIT_CPU, (CPU_SECONDS, CPU_SECONDS))
    # Like the console, and like the audit.
    outcomes = read(sys.argv[1]), read(sys.argv[1], avro_schema())
    print(*outcomes, read_peak_megabytes())
