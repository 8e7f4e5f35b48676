"""Drills 1 to 5: servers are killed or hang while members arrive."""

import os
import signal
import time

import pytest

from drill import KILLED_AMONG_MEMBERS, MEMBER_COUNT, Drill, seconds_until
from member_analyzer.landing.counters import count_landed
from member_analyzer.operations.airflow import DagRun
from member_analyzer.streams.members.definition import MEMBERS
from member_flow import flowing
from patience import DEADLINE, holds
from running_platform import Platform


@pytest.mark.parametrize(
    "server",
    [pytest.param(server, marks=pytest.mark.drill(name)) for server, name in KILLED_AMONG_MEMBERS.items()],
)
def test_members_count_once_when_a_server_is_killed_among_them(platform: Platform, drill: Drill, server: str) -> None:
    with flowing(platform, f"drill-{server}") as flow:
        flow.wait_until_in_flow()
        drill.kill(server)
        drill.measure_recovery()
    drill.check()


@pytest.mark.long
@pytest.mark.drill("4. Cassandra is killed for a minute")
def test_members_count_once_when_cassandra_is_down_for_a_minute(platform: Platform, drill: Drill) -> None:
    with flowing(platform, "drill-cassandra", per_second=150) as flow:
        flow.wait_until_in_flow(2000)
        until = time.monotonic() + 60
        pid = drill.pid("cassandra")
        while time.monotonic() < until:
            # As often as it is started again.
            if pid := drill.pid("cassandra"):
                os.kill(pid, signal.SIGKILL)
            holds(lambda last=pid: drill.pid("cassandra") not in (0, last), until - time.monotonic())
        drill.wait_until_back("cassandra", pid)
        platform.connect()
        drill.measure_recovery()
    drill.check()


def start_run(platform: Platform, seed: str) -> DagRun:
    """One run that takes some ten seconds to land its members, in 40 pages."""
    platform.source.pauses[seed] = 0.25
    platform.remember(seed, MEMBER_COUNT, MEMBER_COUNT // 40)
    parameters = {"seed": seed, "count": MEMBER_COUNT, "page_size": MEMBER_COUNT // 40}
    return platform.airflow.start_run("user_create", parameters)


def wait_until_landed(platform: Platform, count: int) -> None:
    assert holds(lambda: count_landed(platform.landing, MEMBERS).accepted >= count), f"{count} members did not land"


@pytest.mark.drill("5a. the registry hangs in a run")
def test_a_run_ends_well_when_the_registry_hangs_in_it(platform: Platform, drill: Drill) -> None:
    run = start_run(platform, "drill-registry")
    wait_until_landed(platform, drill.before["accepted"] + 3 * MEMBER_COUNT // 10)
    pid = drill.pid("registry")
    os.kill(pid, signal.SIGSTOP)
    try:
        folder = platform.home.logs / "airflow" / f"dag_id={run.dag}" / f"run_id={run.run}" / "task_id=publish"
        log = folder / "attempt=1.log"
        failed = holds(lambda: log.exists() and "Task failed" in log.read_text())
        assert failed, "the publishing did not notice that the registry hangs"
    finally:
        os.kill(pid, signal.SIGCONT)
    drill.measure_recovery()
    platform.airflow.wait_for_run(run, seconds=DEADLINE)
    drill.check()


@pytest.mark.parametrize(
    "server",
    [
        pytest.param("postgres", marks=pytest.mark.drill("5b. PostgreSQL is killed in a run")),
        pytest.param(
            "airflow-scheduler",
            marks=[pytest.mark.drill("5c. Airflow's scheduler is killed in a run"), pytest.mark.long],
        ),
    ],
)
def test_a_run_ends_well_when_a_server_is_killed_in_it(platform: Platform, drill: Drill, server: str) -> None:
    run = start_run(platform, f"drill-{server}")
    wait_until_landed(platform, drill.before["accepted"] + 3 * MEMBER_COUNT // 10)
    drill.kill(server)
    platform.connect()
    before = count_landed(platform.landing, MEMBERS).accepted
    drill.seconds = seconds_until(lambda: count_landed(platform.landing, MEMBERS).accepted > before)
    assert drill.seconds is not None, "no member landed any more"
    platform.airflow.wait_for_run(run, seconds=DEADLINE)
    drill.check()
