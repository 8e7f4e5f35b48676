"""The way of real members through the real platform."""

import json
from datetime import UTC, datetime
from pathlib import Path

import pytest
from PIL import Image

from member_analyzer.landing.counters import count_landed
from member_analyzer.local.supervision import start_process, stop_process
from member_analyzer.operations.airflow import AirflowError
from member_analyzer.records.rejection import Reason
from member_analyzer.streams.members.definition import MEMBERS
from member_samples import recorded_users
from patience import DEADLINE, holds
from running_platform import Platform


def test_recorded_members_of_the_real_api_arrive_in_every_table(platform: Platform) -> None:
    platform.source.recorded = recorded_users()
    count = len(platform.source.recorded)
    run = platform.create("recorded", count, page_size=count)
    assert platform.airflow.task_result(run, "fetch_and_land") == {"accepted": count, "duplicate": 0, "rejected": 0}
    platform.wait_until_counted()
    user = platform.source.recorded[0]
    row = platform.created_user(user["login"]["uuid"])
    assert row["first_name"] == user["name"]["first"]
    assert str(row["date_of_birth"]) == user["dob"]["date"][:10]
    assert row["address"].endswith(f"{user['location']['state']}, {user['location']['country']}")


def test_seeded_members_are_counted_as_an_independent_count_does(platform: Platform) -> None:
    # It publishes too, whatever has landed.
    stop_process(platform.home, "collector")
    try:
        run = platform.create("platform-tests", 2500)
    finally:
        start_process(platform.home, "collector")
    assert platform.airflow.task_result(run, "fetch_and_land")["accepted"] == 2500
    assert platform.airflow.task_result(run, "publish") == 2500
    platform.wait_until_counted()
    assert {("0-15",), ("16-30",), ("31-45",), ("46-60",), ("61+",)} == platform.actual()["age"].keys()


def test_the_same_run_again_changes_nothing(platform: Platform) -> None:
    platform.create("twice", 300)
    platform.wait_until_counted()
    again = platform.create("twice", 300)
    assert platform.airflow.task_result(again, "fetch_and_land") == {"accepted": 0, "duplicate": 300, "rejected": 0}
    assert platform.airflow.task_result(again, "publish") == 0
    platform.wait_until_counted()


def test_a_run_without_a_seed_takes_other_members_each_time(platform: Platform) -> None:
    landed = count_landed(platform.landing, MEMBERS).accepted
    runs = [platform.run("user_create", count=10, page_size=10) for _ in range(2)]
    for run in runs:
        platform.remember(run.run, 10)
    assert count_landed(platform.landing, MEMBERS).accepted == landed + 20
    platform.wait_until_counted()


@pytest.mark.parametrize("size", [1, 3])
def test_a_page_without_a_valid_user_fails_the_run_with_the_first_reason(platform: Platform, size: int) -> None:
    seed = f"without-dob-{size}"
    users = [{name: user[name] for name in user if name != "dob"} for user in platform.users(seed, size, 1)]
    platform.source.break_page(seed, 1, 200, json.dumps({"results": users}).encode())
    started = platform.airflow.start_run("user_create", {"seed": seed, "count": size, "page_size": size})
    try:
        with pytest.raises(AirflowError, match="failed"):
            platform.airflow.wait_for_run(started, seconds=180)
        logs = (
            platform.home.logs / "airflow" / "dag_id=user_create" / f"run_id={started.run}" / "task_id=fetch_and_land"
        )
        assert [log.name for log in logs.glob("*.log")] == ["attempt=1.log"]
        expected = f"the first of {size} is rejected because: The field date_of_birth is missing"
        assert expected in (logs / "attempt=1.log").read_text()
        kept = platform.landing.execute(
            "SELECT count(*) FROM landing.rejected WHERE source LIKE %s", (f"% seed={seed} %",)
        ).fetchone()
        assert kept == (size,)
    finally:
        platform.source.clear_faults()
        platform.landing.execute("DELETE FROM landing.rejected WHERE source LIKE %s", (f"% seed={seed} %",))


def test_a_count_may_be_written_with_a_decimal_point_and_must_be_whole(platform: Platform) -> None:
    run = platform.run("user_create", seed="decimal", count=20.0, page_size=10.0)
    platform.remember("decimal", 20, 10)
    assert platform.airflow.task_result(run, "fetch_and_land")["accepted"] == 20
    for count in (20.5, "many", 0, True):
        with pytest.raises(AirflowError, match=r"status 400.*count"):
            platform.airflow.start_run("user_create", {"count": count})
    platform.wait_until_counted()


def test_a_run_of_the_future_does_not_block_those_that_come_after_it(platform: Platform) -> None:
    ahead = [
        platform.airflow.start_run(dag, logical_date=datetime(2035, 1, 1, tzinfo=UTC))
        for dag in ("user_create", "user_analysis", "generate_graphs")
    ]
    assert holds(lambda: all(platform.airflow.read_run(one.dag, one.run).state == "running" for one in ahead))
    platform.create("after-2035", 10)
    platform.wait_until_counted()
    platform.run("user_analysis")
    platform.run("generate_graphs")
    assert {platform.airflow.read_run(one.dag, one.run).state for one in ahead} == {"running"}
    for one in ahead:
        platform.airflow.end_run(one)


def test_a_paused_dag_is_known(platform: Platform) -> None:
    assert platform.airflow.list_paused("user_create", "user_analysis") == []
    platform.airflow.pause_dag("user_create", paused=True)
    try:
        assert platform.airflow.list_paused("user_create", "user_analysis") == ["user_create"]
    finally:
        platform.airflow.pause_dag("user_create", paused=False)


