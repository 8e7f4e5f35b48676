"""Drills 6, 7, 8 and 10: what comes twice, what cannot be read, what is sent again, and schemas that change."""

import json
import os
import signal
from collections.abc import Iterator
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from drill import MEMBERS, Drill
from member_analyzer.local.supervision import list_processes, start_process, stop_process
from member_analyzer.member import avro_schema
from member_analyzer.record import Reason
from member_analyzer.registry import USERS_VALUE, SchemaRefusedError, Subject, register_schema, subject_schemas
from member_flow import flowing
from patience import holds
from running_platform import Platform
from topic_records import Records

POISONED = MEMBERS // 20
TAKEN_UP = 3


@pytest.mark.drill("6. every message is sent and every task is run twice")
def test_members_count_once_when_everything_is_done_twice(platform: Platform, drill: Drill) -> None:
    with flowing(platform, "drill-twice", times=2):
        platform.create("drill-twice-run", MEMBERS // 5)
        again = platform.create("drill-twice-run", MEMBERS // 5)
        assert platform.airflow.task_result(again, "fetch_and_land")["accepted"] == 0
    drill.check()


@pytest.mark.drill("7. five in a hundred messages are poisoned")
def test_poisoned_messages_are_rejected_with_their_reason_and_the_others_count(
    platform: Platform, drill: Drill, records: Records
) -> None:
    (template,) = records.make_members("drill-poison-template", 1)
    records.send(records.encode(template))
    poison = {
        Reason.WRONG_MAGIC_BYTE: lambda n: b"\1" + records.encode({**template, "id": f"poison-{n}"})[1:],
        Reason.UNKNOWN_SCHEMA: lambda n: records.encode({**template, "id": f"poison-{n}"}, schema_id=99_000 + n),
        Reason.UNDECODABLE: lambda n: records.encode({**template, "id": f"poison-{n}"})[: 20 + n % 20],
        Reason.MISSING_FIELD: lambda n: records.encode({**template, "id": f"poison-{n}", "country": " "}),
        Reason.BAD_DATE: lambda n: records.encode(
            {**template, "id": f"poison-{n}", "date_of_birth": datetime(1066, 10, 14, tzinfo=UTC).date()}
        ),
        # Every tenth is larger than the topic takes, were it not compressed.
        Reason.TEXT_TOO_LONG: lambda n: records.encode(
            {**template, "id": f"poison-{n}", "address": "x" * (3_000_000 if n % 10 == 0 else 100_000)}
        ),
        Reason.UNREADABLE_TEXT: lambda n: records.encode(
            {**template, "id": f"poison-{n}", "first_name": "Jane"}
        ).replace(b"Jane", b"J\xff\xfee"),
    }
    sent: list[tuple[str, bytes]] = []
    with flowing(platform, "drill-poison") as flow:
        for n in range(POISONED):
            flow.wait_until_landed(n * 18)
            reason = list(poison)[n % len(poison)]
            value = poison[reason](n)
            sent.append((reason.value, value))
            records.send(value, key=f"drill-poison-{n}")
    rejected = records.wait_for_rejected(lambda one: (one.key or b"").startswith(b"drill-poison-"), POISONED)
    assert sorted((one.reason, one.value) for one in rejected) == sorted(sent)
    drill.check()


@pytest.mark.drill("8. the rejected are replayed once the cause is mended")
def test_replayed_records_count_once_and_those_that_fail_again_are_rejected_once(
    platform: Platform, drill: Drill, records: Records
) -> None:
    newer = json.loads(avro_schema())
    newer["fields"].append({"name": "loyalty", "type": ["null", "string"], "default": None})
    # The registry has the schema, but not among those of the topic.
    later = register_schema(records.registry, Subject("drill-replay-value"), json.dumps(newer))
    members = records.make_members("drill-replay", MEMBERS // 10)
    never = records.encode({**members[0], "id": "drill-replay-never", "gender": "?"})
    values = [records.encode(one, schema=json.dumps(newer), schema_id=later, loyalty="gold") for one in members]
    with flowing(platform, "drill-replay-flow") as flow:
        flow.wait_until_in_flow(MEMBERS // 5)
        records.send(*values, never, key="drill-replay", trace=b"\xff\0")
        rejected = records.wait_for_rejected(lambda one: one.key == b"drill-replay", len(values) + 1)
        assert {one.value for one in rejected} == {*values, never}
        assert register_schema(records.registry, USERS_VALUE, json.dumps(newer)) == later
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
    members = records.make_members("drill-schema", MEMBERS // 5)
    with flowing(platform, "drill-schema-flow") as flow:
        flow.wait_until_in_flow()
        new_id = register_schema(records.registry, USERS_VALUE, json.dumps(newer))
        for n, one in enumerate(members):
            is_newer = n % 2 == 0
            value = (
                records.encode(one, schema=json.dumps(newer), schema_id=new_id, favourite_colour="red")
                if is_newer
                else records.encode(one)
            )
            members[n] = {"value": value}
        records.send(*(one["value"] for one in members))
        known = subject_schemas(records.registry, USERS_VALUE)
        newer["fields"].append({"name": "shoe_size", "type": "int"})
        with pytest.raises(SchemaRefusedError, match="users-value"):
            register_schema(records.registry, USERS_VALUE, json.dumps(newer))
        assert subject_schemas(records.registry, USERS_VALUE) == known
    drill.check()
    assert list_processes(platform.home)["stream"].pid == pid, "the stream was started anew"


@pytest.fixture
def eager_snapshots(platform: Platform) -> Iterator[None]:
    """Every batch's state goes to the checkpoint as a snapshot within 4 seconds, not one of ten within a minute.

    So what a batch leaves there that was given up is what a later one is computed from: the snapshot of the repeated
    batch takes its place only after that.
    """
    defaults = platform.home.folder("spark", "stream") / "spark-defaults.conf"
    usual = defaults.read_text()
    eager = {"maintenanceInterval": "4s", "minDeltasForSnapshot": "1"}
    lines = [f"spark.sql.streaming.stateStore.{name} {value}" for name, value in eager.items()]
    restart_stream(platform, usual + "\n".join(lines) + "\n")
    yield
    restart_stream(platform, usual)


def restart_stream(platform: Platform, defaults: str) -> None:
    stop_process(platform.home, "stream")
    (platform.home.folder("spark", "stream") / "spark-defaults.conf").write_text(defaults)
    start_process(platform.home, "stream")


@pytest.mark.usefixtures("eager_snapshots")
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
        new_id = register_schema(records.registry, USERS_VALUE, json.dumps(newer))
        is_counted = partial(has_other_state, platform, state(platform))
        # Whether the record is rejected cannot be decided as long as the registry does not answer.
        os.kill(registry, signal.SIGSTOP)
        try:
            send_one(f"newer-{n}", schema=json.dumps(newer), schema_id=new_id, **{name: "yes"})
            assert not holds(is_counted, 5), "it was counted before it was decided"
        finally:
            os.kill(registry, signal.SIGCONT)
        platform.wait_until_counted()
        # The batch behind the one that was read twice is computed from what that one left.
        send_one(f"after-{n}")
        platform.wait_until_counted()
    drill.check()


def state(platform: Platform) -> set[Path]:
    """The files that hold what the stream counted, one for each batch and partition of the state."""
    return set(platform.home.checkpoint.glob("*/*/analysis/state/*/*/*.changelog"))


def has_other_state(platform: Platform, before: set[Path]) -> bool:
    return state(platform) != before
