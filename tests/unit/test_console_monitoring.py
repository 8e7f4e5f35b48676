"""The console's monitoring: rates, status updates and their subscribers, probes and error messages."""

import json
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from threading import Event
from threading import enumerate as threads

import psycopg
import pytest
from cassandra.cluster import NoHostAvailable
from confluent_kafka import KafkaError, KafkaException

from member_analyzer.console.client_errors import describe_error
from member_analyzer.console.monitoring import MonitorThread, Probe, UnavailableError
from member_analyzer.console.rate import Rate
from member_analyzer.console.status import COMPONENTS, State, Status
from member_analyzer.console.status_store import MemberCounts, StatusStore, Subscription
from patience import DEADLINE, holds

NOON = datetime(2026, 11, 21, 12, tzinfo=UTC)
MEMBER_COUNTS = MemberCounts("2026-11-21", 3, 1.0, NOON, {"age": []}, {"age": 5})


def after(seconds: float) -> datetime:
    return NOON + timedelta(seconds=seconds)


def take(subscription: Subscription) -> list[dict[str, object]]:
    return [json.loads(data) for _, data in subscription.take()]


class TestRate:
    def test_a_single_sample_has_no_rate(self) -> None:
        rate = Rate()
        rate.observe(7, at=0)
        assert rate.per_second is None

    def test_it_covers_the_window_only(self) -> None:
        rate = Rate(window=10)
        for second in range(100):
            rate.observe(50 * max(0, second - 80), at=second)
        assert rate.per_second == 50
        for second in range(100, 120):
            rate.observe(1000, at=second)
        assert rate.per_second == 0

    def test_a_counter_sampled_less_often_than_the_window_has_a_rate(self) -> None:
        rate = Rate(window=10)
        rate.observe(0, at=0)
        rate.observe(600, at=60)
        assert rate.per_second == 10

    def test_a_decreasing_counter_is_a_reset(self) -> None:
        rate = Rate()
        rate.observe(1000, at=0)
        rate.observe(3, at=1)
        assert rate.per_second is None
        rate.observe(5, at=2)
        assert rate.per_second == 2


class TestStatusStore:
    def test_a_new_subscriber_gets_the_full_state(self) -> None:
        store = StatusStore(NOON)
        with store.subscribe(lambda: None) as subscription:
            components = take(subscription)
        assert [component["name"] for component in components] == list(COMPONENTS)
        assert {component["state"] for component in components} == {"unknown"}
        store.update_member_counts(MEMBER_COUNTS)
        with store.subscribe(lambda: None) as subscription:
            assert take(subscription)[-1]["total"] == 3

    def test_an_unchanged_status_is_published_every_15_seconds_only(self) -> None:
        store = StatusStore(NOON)
        store.update("kafka", Status(lag=1), NOON)
        with store.subscribe(lambda: None) as subscription:
            subscription.take()
            store.update("kafka", Status(lag=1), after(14))
            assert take(subscription) == []
            store.update("kafka", Status(lag=1), after(15))
            assert [component["checked_at"] for component in take(subscription)] == ["2026-11-21T12:00:15Z"]
            store.update("kafka", Status(lag=2), after(16))
            assert [component["lag"] for component in take(subscription)] == [2]

    def test_a_slow_subscriber_gets_only_the_newest_events(self) -> None:
        store = StatusStore(NOON)
        with store.subscribe(lambda: None) as subscription:
            subscription.take()
            for lag in range(1000):
                store.update("kafka", Status(lag=lag), after(lag))
            store.update("spark", Status(lag=7), NOON)
            events = [(component["name"], component["lag"]) for component in take(subscription)]
        assert events == [("kafka", 999), ("spark", 7)]

    def test_an_unavailable_component_keeps_its_last_known_details(self) -> None:
        store = StatusStore(NOON)
        store.update("landing", Status(rate=3, lag=4, detail={"accepted": 9}), after(1))
        for second in (5, 6, 7):
            store.mark_unavailable("landing", "Connection refused.", "Nothing is accepted.", after(second))
        landing = store.component("landing")
        assert (landing.status.state, landing.since, landing.checked_at) == (State.DOWN, after(5), after(1))
        assert (landing.status.error, landing.status.impact) == ("Connection refused.", "Nothing is accepted.")
        assert (landing.status.rate, landing.status.lag, landing.status.detail) == (None, 4, {"accepted": 9})
        store.update("landing", Status(), after(9))
        assert (store.component("landing").status.state, store.component("landing").since) == (State.UP, after(9))

    def test_the_time_of_the_last_check_does_not_advance_while_a_component_is_down(self) -> None:
        store = StatusStore(NOON)
        store.update("spark", Status(lag=1), after(1))
        store.update("spark", Status(State.DOWN, "Connection refused.", lag=8), after(2))
        assert (store.component("spark").checked_at, store.component("spark").status.lag) == (after(1), 8)

    def test_the_member_counts_are_stale_while_cassandra_is_unavailable(self) -> None:
        store = StatusStore(NOON)
        store.update("cassandra", Status(), NOON)
        store.update_member_counts(MEMBER_COUNTS)
        with store.subscribe(lambda: None) as subscription:
            assert take(subscription)[-1]["is_stale"] is False
            store.mark_unavailable("cassandra", "Connection refused.", "", after(1))
            (counts,) = [event for event in take(subscription) if "total" in event]
            assert (counts["is_stale"], counts["rate"], counts["total"]) == (True, None, 3)
            store.update("cassandra", Status(), after(2))
            assert [event["is_stale"] for event in take(subscription) if "total" in event] == [False]

    def test_a_closed_subscription_gets_no_events(self) -> None:
        store, calls = StatusStore(NOON), []
        with store.subscribe(lambda: calls.append(1)):
            pass
        calls.clear()
        store.update("kafka", Status(lag=1), NOON)
        assert calls == []


