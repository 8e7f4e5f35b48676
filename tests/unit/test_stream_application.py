"""The streams of one application run concurrently; one that refuses to start does not stop the others."""

from collections.abc import Callable
from threading import Event
from typing import Any

import pytest

from member_analyzer.streaming import application
from member_analyzer.streaming.job import StreamError, StreamRefusedError

SECONDS = 20


class Job:
    """A job whose runs end as given, one after the other; the last one runs until the application stops."""

    def __init__(self, name: str, is_stopping: Event, *ends: Exception | Callable[[], None]) -> None:
        self.name = name
        self.runs = 0
        self.refusals: list[str] = []
        self._is_stopping = is_stopping
        self._ends = ends

    def run(self) -> None:
        self.runs += 1
        if self.runs > len(self._ends):
            assert self._is_stopping.wait(SECONDS), "the application did not stop"
            return
        end = self._ends[self.runs - 1]
        if isinstance(end, Exception):
            raise end
        end()

    def report_refusal(self, error: Exception) -> None:
        self.refusals.append(str(error))


@pytest.fixture(autouse=True)
def checks_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(application, "SECONDS_BETWEEN_CHECKS", 0)


@pytest.fixture
def is_stopping() -> Event:
    return Event()


def run(is_stopping: Event, *jobs: Any) -> None:
    application._run(jobs, is_stopping)


def refusal(text: str = "rebuild it") -> StreamRefusedError:
    return StreamRefusedError(text)


def test_a_stream_that_refuses_does_not_stop_the_other(is_stopping: Event) -> None:
    other = Job("other", is_stopping)
    refusing = Job("refusing", is_stopping, refusal("a"), refusal("b"), is_stopping.set)
    run(is_stopping, refusing, other)
    assert (refusing.runs, refusing.refusals) == (3, ["a", "b"])
    assert (other.runs, other.refusals) == (1, [])


def test_a_stream_that_refused_runs_after_its_repair(is_stopping: Event) -> None:
    repaired = Event()
    refusing = Job("refusing", is_stopping, refusal(), repaired.set)
    other = Job("other", is_stopping, lambda: is_stopping.set() if repaired.wait(SECONDS) else None)
    run(is_stopping, refusing, other)
    assert is_stopping.is_set()
    assert refusing.refusals == ["rebuild it"]


def test_an_application_whose_streams_all_refuse_ends_with_an_error(is_stopping: Event) -> None:
    one, another = (Job(name, is_stopping, *[refusal(name)] * 50) for name in ("one", "another"))
    with pytest.raises(StreamRefusedError):
        run(is_stopping, one, another)
    assert one.refusals
    assert another.refusals


def test_a_single_stream_that_refuses_ends_its_application(is_stopping: Event) -> None:
    job = Job("members", is_stopping, refusal("the checkpoint is lost"))
    with pytest.raises(StreamRefusedError, match="the checkpoint is lost"):
        run(is_stopping, job)
    assert job.refusals == ["the checkpoint is lost"]


@pytest.mark.parametrize("error", [StreamError("the query failed"), OSError("no memory")])
def test_a_stream_that_fails_stops_all(is_stopping: Event, error: Exception) -> None:
    other = Job("other", is_stopping)
    with pytest.raises(type(error), match=str(error)):
        run(is_stopping, Job("failing", is_stopping, error), other)
    assert is_stopping.is_set()
    assert other.runs == 1


def test_a_stream_that_refuses_is_not_started_again_while_the_application_stops(is_stopping: Event) -> None:
    def stop() -> None:
        is_stopping.set()
        raise refusal()

    refusing, other = Job("refusing", is_stopping, stop), Job("other", is_stopping)
    run(is_stopping, refusing, other)
    assert refusing.runs == 1


def test_an_unavailable_cassandra_that_cannot_store_a_refusal_stops_all(is_stopping: Event) -> None:
    class Unreported(Job):
        def report_refusal(self, error: Exception) -> None:
            raise ConnectionError("Cassandra is unavailable")

    with pytest.raises(ConnectionError, match="unavailable"):
        run(is_stopping, Unreported("refusing", is_stopping, refusal()), Job("other", is_stopping))
    assert is_stopping.is_set()
