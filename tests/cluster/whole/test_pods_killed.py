"""Pods are killed, one by one and all at once, and the kubelet is stopped, while members arrive."""

import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

import measurements
from arrivals import Arrivals, arriving
from installed import PARTS, InstalledPlatform
from member_analyzer.cluster.failure import ClusterError
from member_analyzer.cluster.pods import condition
from member_analyzer.operations.airflow import ENDED, AirflowError, DagRun
from patience import holds

KILLED = ("broker", "zookeeper", "cassandra", "driver", "executor", "postgres", "registry", "scheduler")
# Airflow's task retries for ten minutes while the broker is unavailable.
RUN_SECONDS = 1200
STOPPED_SECONDS = 120


@contextmanager
def arriving_members(platform: InstalledPlatform, seed: str) -> Iterator[Arrivals]:
    """Members arrive from the collector and from Airflow. At the end all are counted once, and the audit agrees."""
    run = platform.airflow.start_run("user_create", {"seed": f"{seed}-run", "count": 2000, "page_size": 200})
    platform.remember(f"{seed}-run", 2000, 200)
    with arriving(platform, seed) as arrivals:
        arrivals.wait_for_more(200)
        yield arrivals
        arrivals.wait_for_more(200)
    platform.connect()
    assert wait_for_end(platform, run) == "success"
    platform.check()
    measurements.note(f"killed {seed}", {"accepted": arrivals.accepted + 2000, "retried requests": arrivals.retries})


def wait_for_end(platform: InstalledPlatform, run: DagRun) -> str:
    """The final state of the run."""
    states = []

    def has_ended() -> bool:
        try:
            states.append(platform.airflow.read_run(run.dag, run.run).state)
        except (AirflowError, ClusterError):
            return False
        return states[-1] in ENDED

    platform.namespace.wait(f"the run {run.run} has ended", has_ended, seconds=RUN_SECONDS)
    return states[-1]


@pytest.mark.parametrize("part", KILLED)
def test_members_are_counted_once_when_a_pod_is_killed(platform: InstalledPlatform, part: str) -> None:
    with arriving_members(platform, part):
        began = time.monotonic()
        platform.wait_until_back(part, platform.kill(part))
        measurements.note(f"{part} ready again after, s", time.monotonic() - began)
        platform.restore_schemas()


def test_members_are_counted_once_when_all_pods_are_killed(platform: InstalledPlatform) -> None:
    with arriving_members(platform, "everything"):
        began = time.monotonic()
        killed = {part: platform.kill(part) for part in PARTS if platform.pods(part)}
        for part, uids in killed.items():
            platform.wait_until_back(part, uids)
        platform.restore_schemas()
        measurements.note("everything ready again after, s", time.monotonic() - began)


def test_members_are_counted_once_when_the_kubelet_is_stopped_for_two_minutes(platform: InstalledPlatform) -> None:
    [node] = [one["metadata"]["name"] for one in platform.cluster.list("/api/v1/nodes")]

    def kubelet(command: str) -> None:
        subprocess.run(["docker", "exec", node, "systemctl", command, "kubelet"], check=True, timeout=60)

    def is_ready() -> bool:
        return bool(condition(platform.namespace.read("node", node), "Ready").get("status") == "True")

    with arriving_members(platform, "kubelet"):
        kubelet("stop")
        try:
            # Long enough for the node to become NotReady.
            assert not holds(lambda: False, STOPPED_SECONDS)
            assert not is_ready()
        finally:
            kubelet("start")
        began = time.monotonic()
        platform.namespace.wait("the node is ready again", is_ready, seconds=300)
        platform.wait_until_ready()
        measurements.note("everything ready after the kubelet was started, s", time.monotonic() - began)