def test_a_failed_page_is_taken_by_the_next_attempt_and_nothing_twice(platform: Platform) -> None:
    platform.source.break_page("stumbles", 2, 500, b"Internal Server Error")
    landed = count_landed(platform.landing, MEMBERS).accepted
    started = platform.airflow.start_run("user_create", {"seed": "stumbles", "count": 300, "page_size": 100})
    assert holds(lambda: count_landed(platform.landing, MEMBERS).accepted == landed + 100), (
        "the first page did not land"
    )
    logs = platform.home.logs / "airflow" / "dag_id=user_create" / f"run_id={started.run}" / "task_id=fetch_and_land"
    expected = f"{platform.source.url}?results=100&page=2&seed=stumbles returned status 500"
    assert holds(lambda: "Task failed" in (logs / "attempt=1.log").read_text()), "the task did not fail"
    assert expected in (logs / "attempt=1.log").read_text()
    platform.source.clear_faults()
    platform.airflow.wait_for_run(started, seconds=DEADLINE)
    platform.remember("stumbles", 300, 100)
    assert platform.airflow.task_result(started, "fetch_and_land") == {
        "accepted": 200,
        "duplicate": 100,
        "rejected": 0,
    }
    platform.wait_until_counted()


def test_what_landed_before_a_page_that_cannot_be_had_is_published_and_the_run_has_failed(platform: Platform) -> None:
    platform.source.break_page("breaks-off", 3, 404, b"no such page")
    run = platform.airflow.start_run("user_create", {"seed": "breaks-off", "count": 300, "page_size": 100})
    with pytest.raises(AirflowError, match="failed"):
        platform.airflow.wait_for_run(run, seconds=DEADLINE)
    platform.source.clear_faults()
    platform.remember("breaks-off", 200, 100)
    platform.wait_until_counted()


def test_a_user_that_breaks_a_rule_is_kept_with_the_reason_and_the_others_are_taken(platform: Platform) -> None:
    good = platform.source.respond("/?seed=mixed&page=1&results=3").body
    users = json.loads(good)["results"]
    users[1]["dob"]["date"] = "2222-01-01T00:00:00.000Z"
    platform.source.break_page("mixed", 1, 200, json.dumps({"results": users}).encode())
    run = platform.run("user_create", seed="mixed", count=3, page_size=3)
    platform.source.clear_faults()
    assert platform.airflow.task_result(run, "fetch_and_land") == {"accepted": 2, "duplicate": 0, "rejected": 1}
    kept = platform.landing.execute(
        "SELECT original, reason, message FROM landing.rejected WHERE source LIKE '%seed=mixed %'"
    ).fetchall()
    assert [(json.loads(original)["login"]["uuid"], reason) for original, reason, _ in kept] == [
        (users[1]["login"]["uuid"], Reason.BAD_DATE.value)
    ]
    assert users[1]["login"]["sha256"].encode() not in kept[0][0]
    assert "date_of_birth" in kept[0][2]
    platform.expect(users[n] for n in (0, 2))
    platform.wait_until_counted()


def test_parameters_that_make_no_sense_are_refused(platform: Platform) -> None:
    with pytest.raises(AirflowError, match="page_size"):
        platform.airflow.start_run("user_create", {"page_size": 5001})


def test_the_recount_finds_no_difference(platform: Platform) -> None:
    platform.wait_until_counted()
    platform.run("user_analysis")
    platform.run("user_analysis")
    # Of both recounts, a row for each table; those of other tests come behind them.
    audits = platform.tables.read_audits(platform.today)[:8]
    assert {one.table for one in audits} == {"age", "gender", "country", "city"}
    assert {(one.live, one.recounted, len(one.differences)) for one in audits} == {
        (len(platform.taken), len(platform.taken), 0)
    }
    platform.wait_until_counted()


def test_the_recount_finds_what_is_wrong_and_puts_it_right(platform: Platform) -> None:
    platform.wait_until_counted()
    wrong = "INSERT INTO spark_streams.country (analysis_date, country, members) VALUES (%s, %s, %s)"
    for country, members in (("Norway", 7), ("Atlantis", 3)):
        platform.session.execute(wrong, (platform.today, country, members))
    platform.run("user_analysis")
    newest = {one.table: one for one in platform.tables.read_audits(platform.today)[:4]}
    found = {one.bucket[0]: one.live for one in newest["country"].differences}
    assert found == {"Norway": 7, "Atlantis": 3}
    assert newest["city"].differences == []
    platform.wait_until_counted()


def test_graphs_are_drawn_of_what_the_tables_hold(platform: Platform) -> None:
    platform.wait_until_counted()
    drawn = platform.airflow.task_result(platform.run("generate_graphs"), "draw")
    folder = platform.home.graphs / platform.today.isoformat()
    names = {"age", "gender", "country", "city"}
    assert {Path(path) for path in drawn} == {folder / f"{name}_distribution.png" for name in names}
    pictures = {path: Path(path).read_bytes() for path in drawn}
    for path in drawn:
        with Image.open(path) as picture:
            assert picture.width >= 1200
            colours = picture.convert("RGB").getcolors(maxcolors=2**24)
            assert colours is not None
            shares = sorted((count for count, _ in colours), reverse=True)
            assert sum(shares[1:]) > 0.05 * picture.width * picture.height, f"{path} is as good as blank"
    platform.run("generate_graphs")
    assert {path: Path(path).read_bytes() for path in drawn} == pictures