class FakeMonitor:
    """Counts connections and checks; fails or hangs on request."""

    name = "kafka"
    unavailable_errors: tuple[type[Exception], ...] = (ConnectionError,)

    def __init__(self) -> None:
        self.connections = self.checks = 0
        self.failure: Exception | None = None
        self.may_continue = Event()
        self.may_continue.set()
        self.pause = 0.01

    def impact(self, last_seen: str) -> str:
        return f"Last seen at {last_seen}."

    @contextmanager
    def connect(self) -> Iterator[Sequence[Probe]]:
        self.connections += 1
        yield [Probe(self.check, pause=self.pause)]

    def check(self) -> Status:
        self.checks += 1
        self.may_continue.wait()
        if self.failure is not None:
            raise self.failure
        return Status(lag=self.checks)


@pytest.fixture
def monitor() -> FakeMonitor:
    return FakeMonitor()


@pytest.fixture
def store() -> StatusStore:
    return StatusStore(datetime.now(UTC))


@pytest.fixture
def thread(monitor: FakeMonitor, store: StatusStore) -> Iterator[MonitorThread]:
    thread = MonitorThread(monitor, store)
    thread.start()
    yield thread
    monitor.may_continue.set()
    thread.stop()
    thread.join(DEADLINE)


def is_in(store: StatusStore, state: State) -> bool:
    return store.component("kafka").status.state == state


class TestMonitorThread:
    def test_probes_are_repeated_over_one_connection(
        self, monitor: FakeMonitor, store: StatusStore, thread: MonitorThread
    ) -> None:
        assert holds(lambda: monitor.checks > 3)
        assert monitor.connections == 1
        assert is_in(store, State.UP)

    def test_an_outage_and_the_recovery_are_detected(
        self, monitor: FakeMonitor, store: StatusStore, thread: MonitorThread
    ) -> None:
        assert holds(lambda: is_in(store, State.UP))
        monitor.failure = ConnectionError("reset")
        assert holds(lambda: is_in(store, State.DOWN))
        assert store.component("kafka").status.error == "reset."
        assert str(store.component("kafka").status.impact).endswith(" UTC.")
        monitor.failure = None
        assert holds(lambda: is_in(store, State.UP))

    def test_a_bug_in_the_console_does_not_count_as_an_outage(
        self, monitor: FakeMonitor, store: StatusStore, thread: MonitorThread
    ) -> None:
        monitor.failure = KeyError("a bug")
        assert holds(lambda: "see the console's log" in str(store.component("kafka").status.error))
        assert is_in(store, State.UNKNOWN)

    def test_a_hanging_server_is_down_until_it_responds(
        self, monitor: FakeMonitor, store: StatusStore, thread: MonitorThread, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr("member_analyzer.console.monitoring.PROBE_TIMEOUT", 0.2)
        monitor.may_continue.clear()

        def is_detected() -> bool:
            thread.check_timeout()
            return is_in(store, State.DOWN)

        assert holds(is_detected)
        monitor.may_continue.set()
        assert holds(lambda: is_in(store, State.UP))

    def test_it_stops_during_a_pause(self, monitor: FakeMonitor, store: StatusStore) -> None:
        monitor.pause = 10 * DEADLINE
        thread = MonitorThread(monitor, store)
        thread.start()
        assert holds(lambda: monitor.checks > 0)
        thread.stop()
        thread.join(DEADLINE)
        assert f"monitor-{monitor.name}" not in {running.name for running in threads()}


def test_an_error_becomes_one_line_of_limited_length() -> None:
    assert describe_error(UnavailableError("one\n  two")) == "one two."
    assert describe_error(ValueError()) == "ValueError."
    assert len(describe_error(ValueError("x" * 1000))) == 300


def test_errors_of_clients_become_readable_messages() -> None:
    refused = ConnectionRefusedError(111, "Tried connecting to [('127.0.0.1', 19042)]. Last error: Connection refused")
    no_host = NoHostAvailable("Unable to connect to any servers", {"127.0.0.1:19042": refused})
    postgres = psycopg.OperationalError("connection failed: Connection refused")
    assert describe_error(no_host) == "No node responds: 127.0.0.1:19042. Connection refused."
    assert describe_error(postgres) == "PostgreSQL refuses connections."
    assert describe_error(KafkaException(KafkaError(KafkaError._TRANSPORT))) == "Kafka brokers do not respond."
