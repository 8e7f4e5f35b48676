"""A server in a restart loop is shown as such, with the number of restarts and the last error."""

import json
import os
from contextlib import nullcontext
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from member_analyzer.cluster.pods import PodContext, pod_problem
from member_analyzer.console.monitoring import MonitorThread, Probe, UnavailableError
from member_analyzer.console.restart_loops import LABELS, SERVERS, RestartLoops, restarts_of_pods, restarts_of_servers
from member_analyzer.console.status import State, Status
from member_analyzer.console.status_store import StatusStore
from member_analyzer.operations.restarts import TAIL_BYTES, Restarts, find_last_error, read_pod_restarts, read_restarts
from member_analyzer.settings import ConsoleSettings
from patience import holds

NOON = datetime(2026, 11, 21, 12, tzinfo=UTC)
SECRETS = dict.fromkeys(("CONSOLE_VIEWER_PASSWORD", "CONSOLE_OPERATOR_PASSWORD", "CONSOLE_SESSION_SECRET"), "x")


def supervised(minutes_ago: float, what: str, ahead: timedelta = timedelta()) -> str:
    return f"{NOON + ahead - timedelta(minutes=minutes_ago):%Y-%m-%d %H:%M:%S},123 INFO {what}"


def write_logs(folder: Path, lines: list[str], **logs: str) -> Path:
    (folder / "supervisor.log").write_text("\n".join(lines) + "\n")
    # The last line is as old as the file.
    os.utime(folder / "supervisor.log", (NOON.timestamp(), NOON.timestamp()))
    for name, text in logs.items():
        (folder / f"{name}.log").write_text(text)
    return folder


EXITED = "exited: stream (exit status 3; not expected)"


@pytest.mark.parametrize("ahead", [timedelta(), timedelta(hours=5, minutes=45), timedelta(hours=-8)], ids=str)
def test_what_ended_by_itself_within_the_last_minutes_is_counted(tmp_path: Path, ahead: timedelta) -> None:
    lines = [
        supervised(70, EXITED, ahead),
        supervised(16, EXITED, ahead),
        *(supervised(minutes, EXITED, ahead) for minutes in (14, 9, 4, 1)),
        supervised(1, "exited: kafka (terminated by SIGKILL; not expected)", ahead),
        supervised(1, "stopped: cassandra (terminated by SIGTERM)", ahead),
        supervised(0, "spawned: 'stream' with pid 7", ahead),
    ]
    logs = write_logs(tmp_path, lines, stream="Terminating due to java.lang.OutOfMemoryError: Java heap space\n")
    assert read_restarts(logs, NOON) == {
        "stream": Restarts(4, "java.lang.OutOfMemoryError: Java heap space."),
        "kafka": Restarts(1, None),
    }


def test_without_logs_nothing_is_known(tmp_path: Path) -> None:
    assert read_restarts(tmp_path, NOON) == {}


def entry(level: str, event: str, **more: Any) -> str:
    return json.dumps({"level": level, "event": event} | more)


LOGS: dict[str, tuple[list[str], str | None]] = {
    "nothing": ([], None),
    "no error": (["INFO all is well", entry("info", "stream.started")], None),
    "its own": (
        [entry("error", "program.failed", error="The topic users was deleted."), entry("info", "ended")],
        "program.failed: The topic users was deleted.",
    ),
    "the last one": ([entry("error", "first"), entry("critical", "second")], "second."),
    "out of memory": (["java.lang.OutOfMemoryError: Java heap space"], "java.lang.OutOfMemoryError: Java heap space."),
    "another library's, without what it quotes": (
        ["org.apache.spark.SparkException: Job aborted: jane@example.com"],
        "org.apache.spark.SparkException.",
    ),
    "a traceback's, without what it quotes": (["ValueError: 'Jane Doe' is no day"], "ValueError."),
    "JSON that is none": (['{"level": "error"', "[1]", '{"level": ["error"]}'], None),
    "one that is long": ([entry("error", "x" * 1000)], "x" * 299 + "…"),
    "one that controls a terminal": ([entry("error", "\x1b[2J")], r"\x1b[2J."),
}


@pytest.mark.parametrize(("lines", "error"), LOGS.values(), ids=LOGS)
def test_the_last_error_of_a_log_is_found(lines: list[str], error: str | None) -> None:
    assert find_last_error(lines) == error


