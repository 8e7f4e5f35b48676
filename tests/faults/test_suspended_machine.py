"""Drill 15: the machine is suspended during `make run`."""

import os
import signal
import subprocess
import sys
import time

import psutil
import pytest

from drill import Drill
from member_analyzer.landing.counters import count_landed
from member_analyzer.local.orphans import find_processes
from member_analyzer.local.platform import make_postgres
from member_analyzer.streams.members.definition import MEMBERS
from patience import holds
from running_platform import Platform

# Longer than any timeout of a server or client.
SUSPENSION_SECONDS = float(os.environ.get("DRILL_SUSPENSION_SECONDS", "150"))
MEMBER_COUNT = 20_000

INGEST_MEMBERS = f"""
import sys, time
from dataclasses import replace
from rich.console import Console
from member_analyzer.local.home import open_home
from member_analyzer.cli.run import ingest_members
result = ingest_members(open_home(), Console(), count={MEMBER_COUNT}, began=time.monotonic())
landed = replace(result.landed, accepted=result.landed.accepted + int(sys.argv[1]))
sys.exit(0 if replace(result, landed=landed).is_consistent else "the counts do not agree")
"""


@pytest.mark.long
@pytest.mark.timeout(SUSPENSION_SECONDS + 900)
@pytest.mark.drill("15. machine suspended during a run")
def test_a_run_succeeds_after_a_suspension_of_the_machine(platform: Platform, drill: Drill) -> None:
    platform.wait_until_counted()
    before = count_landed(platform.landing, MEMBERS).accepted
    # Other drills send members to the topic, past landing.
    past_landing = len(platform.taken) - before
    known = {one.run.run for one in platform.airflow.list_runs("user_create", 100)}
    run = subprocess.Popen(
        [sys.executable, "-c", INGEST_MEMBERS, str(past_landing)], stdout=subprocess.PIPE, stderr=subprocess.STDOUT
    )
    try:
        assert holds(lambda: count_landed(platform.landing, MEMBERS).accepted > before), "no member landed"
        suspend(platform, psutil.Process(run.pid))
        resumed = time.monotonic()
        output, _ = run.communicate(timeout=600)
        drill.seconds = time.monotonic() - resumed
        assert run.returncode == 0, output.decode()
    finally:
        run.kill()
        run.wait()
    platform.connect()
    (seed,) = {one.run.run for one in platform.airflow.list_runs("user_create", 100)} - known
    platform.remember(seed, MEMBER_COUNT, 5000)
    drill.check()


def suspend(platform: Platform, run: psutil.Process) -> None:
    """Stop all processes of the platform and the run for a while."""
    stopped = [run, *find_processes(platform.home.root, make_postgres(platform.home).program)]
    for process in stopped:
        process.send_signal(signal.SIGSTOP)
    try:
        time.sleep(SUSPENSION_SECONDS)
    finally:
        for process in stopped:
            if process.is_running():
                process.send_signal(signal.SIGCONT)
