"""What the console shows of its stations, and whom it tells."""

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

from member_analyzer.console.board import STATIONS, Board, Look, Mailbox, Members, State
from member_analyzer.console.complaint import explain
from member_analyzer.console.rate import Rate
from member_analyzer.console.watch import AwayError, Glance, Watch
from patience import DEADLINE, holds

NOON = datetime(2026, 11, 21, 12, tzinfo=UTC)
MEMBERS = Members("2026-11-21", 3, 1.0, NOON, {"age": []}, {"age": 5})


def after(seconds: float) -> datetime:
    return NOON + timedelta(seconds=seconds)


def take(mailbox: Mailbox) -> list[dict[str, object]]:
    return [json.loads(data) for _, data in mailbox.take()]


class TestRate:
    def test_a_counter_that_was_read_once_has_no_rate(self) -> None:
        rate = Rate()
        rate.note(7, at=0)
        assert rate.per_second is None

    def test_it_is_the_growth_over_the_window_and_not_since_the_beginning(self) -> None:
        rate = Rate(window=10)
        for second in range(100):
            rate.note(50 * max(0, second - 80), at=second)
        assert rate.per_second == 50
        for second in range(100, 120):
            rate.note(1000, at=second)
        assert rate.per_second == 0

    def test_a_counter_that_is_read_less_often_than_the_window_is_long_has_one_too(self) -> None:
        rate = Rate(window=10)
        rate.note(0, at=0)
        rate.note(600, at=60)
        assert rate.per_second == 10

    def test_a_counter_that_falls_begins_anew(self) -> None:
        rate = Rate()
        rate.note(1000, at=0)
        rate.note(3, at=1)
        assert rate.per_second is None
        rate.note(5, at=2)
        assert rate.per_second == 2


class TestBoard:
    def test_a_new_subscriber_gets_every_station_once_and_the_members_when_they_are_known(self) -> None:
        board = Board(NOON)
        with board.subscribe(lambda: None) as mailbox:
            stations = take(mailbox)
        assert [one["name"] for one in stations] == list(STATIONS)
        assert {one["state"] for one in stations} == {"unknown"}
        board.show_members(MEMBERS)
        with board.subscribe(lambda: None) as mailbox:
            assert take(mailbox)[-1]["total"] == 3

    def test_a_look_that_sees_the_same_again_is_not_told_but_every_15_seconds(self) -> None:
        board = Board(NOON)
        board.show("kafka", Look(lag=1), NOON)
        with board.subscribe(lambda: None) as mailbox:
            mailbox.take()
            board.show("kafka", Look(lag=1), after(14))
            assert take(mailbox) == []
            board.show("kafka", Look(lag=1), after(15))
            assert [one["checked_at"] for one in take(mailbox)] == ["2026-11-21T12:00:15Z"]
            board.show("kafka", Look(lag=2), after(16))
            assert [one["lag"] for one in take(mailbox)] == [2]

    def test_a_slow_subscriber_gets_only_the_newest_of_each(self) -> None:
        board = Board(NOON)
        with board.subscribe(lambda: None) as mailbox:
            mailbox.take()
            for lag in range(1000):
                board.show("kafka", Look(lag=lag), after(lag))
            board.show("spark", Look(lag=7), NOON)
            assert [(one["name"], one["lag"]) for one in take(mailbox)] == [("kafka", 999), ("spark", 7)]

    def test_a_station_that_is_away_keeps_what_was_seen_of_it_and_says_since_when(self) -> None:
        board = Board(NOON)
        board.show("landing", Look(rate=3, lag=4, detail={"accepted": 9}), after(1))
        for second in (5, 6, 7):
            board.show_away("landing", "It is gone.", "Nothing is accepted.", after(second))
        shown = board.station("landing")
        assert (shown.seen.state, shown.since, shown.checked_at) == (State.DOWN, after(5), after(1))
        assert (shown.seen.complaint, shown.seen.means) == ("It is gone.", "Nothing is accepted.")
        assert (shown.seen.rate, shown.seen.lag, shown.seen.detail) == (None, 4, {"accepted": 9})
        board.show("landing", Look(), after(9))
        assert (board.station("landing").seen.state, board.station("landing").since) == (State.UP, after(9))

    def test_a_look_that_sees_a_station_down_does_not_count_as_seeing_it(self) -> None:
        board = Board(NOON)
        board.show("spark", Look(lag=1), after(1))
        board.show("spark", Look(State.DOWN, "Its UI is away.", lag=8), after(2))
        assert (board.station("spark").checked_at, board.station("spark").seen.lag) == (after(1), 8)

    def test_the_members_numbers_are_old_while_cassandra_is_away(self) -> None:
        board = Board(NOON)
        board.show("cassandra", Look(), NOON)
        board.show_members(MEMBERS)
        with board.subscribe(lambda: None) as mailbox:
            assert take(mailbox)[-1]["is_stale"] is False
            board.show_away("cassandra", "It is gone.", "", after(1))
            (members,) = [one for one in take(mailbox) if "total" in one]
            assert (members["is_stale"], members["rate"], members["total"]) == (True, None, 3)
            board.show("cassandra", Look(), after(2))
            assert [one["is_stale"] for one in take(mailbox) if "total" in one] == [False]

    def test_who_left_is_told_nothing_more(self) -> None:
        board, calls = Board(NOON), []
        with board.subscribe(lambda: calls.append(1)):
            pass
        calls.clear()
        board.show("kafka", Look(lag=1), NOON)
        assert calls == []


