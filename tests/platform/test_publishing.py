"""Rows that can never be published, on the real PostgreSQL and Kafka."""

import json
import secrets
from datetime import UTC, datetime

from landed_members import land_users
from member_analyzer.landing.acceptance import read_records
from member_analyzer.landing.counters import count_landed, count_unpublishable, recount_landed
from member_analyzer.landing.outbox import read_unpublishable
from member_analyzer.records.rejection import Reason
from member_analyzer.streams.members.definition import MEMBERS
from patience import holds
from running_platform import Platform

# What stands in a row -> what is said of it.
BROKEN = {
    "an array": ("[1]", "it is not a record"),
    "no fields": ("{}", "The field id is missing"),
    "a lone surrogate": ('{"id": "broken", "city": "\\ud800"}', "it is not a record"),
    "a date that is none": ('{"id": "broken", "date_of_birth": "never"}', "date_of_birth is not a date"),
    "a number for text": ('{"id": "broken", "kind": "created", "city": 7}', ""),
    "too large for Kafka": ("large", "MSG_SIZE_TOO_LARGE"),
}


def test_rows_that_cannot_be_published_are_set_aside_and_the_others_are_counted(platform: Platform) -> None:
    users = platform.source.users(seed="set-aside", results=len(BROKEN), page=1)
    members, _ = read_records(MEMBERS, users, datetime.now(UTC))
    records = {member["id"]: member for member in members}
    assert land_users(platform.landing, platform.source.users(seed="beside", results=40, page=1), source="test")
    platform.expect(platform.source.users(seed="beside", results=40, page=1))
    with platform.landing.transaction():
        for key, (broken, _) in zip(records, BROKEN.values(), strict=True):
            large = json.dumps({**records[key], "phone": secrets.token_hex(2**21)})
            platform.landing.execute(
                "INSERT INTO landing.users (id, record, source) VALUES (%s, %s, 'test')",
                (key, large if broken == "large" else broken),
            )
            platform.landing.execute("INSERT INTO landing.unpublished (id) VALUES (%s)", (key,))
    # Behind them in the queue.
    later = platform.source.users(seed="behind", results=40, page=1)
    assert land_users(platform.landing, later, source="test").accepted == 40
    platform.expect(later)
    try:
        assert holds(lambda: count_landed(platform.landing, MEMBERS).unpublishable == len(BROKEN))
        # It may be the first test on a new platform, whose stream has just begun.
        platform.wait_until_counted()
        why = {key: rejection for key, rejection, _ in read_unpublishable(platform.landing, MEMBERS, 100)}
        for key, (name, (_, message)) in zip(records, BROKEN.items(), strict=True):
            assert why[key].reason == Reason.UNPROCESSABLE
            assert message in why[key].message, name
        listed = platform.command("rejected", "list", "--reason", "unprocessable").stdout
        assert next(iter(records)) in listed.replace("\n", "")
        # What still fails is set aside again.
        platform.command("rejected", "replay", "--reason", "unprocessable")
        assert count_unpublishable(platform.landing, MEMBERS) == {"unprocessable": len(BROKEN)}
    finally:
        for key, record in records.items():
            update = "UPDATE landing.users SET record = %s WHERE id = %s"
            platform.landing.execute(update, (json.dumps(record), key))
        platform.command("rejected", "replay", "--reason", "unprocessable")
        platform.expect(users)
    platform.wait_until_counted()
    assert count_unpublishable(platform.landing, MEMBERS) == {}
    assert count_landed(platform.landing, MEMBERS) == recount_landed(platform.landing, MEMBERS)
    assert "All stations agree." in platform.command("audit").stdout
