"""Drill 15: the machine sleeps in the middle of `make run`."""

import os
import signal
import subprocess
import sys
import time

import psutil
import pytest

from drill import Drill
from member_analyzer.landing.counters import count_landed
from member_analyzer.local.leftovers import find_processes
from member_analyzer.local.platform import make_postgres
from member_analyzer.streams.members.definition import MEMBERS
from patience import holds
from running_platform import Platform

# Longer than any server or client waits for another one.
SLEEP_SECONDS = float(os.environ.get("DRILL_SLEEP_SECONDS", "150"))
MEMBER_COUNT = 20_000

TAKE_MEMBERS = f"""
import sys, time
from rich.console import Console
from member_analyzer.local.home import open_home
from member_analyzer.local.run import take_members
outcome = take_members(open_home(), Console(), count={MEMBER_COUNT}, began=time.monotonic())
sys.exit(0 if outcome.agrees else "the counts do not agree")
"""


@pytest.mark.long
@pytest.mark.timeout(SLEEP_SECONDS + 900)
@pytest.mark.drill("15. the machine sleeps in the middle of a run")
def test_a_run_ends_well_after_the_machine_has_slept(platform: Platform, drill: Drill) -> None:
    before = count_landed(platform.landing, MEMBERS).accepted
    known = {one.run.run for one in platform.airflow.list_runs("user_create", 100)}
    run = subprocess.Popen([sys.executable, "-c", TAKE_MEMBERS], stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
    try:
        assert holds(lambda: count_landed(platform.landing, MEMBERS).accepted > before, 120), "no member landed"
        sleep(platform, psutil.Process(run.pid))
        woken = time.monotonic()
        output, _ = run.communicate(timeout=600)
        drill.seconds = time.monotonic() - woken
        assert run.returncode == 0, output.decode()
    finally:
        run.kill()
        run.wait()
    platform.connect()
    (seed,) = {one.run.run for one in platform.airflow.list_runs("user_create", 100)} - known
    platform.remember(seed, MEMBER_COUNT, 5000)
    drill.check()


def sleep(platform: Platform, run: psutil.Process) -> None:
    """Stop every process of the platform and the run, and let all of them go on after a while."""
    stopped = [run, *find_processes(platform.home.root, make_postgres(platform.home).program)]
    for process in stopped:
        process.send_signal(signal.SIGSTOP)
    try:
        time.sleep(SLEEP_SECONDS)
    finally:
        for process in stopped:
            if process.is_running():
                process.send_signal(signal.SIGCONT)
