"""Drills 6, 7, 8 and 10: what comes twice, what cannot be read, what is sent again, and schemas that change."""

import json
import os
import random
import signal
import struct
from collections import Counter
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

import pytest

from drill import MEMBER_COUNT, Drill
from member_analyzer.kafka.registry import SchemaRefusedError, register_schema, subject_schemas
from member_analyzer.local.supervision import list_processes
from member_analyzer.records.rejection import Reason
from member_analyzer.streams.members.definition import MEMBERS
from member_analyzer.streams.members.record import avro_schema
from member_flow import flowing
from patience import holds
from running_platform import Platform
from topic_records import Member, Records

POISONED = MEMBER_COUNT // 20
TAKEN_UP = 3


@pytest.mark.drill("6. every message is sent and every task is run twice")
def test_members_count_once_when_everything_is_done_twice(platform: Platform, drill: Drill) -> None:
    with flowing(platform, "drill-twice", times=2):
        platform.create("drill-twice-run", MEMBER_COUNT // 5)
        again = platform.create("drill-twice-run", MEMBER_COUNT // 5)
        assert platform.airflow.task_result(again, "fetch_and_land")["accepted"] == 0
    drill.check()


HOSTILE_HEADERS: list[list[tuple[str, bytes | None]]] = [
    [],
    [("trace", b"\xff\xfe"), ("trace", None)],
    [("rejected.reason", b"bad_date"), ("rejected.offset", b"\xff")],
    [("replayed.from", b"users:0:0")],
    [("\u001b[2J", b"\x00" * 1000)] * 50,
]


def poison_kinds(records: Records, template: Member) -> list[tuple[Reason, Callable[[int], bytes | None]]]:
    """Every kind of poison: the reason that it is rejected for, and the n-th value of the kind."""
    header = b"\0" + struct.pack(">I", records.schema_id)
    huge, negative, endless = bytes.fromhex("80d0acf30e"), b"\x03", b"\xff" * 12

    def encode(n: int, **changes: Any) -> bytes:
        return records.encode({**template, "id": f"poison-{n}", **changes})

    return [
        (Reason.EMPTY_VALUE, lambda n: None),
        (Reason.WRONG_MAGIC_BYTE, lambda n: b"\1" + encode(n)[1:]),
        (Reason.WRONG_MAGIC_BYTE, lambda n: json.dumps({"id": f"poison-{n}"}).encode()),
        (Reason.WRONG_MAGIC_BYTE, lambda n: header[: n % 6]),
        (Reason.UNKNOWN_SCHEMA, lambda n: records.encode({**template, "id": f"poison-{n}"}, schema_id=99_000 + n)),
        (Reason.UNKNOWN_SCHEMA, lambda n: b"\0\xff\xff\xff\xff" + encode(n)[5:]),
        (Reason.UNDECODABLE, lambda n: encode(n)[: 20 + n % 20]),
        (Reason.UNDECODABLE, lambda n: header + huge + f"x{n}".encode()),
        (Reason.UNDECODABLE, lambda n: header + negative + f"{n}".encode()),
        (Reason.UNDECODABLE, lambda n: header + endless + f"{n}".encode()),
        (Reason.UNDECODABLE, lambda n: header + b"\x02a" + huge + f"{n}".encode()),
        (Reason.UNDECODABLE, lambda n: header + random.Random(n).randbytes(3)),
        (Reason.MISSING_FIELD, lambda n: encode(n, country=" ")),
        (Reason.BAD_DATE, lambda n: encode(n, date_of_birth=datetime(1066, 10, 14, tzinfo=UTC).date())),
        # Some are larger than the topic takes, were they not compressed.
        (Reason.TEXT_TOO_LONG, lambda n: encode(n, address="x" * (3_000_000 if n % 10 == 0 else 100_000))),
        (Reason.UNREADABLE_TEXT, lambda n: encode(n, first_name="Jane").replace(b"Jane", b"J\xff\xfee")),
        (Reason.UNREADABLE_TEXT, lambda n: encode(n, first_name="Jane").replace(b"Jane", b"J\0ne")),
        (Reason.UNKNOWN_VALUE, lambda n: encode(n, gender="?")),
    ]


@pytest.mark.drill("7. five in a hundred messages are poisoned")
def test_poisoned_messages_are_rejected_with_their_reason_and_the_others_count(
    platform: Platform, drill: Drill, records: Records
) -> None:
    (template,) = records.make_members("drill-poison-template", 1)
    records.send(records.encode(template))
    kinds = poison_kinds(records, template)
    sent: list[tuple[str, bytes | None]] = []
    with flowing(platform, "drill-poison") as flow:
        for n in range(POISONED):
            flow.wait_until_landed(n * flow.count // POISONED * 9 // 10)
            reason, make = kinds[n % len(kinds)]
            value = make(n)
            sent.append((reason.value, value))
            records.send(value, key=f"drill-poison-{n}", headers=HOSTILE_HEADERS[n % len(HOSTILE_HEADERS)])
    rejected = records.wait_for_rejected(lambda one: (one.key or b"").startswith(b"drill-poison-"), POISONED)
    assert Counter((one.reason, one.value) for one in rejected) == Counter(sent)
    drill.check()


@pytest.mark.drill("8. the rejected are replayed once the cause is mended")
def test_replayed_records_count_once_and_those_that_fail_again_are_rejected_once(
    platform: Platform, drill: Drill, records: Records
) -> None:
    newer = json.loads(avro_schema())
    newer["fields"].append({"name": "loyalty", "type": ["null", "string"], "default": None})
    # The registry has the schema, but not among those of the topic.
    later = register_schema(records.registry, "drill-replay-value", json.dumps(newer))
    members = records.make_members("drill-replay", MEMBER_COUNT // 10)
    never = records.encode({**members[0], "id": "drill-replay-never", "gender": "?"})
    values = [records.encode(one, schema=json.dumps(newer), schema_id=later, loyalty="gold") for one in members]
    with flowing(platform, "drill-replay-flow") as flow:
        flow.wait_until_in_flow(MEMBER_COUNT // 5)
        records.send(*values, never, key="drill-replay", trace=b"\xff\0")
        rejected = records.wait_for_rejected(lambda one: one.key == b"drill-replay", len(values) + 1)
        assert {one.value for one in rejected} == {*values, never}
        assert register_schema(records.registry, MEMBERS.subject, json.dumps(newer)) == later
        replay = ("rejected", "replay", "--reason", Reason.UNKNOWN_SCHEMA.value)
        waiting = [one for one in records.rejected() if one.reason == Reason.UNKNOWN_SCHEMA and not one.is_replayed]
        assert f"{len(waiting):,} records of users_rejected are sent again" in platform.command(*replay).stdout
        # Of other drills some may have been rejected again by now; of these none.
        again = platform.command("rejected", "replay", *(one.origin for one in waiting))
        assert "0 records of users_rejected are sent again" in again.stdout
        platform.command("rejected", "replay", "--reason", Reason.UNKNOWN_VALUE.value)
    drill.check()
    left = [one for one in records.rejected() if one.key == b"drill-replay" and not one.is_replayed]
    assert [(one.reason, one.value) for one in left] == [(Reason.UNKNOWN_VALUE.value, never)]
    assert [name for name, _ in left[0].headers] == ["trace", "replayed.from"]


@pytest.mark.drill("10. the schema changes")
def test_both_versions_of_a_schema_count_in_the_running_stream(
    platform: Platform, drill: Drill, records: Records
) -> None:
    pid = list_processes(platform.home)["stream"].pid
    newer = json.loads(avro_schema())
    newer["fields"].append({"name": "favourite_colour", "type": ["null", "string"], "default": None})
    members = records.make_members("drill-schema", MEMBER_COUNT // 5)
    with flowing(platform, "drill-schema-flow") as flow:
        flow.wait_until_in_flow()
        new_id = register_schema(records.registry, MEMBERS.subject, json.dumps(newer))
        for n, one in enumerate(members):
            is_newer = n % 2 == 0
            value = (
                records.encode(one, schema=json.dumps(newer), schema_id=new_id, favourite_colour="red")
                if is_newer
                else records.encode(one)
            )
            members[n] = {"value": value}
        records.send(*(one["value"] for one in members))
        known = subject_schemas(records.registry, MEMBERS.subject)
        newer["fields"].append({"name": "shoe_size", "type": "int"})
        with pytest.raises(SchemaRefusedError, match="users-value"):
            register_schema(records.registry, MEMBERS.subject, json.dumps(newer))
        assert subject_schemas(records.registry, MEMBERS.subject) == known
    drill.check()
    assert list_processes(platform.home)["stream"].pid == pid, "the stream was started anew"


@pytest.mark.drill("10b. a new schema is taken up again and again")
def test_no_count_is_lost_when_batches_are_read_again_with_a_new_schema(
    platform: Platform, drill: Drill, records: Records
) -> None:
    newer = json.loads(avro_schema())
    registry = drill.pid("registry")

    def send_one(moment: str, **how: Any) -> None:
        (member,) = records.make_members(f"drill-taken-up-{moment}", 1)
        records.send(records.encode(member, **how))

    for n in range(TAKEN_UP):
        send_one(f"before-{n}")
        platform.wait_until_counted()
        name = f"taken_up_{n}"
        newer["fields"].append({"name": name, "type": ["null", "string"], "default": None})
        new_id = register_schema(records.registry, MEMBERS.subject, json.dumps(newer))
        totals = platform.totals()
        # Whether the record is rejected cannot be decided as long as the registry does not answer.
        os.kill(registry, signal.SIGSTOP)
        try:
            send_one(f"newer-{n}", schema=json.dumps(newer), schema_id=new_id, **{name: "yes"})
            assert not holds(lambda before=totals: platform.totals() != before, 5), "it was counted undecided"
        finally:
            os.kill(registry, signal.SIGCONT)
        platform.wait_until_counted()
        send_one(f"after-{n}")
        platform.wait_until_counted()
    drill.check()
