"""The console states which streams run, and what a stream that refuses to start means for the members."""

import pytest
from pydantic import SecretStr

from member_analyzer.console.monitoring import UnavailableError
from member_analyzer.console.monitors.spark import OTHER_STREAM_REFUSES, SparkMonitor
from member_analyzer.console.snapshot import Snapshot
from member_analyzer.console.status import State, Status
from member_analyzer.settings import ConsoleSettings
from member_analyzer.streams.interactions.definition import INTERACTIONS
from member_analyzer.streams.members.definition import MEMBERS

REFUSAL = "There is no checkpoint. Restore it, or run `member-analyzer rebuild`."


def check(monkeypatch: pytest.MonkeyPatch, *refusing: str, is_running: bool = True) -> Status:
    def read_application(*_: object) -> dict[str, object]:
        if not is_running:
            raise UnavailableError("Connection refused.")
        return {}

    monkeypatch.setattr(SparkMonitor, "_read_application", read_application)
    snapshot = Snapshot(refusals=dict.fromkeys(refusing, REFUSAL))
    names = ("viewer_password", "operator_password", "session_secret")
    settings = ConsoleSettings(**dict.fromkeys(names, SecretStr("secret")))
    with SparkMonitor(settings, snapshot, MEMBERS).connect() as (probe,):
        status = probe.check()
    assert status is not None
    return status


def test_an_application_whose_streams_run_is_up(monkeypatch: pytest.MonkeyPatch) -> None:
    status = check(monkeypatch)
    assert (status.state, status.error, status.impact) == (State.UP, None, None)


def test_a_refusing_stream_of_interactions_is_shown_and_the_members_are_counted(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    status = check(monkeypatch, INTERACTIONS.topic.name)
    assert status.state == State.DEGRADED
    assert status.error == f"The stream of interactions refuses to start: {REFUSAL}"
    assert status.impact == OTHER_STREAM_REFUSES


def test_a_refusing_stream_of_members_does_not_count_them(monkeypatch: pytest.MonkeyPatch) -> None:
    status = check(monkeypatch, MEMBERS.topic.name)
    assert status.state == State.DEGRADED
    assert str(status.impact).startswith("The member counts are not updated.")


def test_an_application_that_does_not_run_counts_no_members_whichever_stream_refuses(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    status = check(monkeypatch, INTERACTIONS.topic.name, is_running=False)
    assert status.state == State.DOWN
    assert status.error == f"Connection refused. The stream of interactions refuses to start: {REFUSAL}"
    assert str(status.impact).startswith("The member counts are not updated.")
