"""The state after the installation commands of the README."""

import re

import pytest

import measurements
from installation import read_rejected_pods
from installed import InstalledPlatform
from instructions import run_shell
from member_analyzer.cluster.pods import count_restarts
from notes import opened, read_line, read_notes, read_pages

# From the scheduling of a task until its program runs.
TASK_SECONDS = 15


def test_every_component_is_ready(platform: InstalledPlatform) -> None:
    assert "not ready" not in platform.command("status").stdout


def test_members_and_tables_agree(platform: InstalledPlatform) -> None:
    platform.check()


def test_no_server_was_restarted(platform: InstalledPlatform) -> None:
    """Except the stream, which exits on errors, and Airflow's jobs, which wait by retrying."""
    pods = platform.namespace.read("pods")["items"]
    jobs = ("stream", "airflow-run-airflow-migrations", "airflow-create-user")
    waiting = tuple(f"member-analyzer-{name}" for name in jobs)
    again = {one["metadata"]["name"]: count_restarts(one) for one in pods if count_restarts(one)}
    assert {name: count for name, count in again.items() if not name.startswith(waiting)} == {}


def test_no_pod_is_rejected(platform: InstalledPlatform) -> None:
    assert read_rejected_pods(platform.namespace) == []


def test_every_page_of_the_notes_responds_through_its_port_forward(platform: InstalledPlatform) -> None:
    pages = read_pages(read_notes(platform.namespace))
    services = {re.search(r"service/(\S+)", page.forward)[1] for page in pages}  # type: ignore[index]
    names = ("console", "collector", "airflow-api-server", "stream-ui-svc", "registry", "user-api")
    assert services == {f"member-analyzer-{name}" for name in names}
    for page in pages:
        with opened(platform.namespace, page):
            pass


def test_the_notes_print_the_generated_logins(platform: InstalledPlatform) -> None:
    notes = read_notes(platform.namespace)
    for secret in ("member-analyzer-console-logins", "airflow-login"):
        line = read_line(notes, f"kubectl get secret -n {platform.namespace.name} {secret}")
        output = run_shell(platform.namespace, line, platform.namespace.kubeconfig.parent)
        assert re.search(r"\b[A-Za-z0-9]{32}\b", output), secret


def test_a_task_runs_in_its_own_pod_that_starts_quickly(platform: InstalledPlatform) -> None:
    run = platform.airflow.start_run("user_create", {"seed": "tasks", "count": 100, "page_size": 100})
    platform.remember("tasks", 100, 100)
    seen: set[str] = set()

    def has_succeeded() -> bool:
        labels = "kubernetes_executor=True,dag_id=user_create"
        pods = platform.namespace.read("pods", "--selector", labels)["items"]
        seen.update(one["metadata"]["labels"]["task_id"] for one in pods)
        return platform.airflow.read_run(run.dag, run.run).state == "success"

    platform.namespace.wait("the run has succeeded", has_succeeded, seconds=300)
    assert {"fetch_and_land", "publish"} <= seen
    starts = {
        task: (one.started - one.queued).total_seconds() for task, one in platform.airflow.task_times(run).items()
    }
    measurements.note("a task's pod starts in, s", starts)
    assert max(starts.values()) <= TASK_SECONDS
    platform.wait_until_counted()


@pytest.mark.parametrize("name", ["member-analyzer-kafka-stream", "kafka-airflow", "member-analyzer-kafka-collector"])
def test_strimzi_has_created_the_users_of_kafka(platform: InstalledPlatform, name: str) -> None:
    secret = platform.namespace.read("secret", name)
    assert {"password", "sasl.jaas.config"} <= secret["data"].keys()
