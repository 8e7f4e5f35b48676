"""A slow read of Cassandra fails alone: the session that all readers share is only replaced when it is broken."""

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
from member_analyzer.collector.analysis_reader import AnalysisReader, TablesAwayError
from member_analyzer.console.monitors.cassandra import tolerate_timeout
from member_analyzer.console.status import Status
from member_analyzer.settings import CassandraSettings

DAY = date(2026, 11, 21)
GENDERS = Distribution({("female",): 1}, 1)


@dataclass
class Cassandra:
    """What stands for the servers: whether they are up, and what a read does."""

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
    return AnalysisReader(CassandraSettings(username="reader", password=SecretStr("secret")))


def failing(error: Exception) -> Callable[[], Distribution]:
    def read() -> Distribution:
        raise error

    return read


SLOW = [OperationTimedOut(), ReadTimeout("slow"), Unavailable("few"), NoHostAvailable("busy", {})]


@pytest.mark.parametrize("error", SLOW, ids=lambda error: type(error).__name__)
def test_a_slow_read_keeps_the_session(cassandra: Cassandra, reader: AnalysisReader, error: Exception) -> None:
    cassandra.read = failing(error)
    with pytest.raises(TablesAwayError):
        reader.read("gender", DAY)
    cassandra.read = lambda: GENDERS
    assert reader.read("gender", DAY) == (DAY, GENDERS)
    assert (cassandra.opened, cassandra.closed) == (1, 0)


def test_a_session_without_a_node_is_replaced_once(cassandra: Cassandra, reader: AnalysisReader) -> None:
    cassandra.read = failing(NoHostAvailable("none", {}))
    cassandra.is_up = False
    with pytest.raises(TablesAwayError):
        reader.read("gender", DAY)
    cassandra.is_up, cassandra.read = True, lambda: GENDERS
    assert reader.read("gender", DAY) == (DAY, GENDERS)
    assert (cassandra.opened, cassandra.closed) == (2, 1)


def test_a_reader_that_fails_late_leaves_the_newer_session_open(cassandra: Cassandra, reader: AnalysisReader) -> None:
    def fail_after_somebody_else() -> Distribution:
        cassandra.read = failing(NoHostAvailable("none", {}))
        with pytest.raises(TablesAwayError):
            reader.read("gender", DAY)
        cassandra.read = lambda: GENDERS
        assert reader.read("gender", DAY) == (DAY, GENDERS)
        raise NoHostAvailable("none", {})

    cassandra.is_up, cassandra.read = False, fail_after_somebody_else
    with pytest.raises(TablesAwayError):
        reader.read("gender", DAY)
    assert (cassandra.opened, cassandra.closed) == (2, 1)


def test_nobody_waits_for_a_session_without_a_limit(
    cassandra: Cassandra, reader: AnalysisReader, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(analysis_reader, "SECONDS_FOR_A_SESSION", 0.1)
    is_connecting, may_connect = Event(), Event()

    def hang() -> None:
        is_connecting.set()
        may_connect.wait(60)

    cassandra.connect = hang
    first = Thread(target=lambda: reader.read("gender", DAY))
    first.start()
    assert is_connecting.wait(60)
    with pytest.raises(TablesAwayError, match="no session"):
        reader.read("gender", DAY)
    may_connect.set()
    first.join()
    assert reader.read("gender", DAY) == (DAY, GENDERS)
    assert cassandra.opened == 1


def test_every_statement_has_a_deadline(cassandra: Cassandra, reader: AnalysisReader) -> None:
    reader.read("gender", DAY)
    assert cassandra.timeouts == [analysis_reader.SECONDS_OF_A_STATEMENT]


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