class Counted:
    """A station that counts how often it is connected to and looked at, and fails when told to."""

    name = "kafka"
    away: tuple[type[Exception], ...] = (ConnectionError,)

    def __init__(self) -> None:
        self.connections = self.looks = 0
        self.failure: Exception | None = None
        self.may_go_on = Event()
        self.may_go_on.set()
        self.rest = 0.01

    def means(self, since: str) -> str:
        return f"Seen last at {since}."

    @contextmanager
    def connect(self) -> Iterator[Sequence[Glance]]:
        self.connections += 1
        yield [Glance(self.look, rest=self.rest)]

    def look(self) -> Look:
        self.looks += 1
        self.may_go_on.wait()
        if self.failure is not None:
            raise self.failure
        return Look(lag=self.looks)


@pytest.fixture
def counted() -> Counted:
    return Counted()


@pytest.fixture
def board() -> Board:
    return Board(datetime.now(UTC))


@pytest.fixture
def watch(counted: Counted, board: Board) -> Iterator[Watch]:
    watch = Watch(counted, board)
    watch.start()
    yield watch
    counted.may_go_on.set()
    watch.stop()
    watch.join(DEADLINE)


def is_in(board: Board, state: State) -> bool:
    return board.station("kafka").seen.state == state


class TestWatch:
    def test_it_looks_again_and_again_over_one_connection(self, counted: Counted, board: Board, watch: Watch) -> None:
        assert holds(lambda: counted.looks > 3)
        assert counted.connections == 1
        assert is_in(board, State.UP)

    def test_a_server_that_goes_is_shown_and_so_is_that_it_is_back(
        self, counted: Counted, board: Board, watch: Watch
    ) -> None:
        assert holds(lambda: is_in(board, State.UP))
        counted.failure = ConnectionError("gone")
        assert holds(lambda: is_in(board, State.DOWN))
        assert board.station("kafka").seen.complaint == "gone."
        assert str(board.station("kafka").seen.means).endswith(" UTC.")
        counted.failure = None
        assert holds(lambda: is_in(board, State.UP))

    def test_a_fault_of_the_console_is_not_laid_to_the_server(
        self, counted: Counted, board: Board, watch: Watch
    ) -> None:
        counted.failure = KeyError("a mistake")
        assert holds(lambda: board.station("kafka").seen.complaint is not None and counted.looks > 0)
        assert holds(lambda: "its log says why" in str(board.station("kafka").seen.complaint))
        assert is_in(board, State.UNKNOWN)

    def test_a_server_that_hangs_is_shown_as_away_until_it_answers(
        self, counted: Counted, board: Board, watch: Watch, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr("member_analyzer.console.watch.PATIENCE", 0.2)
        counted.may_go_on.clear()

        def is_noticed() -> bool:
            watch.check_patience()
            return is_in(board, State.DOWN)

        assert holds(is_noticed)
        counted.may_go_on.set()
        assert holds(lambda: is_in(board, State.UP))

    def test_it_does_not_wait_for_the_next_look_to_end(self, counted: Counted, board: Board) -> None:
        counted.rest = 10 * DEADLINE
        watch = Watch(counted, board)
        watch.start()
        assert holds(lambda: counted.looks > 0)
        watch.stop()
        watch.join(DEADLINE)
        assert f"watch-{counted.name}" not in {thread.name for thread in threads()}


def test_an_error_is_told_on_one_line_that_is_not_too_long() -> None:
    assert explain(AwayError("one\n  two")) == "one two."
    assert explain(ValueError()) == "ValueError."
    assert len(explain(ValueError("x" * 1000))) == 300


def test_the_words_of_a_client_become_plain_ones() -> None:
    refused = ConnectionRefusedError(111, "Tried connecting to [('127.0.0.1', 19042)]. Last error: Connection refused")
    away = NoHostAvailable("Unable to connect to any servers", {"127.0.0.1:19042": refused})
    assert explain(away) == "No node answers: 127.0.0.1:19042. It refuses connections."
    assert (
        explain(psycopg.OperationalError("connection failed: Connection refused")) == "PostgreSQL refuses connections."
    )
    assert explain(KafkaException(KafkaError(KafkaError._TRANSPORT))) == "Kafka's brokers do not answer."
