"""Drill 11: members are erased while others arrive, and nothing brings them back."""

import json
from datetime import UTC, datetime

import pytest

from drill import Drill, seconds_until
from landed_members import land_users
from member_analyzer.kafka.registry import register_schema
from member_analyzer.landing.erasure import find_erased
from member_analyzer.records.rejection import Reason
from member_analyzer.streams.members.definition import MEMBERS
from member_analyzer.streams.members.forms import from_random_user
from member_analyzer.streams.members.record import avro_schema
from member_flow import PAGE, flowing
from running_platform import Platform
from topic_records import Records


@pytest.mark.drill("11. members are erased")
def test_erased_members_are_gone_from_every_station_and_nothing_brings_them_back(
    platform: Platform, drill: Drill, records: Records
) -> None:
    newer = json.loads(avro_schema())
    newer["fields"].append({"name": "membership", "type": ["null", "string"], "default": None})
    later = register_schema(records.registry, "drill-erase-value", json.dumps(newer))
    with flowing(platform, "drill-erase") as flow:
        flow.wait_until_in_flow()
        users = [
            user for page in range(1, 4) for user in platform.source.users(seed="drill-erase", results=PAGE, page=page)
        ]
        ids = [user["login"]["uuid"] for user in users]
        # Records of theirs that are rejected today, and could be replayed tomorrow.
        members = [from_random_user(user, datetime.now(UTC)) for user in users[:10]]
        values = [records.encode(one, schema=json.dumps(newer), schema_id=later, membership="gold") for one in members]
        records.send(*values, key="drill-erase")
        erased = platform.command("erase", *ids)
        assert erased.stdout.count("is erased") == len(ids)
        drill.seconds = seconds_until(lambda: not platform.created_users().keys() & set(ids))
        assert drill.seconds is not None, "erased members are still in created_users"
        for one in ids:
            del platform.taken[one]
    records.wait_for_rejected(lambda one: one.key == b"drill-erase", len(values))
    assert register_schema(records.registry, MEMBERS.subject, json.dumps(newer)) == later
    replayed = platform.command("rejected", "replay", "--reason", Reason.UNKNOWN_SCHEMA.value)
    assert f"{len(values)} are not: their members are erased" in replayed.stdout
    land_users(platform.landing, users, source="the same pages again")
    platform.take("drill-erase-marker", 100)
    drill.check()
    assert not platform.created_users().keys() & set(ids)
    assert find_erased(platform.landing, MEMBERS, ids) == set(ids)
    blank = platform.landing.execute("SELECT count(*) FROM landing.users WHERE id = ANY(%s) AND record IS NULL", (ids,))
    assert blank.fetchone() == (len(ids),), "something of the members is left in landing"
    again = platform.command("erase", "nobody-of-this-name", ids[0], check=False)
    assert again.returncode == 1
    assert "there is no member nobody-of-this-name" in again.stdout
    assert f"{ids[0]} was erased before" in again.stdout
