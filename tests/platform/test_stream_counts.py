"""What is counted of an id is what its row says, whichever way its records came, and a repair lasts."""

from collections.abc import Iterator
from datetime import date

import pytest
from confluent_kafka import Producer

from landed_members import land_users
from member_analyzer.kafka.client import client_options
from member_analyzer.landing.erasure import erase_records
from member_analyzer.local.supervision import start_process, stop_process
from member_analyzer.records.rejection import Reason
from member_analyzer.settings import KafkaSettings
from member_analyzer.streaming.record_sink import SMALL_BATCH, WRITE_TIMESTAMP
from member_analyzer.streams.members.definition import MEMBERS
from member_analyzer.streams.members.record import ERASED
from patience import holds
from running_platform import Platform
from topic_records import Records


def wait_until_read(platform: Platform, records: Records, seed: str) -> None:
    """Every partition is read as far as it goes now, because a member behind it is counted."""
    for partition in range(4):
        (marker,) = records.make_members(f"{seed}-{partition}", 1)
        send_to(platform, partition, records.encode(marker))
    platform.wait_until_counted()


def send_to(platform: Platform, partition: int, *values: bytes) -> None:
    producer = Producer(client_options(KafkaSettings.of(platform.environment("airflow"))))
    for value in values:
        producer.produce(MEMBERS.topic.name, value=value, partition=partition)
    assert producer.flush(30) == 0


def test_one_id_in_two_partitions_is_counted_once_as_its_row_says(platform: Platform) -> None:
    records = Records(platform)
    members = records.make_members("two-partitions", 4)
    for member in members:
        elsewhere = {**member, "country": "Atlantis", "city": "Poseidonis", "nationality": "NO", "phone": "1"}
        send_to(platform, 3, records.encode({**member, "phone": None}))
        send_to(platform, 0, records.encode(elsewhere))
        send_to(platform, 2, records.encode(elsewhere))
    wait_until_read_in_any_order(platform, records, {member["id"]: member for member in members})


def wait_until_read_in_any_order(platform: Platform, records: Records, members: dict[str, dict[str, object]]) -> None:
    """Which of the records of an id is the first one depends on what a batch holds: the row has the say."""
    for key in members:
        assert holds(lambda one=key: platform.created_user(one) is not None), f"{key} has no row"
    for key, member in members.items():
        row = platform.created_user(key)
        is_first = row["country"] == member["country"]
        assert row["phone"] == (None if is_first else "1"), "the row blends two records"
        if not is_first:
            platform.taken[key]["location"] = {"country": "Atlantis", "city": "Poseidonis"}
    wait_until_read(platform, records, "behind-two-partitions")


def test_an_erasure_takes_back_what_was_counted_of_a_member_that_bypassed_landing(platform: Platform) -> None:
    records = Records(platform)
    (user,) = platform.source.users(seed="bypassed-and-erased", results=1, page=1)
    (member,) = records.make_members("bypassed-and-erased", 1)
    records.send(records.encode({**member, "country": "Atlantis", "city": "Poseidonis"}), key=member["id"])
    platform.taken[member["id"]]["location"] = {"country": "Atlantis", "city": "Poseidonis"}
    platform.wait_until_counted()
    assert land_users(platform.landing, [user], source="test").accepted == 1
    assert holds(lambda: unpublished(platform) == 0), "the member was not published"
    assert erase_records(platform.landing, MEMBERS, [member["id"]]).erased == [member["id"]]
    del platform.taken[member["id"]]
    assert holds(lambda: unpublished(platform) == 0), "the erasure was not published"
    platform.wait_until_counted()
    wait_until_read(platform, records, "behind-bypassed")


def unpublished(platform: Platform) -> int:
    row = platform.landing.execute("SELECT count(*) FROM landing.unpublished").fetchone()
    assert row is not None
    return int(row[0])