def test_of_a_large_log_only_the_end_is_read(tmp_path: Path) -> None:
    text = entry("error", "old") + "\n" + "x\n" * TAIL_BYTES + entry("error", "new") + "\n"
    logs = write_logs(tmp_path, [supervised(1, EXITED)], stream=text)
    assert read_restarts(logs, NOON)["stream"].last_error == "new."


def make_pod(restarts: int, minutes_ago: float, **ended: Any) -> dict[str, Any]:
    at = NOON - timedelta(minutes=minutes_ago)
    terminated = {"exitCode": 1, "reason": "Error", "finishedAt": f"{at:%Y-%m-%dT%H:%M:%SZ}"} | ended
    container = {
        "name": "collector",
        "image": "web",
        "restartCount": restarts,
        "ready": False,
        "state": {"running": {}},
        "lastState": {"terminated": terminated},
    }
    return {
        "metadata": {"name": "collector-1", "namespace": "m", "labels": {"app.kubernetes.io/component": "collector"}},
        "spec": {"containers": [{"name": "collector"}]},
        "status": {"phase": "Running", "containerStatuses": [container]},
    }


class TestPods:
    def test_the_restarts_and_the_last_error_are_those_of_the_container(self) -> None:
        restarts = read_pod_restarts([make_pod(13, 2, reason="OOMKilled", exitCode=137)], NOON)
        assert restarts is not None
        assert restarts.is_loop
        assert restarts.message == (
            "It is in a restart loop: it was restarted 13 times since its pod was created, the last time at 11:58 UTC."
            " Its last error: OOMKilled, exit code 137."
        )

    def test_what_was_restarted_long_ago_is_stable(self) -> None:
        assert read_pod_restarts([make_pod(13, 16)], NOON) is None

    def test_restarts_are_assigned_to_the_component(self) -> None:
        assert restarts_of_pods([make_pod(3, 1)], NOON).keys() == {"collector"}

    def test_status_says_so_although_the_container_runs_for_a_moment(self) -> None:
        problem = pod_problem(make_pod(13, 1), PodContext(now=NOON))
        assert "after 13 restarts" in problem
        assert "exited with code 1" in problem
        assert "restarts" not in pod_problem(make_pod(13, 60), PodContext(now=NOON))


class TestConsole:
    def test_servers_and_labels_cover_the_same_components(self) -> None:
        assert SERVERS.keys() == LABELS.keys()

    def test_the_server_with_the_most_restarts_counts(self) -> None:
        found = restarts_of_servers({"airflow-api": Restarts(1), "airflow-scheduler": Restarts(5, "It.")})
        assert found == {"airflow": Restarts(5, "It.")}

    @pytest.mark.parametrize(("exits", "is_loop"), [(2, False), (3, True)])
    def test_restart_loops_are_found_in_the_logs(self, tmp_path: Path, exits: int, is_loop: bool) -> None:
        now = datetime.now(UTC)
        lines = [f"{now:%Y-%m-%d %H:%M:%S},1 WARN {EXITED}"] * exits
        (tmp_path / "supervisor.log").write_text("\n".join(lines))
        loops = RestartLoops(ConsoleSettings.of(SECRETS | {"CONSOLE_LOGS_DIRECTORY": str(tmp_path)}))
        assert (loops.find("spark") is not None) is is_loop
        assert loops.find("kafka") is None

    @pytest.mark.parametrize(
        ("outcome", "state"), [(Status(), State.DEGRADED), (UnavailableError("Connection refused."), State.DOWN)]
    )
    def test_a_restart_loop_is_reported_whether_the_server_is_up_or_down(
        self, outcome: Status | Exception, state: State
    ) -> None:
        class FakeMonitor:
            name = "spark"
            unavailable_errors: tuple[type[Exception], ...] = ()

            def impact(self, last_seen: str) -> str:
                return ""

            def connect(self) -> Any:
                def check() -> Status:
                    if isinstance(outcome, Exception):
                        raise outcome
                    return outcome

                return nullcontext([Probe(check)])

        def find_restart_loop(component: str) -> Restarts | None:
            return Restarts(13, "Out of memory.") if component == "spark" else None

        store = StatusStore(NOON)
        thread = MonitorThread(FakeMonitor(), store, find_restart_loop)
        thread.start()
        try:
            assert holds(lambda: store.component("spark").status.state == state, 30)
        finally:
            thread.stop()
        error = store.component("spark").status.error or ""
        assert "restart loop: it was restarted 13 times within the last 15 minutes" in error
        assert "Out of memory." in error
