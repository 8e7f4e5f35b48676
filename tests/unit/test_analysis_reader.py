"""A slow read of Cassandra fails alone; the shared session is replaced only when it is broken."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import date
from threading import Event, Thread
from types import SimpleNamespace
from typing import Any

import pytest
from cassandra import OperationTimedOut, ReadTimeout, Unavailable
from cassandra.cluster import NoHostAvailable
from pydantic import SecretStr

from member_analyzer.analysis.counts import Distribution
from member_analyzer.collector import analysis_reader
from member_analyzer.collector.analysis_reader import AnalysisReader, AnalysisUnavailableError
from member_analyzer.console.monitors.cassandra import tolerate_timeout
from member_analyzer.console.status import Status
from member_analyzer.settings import CassandraSettings
from member_analyzer.streams.members.definition import MEMBERS

DAY = date(2026, 11, 21)
GENDERS = Distribution({("female",): 1}, 1)


@dataclass
class Cassandra:
    """A fake cluster: whether its node is up, and what a read does."""

    is_up: bool = True
    read: Callable[[], Distribution] = lambda: GENDERS
    connect: Callable[[], None] = lambda: None
    opened: int = 0
    closed: int = 0
    timeouts: list[float] = field(default_factory=list)

    @contextmanager
    def open_session(self, _: CassandraSettings, *, request_timeout: float) -> Iterator[Any]:
        self.timeouts.append(request_timeout)
        self.connect()
        self.opened += 1
        hosts = SimpleNamespace(all_hosts=lambda: [SimpleNamespace(is_up=self.is_up)])
        yield SimpleNamespace(is_shutdown=False, cluster=SimpleNamespace(metadata=hosts))
        self.closed += 1

    def make_tables(self, *_: object) -> Any:
        return SimpleNamespace(read_distribution=lambda *_: self.read())


@pytest.fixture
def cassandra(monkeypatch: pytest.MonkeyPatch) -> Cassandra:
    servers = Cassandra()
    monkeypatch.setattr(analysis_reader, "connect_cassandra", servers.open_session)
    monkeypatch.setattr(analysis_reader, "AnalysisTables", servers.make_tables)
    return servers


@pytest.fixture
def reader(cassandra: Cassandra) -> AnalysisReader:
    return AnalysisReader(CassandraSettings(username="reader", password=SecretStr("secret")), MEMBERS)


def failing(error: Exception) -> Callable[[], Distribution]:
    def read() -> Distribution:
        raise error

    return read


SLOW = [OperationTimedOut(), ReadTimeout("slow"), Unavailable("few"), NoHostAvailable("busy", {})]


@pytest.mark.parametrize("error", SLOW, ids=lambda error: type(error).__name__)
def test_a_slow_read_does_not_close_the_session(cassandra: Cassandra, reader: AnalysisReader, error: Exception) -> None:
    cassandra.read = failing(error)
    with pytest.raises(AnalysisUnavailableError):
        reader.read("gender", DAY)
    cassandra.read = lambda: GENDERS
    assert reader.read("gender", DAY) == (DAY, GENDERS)
    assert (cassandra.opened, cassandra.closed) == (1, 0)


def test_a_session_without_any_node_is_replaced_once(cassandra: Cassandra, reader: AnalysisReader) -> None:
    cassandra.read = failing(NoHostAvailable("none", {}))
    cassandra.is_up = False
    with pytest.raises(AnalysisUnavailableError):
        reader.read("gender", DAY)
    cassandra.is_up, cassandra.read = True, lambda: GENDERS
    assert reader.read("gender", DAY) == (DAY, GENDERS)
    assert (cassandra.opened, cassandra.closed) == (2, 1)


def test_a_late_failure_does_not_close_a_newer_session(cassandra: Cassandra, reader: AnalysisReader) -> None:
    def fail_after_another_request() -> Distribution:
        cassandra.read = failing(NoHostAvailable("none", {}))
        with pytest.raises(AnalysisUnavailableError):
            reader.read("gender", DAY)
        cassandra.read = lambda: GENDERS
        assert reader.read("gender", DAY) == (DAY, GENDERS)
        raise NoHostAvailable("none", {})

    cassandra.is_up, cassandra.read = False, fail_after_another_request
    with pytest.raises(AnalysisUnavailableError):
        reader.read("gender", DAY)
    assert (cassandra.opened, cassandra.closed) == (2, 1)


def test_the_wait_for_a_session_is_bounded(
    cassandra: Cassandra, reader: AnalysisReader, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(analysis_reader, "CONNECT_TIMEOUT_SECONDS", 0.1)
    is_connecting, may_connect = Event(), Event()

    def hang() -> None:
        is_connecting.set()
        may_connect.wait(60)

    cassandra.connect = hang
    first = Thread(target=lambda: reader.read("gender", DAY))
    first.start()
    assert is_connecting.wait(60)
    with pytest.raises(AnalysisUnavailableError, match="No session"):
        reader.read("gender", DAY)
    may_connect.set()
    first.join()
    assert reader.read("gender", DAY) == (DAY, GENDERS)
    assert cassandra.opened == 1


def test_the_interactions_are_read_over_the_same_session(cassandra: Cassandra, reader: AnalysisReader) -> None:
    assert reader.read("gender", DAY) == (DAY, GENDERS)
    assert reader.read_interactions(lambda interactions: interactions) is reader.read_interactions(lambda one: one)
    assert cassandra.opened == 1
    cassandra.is_up = False
    with pytest.raises(AnalysisUnavailableError):
        reader.read_interactions(lambda _: failing(NoHostAvailable("none", {}))())
    cassandra.is_up = True
    assert reader.read("gender", DAY) == (DAY, GENDERS)
    assert (cassandra.opened, cassandra.closed) == (2, 1)


def test_every_statement_has_a_timeout(cassandra: Cassandra, reader: AnalysisReader) -> None:
    reader.read("gender", DAY)
    assert cassandra.timeouts == [analysis_reader.STATEMENT_TIMEOUT_SECONDS]


def test_the_console_tolerates_a_single_timeout() -> None:
    outcomes: list[Exception | Status] = [
        OperationTimedOut(),
        Status(),
        ReadTimeout("slow"),
        OperationTimedOut(),
    ]

    def check() -> Status:
        outcome = outcomes.pop(0)
        if isinstance(outcome, Exception):
            raise outcome
        return outcome

    tolerant = tolerate_timeout(check)
    assert tolerant() is None
    assert tolerant() == Status()
    assert tolerant() is None
    with pytest.raises(OperationTimedOut):
        tolerant()