def test_what_a_recount_repairs_stays_repaired_when_the_next_member_arrives(platform: Platform) -> None:
    records = Records(platform)
    (first, second) = records.make_members("lasting", 2)
    records.send(records.encode(first))
    del platform.taken[second["id"]]
    platform.wait_until_counted()
    (user,) = platform.source.users(seed="lasting", results=2, page=1)[1:]
    country, born = second["country"], second["date_of_birth"]
    session, day = platform.session, platform.today
    session.execute(
        "UPDATE spark_streams.country SET members = 70 WHERE analysis_date = %s AND country = %s", (day, country)
    )
    session.execute("UPDATE spark_streams.gender SET total = 5 WHERE analysis_date = %s", (day,))
    session.execute("UPDATE spark_streams.age SET members = 9 WHERE analysis_date = %s AND age_group = '61+'", (day,))
    session.execute(
        "INSERT INTO spark_streams.births (stream, date_of_birth, members) VALUES ('users', %s, 3)", (date(1950, 1, 1),)
    )
    platform.run("user_analysis")
    platform.wait_until_counted()
    platform.expect([user])
    records.send(records.encode(second))
    platform.wait_until_counted()
    platform.run("user_analysis")
    newest = platform.tables.read_audits(platform.today)[:4]
    assert [one.differences for one in newest] == [[]] * 4
    assert born is not None


def test_records_that_bypass_landing_are_counted_in_the_form_in_which_others_are_kept(platform: Platform) -> None:
    records = Records(platform)
    spellings = ["Zürich", "Zu\u0308rich", " Zürich", "Zü\u200brich", "Zürich\ufeff"]
    members = records.make_members("spellings", len(spellings))
    for member, city in zip(members, spellings, strict=True):
        country = {"Zürich": "CH", "Zu\u0308rich": "switzerland"}.get(city, "Switzerland")
        records.send(records.encode({**member, "city": city, "country": country}))
        platform.taken[member["id"]]["location"] = {"country": "Switzerland", "city": "Zürich"}
    platform.wait_until_counted()
    assert {platform.created_user(member["id"])["city"] for member in members} == {"Zürich"}


def test_a_city_of_which_nothing_can_be_seen_is_missing(platform: Platform) -> None:
    records = Records(platform)
    (member,) = records.make_members("unseen", 1)
    del platform.taken[member["id"]]
    records.send(records.encode({**member, "city": "\u200b"}), key="unseen")
    (rejected,) = records.wait_for_rejected(lambda one: one.key == b"unseen", 1)
    assert rejected.reason == Reason.MISSING_FIELD


@pytest.fixture
def stopped_stream(platform: Platform) -> Iterator[None]:
    """The stream is down until the test starts it, and runs after the test."""
    stop_process(platform.home, "stream")
    yield
    stop_process(platform.home, "stream")
    start_process(platform.home, "stream")


@pytest.mark.usefixtures("stopped_stream")
def test_a_backlog_that_spark_decodes_is_counted_as_a_small_batch_is(platform: Platform) -> None:
    records = Records(platform)
    members = records.make_members("backlog", SMALL_BATCH) + records.make_members("backlog-behind", 1000)
    (erased, bare, odd, *_) = members
    values = [records.encode(member) for member in members]
    values[1] = records.encode({**bare, "phone": None, "title": None})
    values[2] = records.encode({**odd, "city": "Zu\u0308rich", "country": "CH"})
    platform.taken[odd["id"]]["location"] = {"country": "Switzerland", "city": "Zürich"}
    records.send(*values, key="backlog")
    # Of one key, so that all of it lies in one partition, in this order.
    elsewhere = [records.encode({**member, "country": "Atlantis", "city": "Poseidonis"}) for member in members[:500]]
    records.send(*elsewhere, records.encode({**erased, "kind": ERASED}), b"\1poison", key="backlog")
    records.send(records.encode({**odd, "id": "unseen-in-a-backlog", "city": "\u200b"}), key="backlog")
    del platform.taken[erased["id"]]
    start_process(platform.home, "stream")
    rejected = records.wait_for_rejected(lambda one: one.key == b"backlog", 2)
    assert {one.reason for one in rejected} == {Reason.WRONG_MAGIC_BYTE.value, Reason.MISSING_FIELD.value}
    platform.wait_until_counted()
    assert platform.created_user(bare["id"])["phone"] is None
    assert platform.created_user(odd["id"])["city"] == "Zürich"
    written = platform.session.execute(
        "SELECT WRITETIME(country) AS written FROM spark_streams.created_users WHERE id = %s", (bare["id"],)
    ).one()
    assert written["written"] == WRITE_TIMESTAMP
    # Their ids have rows now: the same records again, as another backlog, change nothing.
    stop_process(platform.home, "stream")
    records.send(*values, key="backlog")
    marker = records.make_members("backlog-marker", 1)
    records.send(*(records.encode(member) for member in marker), key="backlog")
    start_process(platform.home, "stream")
    platform.wait_until_counted()
