"""What the reader of the interactions finds in their tables."""

import random
import zlib
from collections.abc import Iterator
from datetime import UTC, date, datetime, timedelta
from typing import Any

import orjson
import pytest
from cassandra import OperationTimedOut

from fake_cassandra import FakeCassandra
from member_analyzer.analysis.interactions import reader as interaction_reader
from member_analyzer.analysis.interactions.person_history import MONTHS, Position, parse_position
from member_analyzer.analysis.interactions.reader import MOST_LINKED, InteractionReader, Lag, Page
from member_analyzer.analysis.interactions.totals import Bucket

NOW = datetime(2026, 11, 21, 9, 20, 31, tzinfo=UTC)
DAY = date(2026, 11, 21)
KINARI = "m:kinari"


@pytest.fixture
def cassandra() -> FakeCassandra:
    return FakeCassandra()


@pytest.fixture
def reader(cassandra: FakeCassandra) -> InteractionReader:
    return InteractionReader(cassandra, "k")


def month_of(moment: datetime) -> date:
    return moment.date().replace(day=1)


def add_event(cassandra: FakeCassandra, visitor: str, at: datetime, message_id: str, **more: Any) -> None:
    values = {"source": "shop", "type": "track", "is_bot": False, "is_late": False} | more
    keys = {"visitor": visitor, "month": month_of(at), "occurred_at": at, "message_id": message_id}
    cassandra.insert("interaction_timeline", **keys, **values)


def add_session(cassandra: FakeCassandra, person: str, at: datetime, **more: Any) -> None:
    values = {"source": "shop", "is_bot": False, "day": at.date(), "ended_at": at, "events": 1, "views": 1} | more
    cassandra.insert("interaction_sessions_by_person", person=person, month=month_of(at), started_at=at, **values)


def add_links(cassandra: FakeCassandra, person: str, *linked: str, source: str = "shop", is_bot: bool = False) -> None:
    """A person with linked anonymous visitors; whoever has links also has a session."""
    state = zlib.compress(orjson.dumps([[], None, linked, None]))
    cassandra.insert("interaction_visitors", source=source, visitor=person, is_bot=is_bot, state=state)
    add_session(cassandra, person, NOW - timedelta(days=40), source=source, is_bot=is_bot)


def ids(page: Page) -> list[str]:
    return [row["message_id"] for row in page.rows]


def test_before_the_stream_has_run_the_lag_is_unknown(cassandra: FakeCassandra, reader: InteractionReader) -> None:
    assert reader.read_lag() == Lag(None, None)
    cassandra.insert("interaction_lag", stream="members", as_of=NOW, unread=1)
    assert reader.read_lag() == Lag(None, None)
    cassandra.insert("interaction_lag", stream="interactions", as_of=NOW, unread=7)
    assert reader.read_lag() == Lag(NOW, 7)


def test_a_day_has_totals_if_people_or_bots_have(cassandra: FakeCassandra, reader: InteractionReader) -> None:
    cassandra.insert("interaction_days", source="shop", day=DAY, is_bot=True, events=5, visitors=1, late=2)
    totals = reader.read_day("shop", DAY)
    assert totals is not None
    assert (totals.events, totals.late) == (0, 0)
    totals = reader.read_day("shop", DAY, with_bots=True)
    assert totals is not None
    assert (totals.events, totals.late, totals.erased) == (5, 2, 0)
    assert reader.read_day("shop", DAY - timedelta(days=1)) is None
    assert reader.read_day("blog", DAY, with_bots=True) is None


def add_bucket(cassandra: FakeCassandra, name: str, visitors: int, **more: Any) -> None:
    values = {"source": "shop", "day": DAY, "dimension": "page", "is_bot": False, "country": "", "events": 1}
    cassandra.insert("interaction_counts", **values | {"name": name, "visitors": visitors, "sessions": 1} | more)


def test_the_top_has_only_its_source_day_and_dimension(cassandra: FakeCassandra, reader: InteractionReader) -> None:
    add_bucket(cassandra, "/", 2)
    add_bucket(cassandra, "/", 5, is_bot=True)
    add_bucket(cassandra, "/cart", 3)
    for other in ({"source": "blog"}, {"day": date(2026, 11, 20)}, {"dimension": "exit_page"}):
        add_bucket(cassandra, "/", 100, **other)
    assert reader.read_top("shop", DAY, "page", 10) == [Bucket("/cart", "", 1, 3, 1), Bucket("/", "", 1, 2, 1)]
    assert reader.read_top("shop", DAY, "page", 1, with_bots=True) == [Bucket("/", "", 2, 7, 2)]


def test_a_day_without_a_dimension_is_not_a_day_without_anything(
    cassandra: FakeCassandra, reader: InteractionReader
) -> None:
    assert reader.read_top("shop", DAY, "event", 10) is None
    cassandra.insert("interaction_days", source="shop", day=DAY, is_bot=False, events=5)
    assert reader.read_top("shop", DAY, "event", 10) == []


def test_a_large_dimension_is_read_page_by_page(cassandra: FakeCassandra, reader: InteractionReader) -> None:
    for number in range(12_000):
        add_bucket(cassandra, f"/{number:05}", number)
    buckets = reader.read_top("shop", DAY, "page", 3)
    assert [one.name for one in buckets or []] == ["/11999", "/11998", "/11997"]
    assert cassandra.pages == 3


def test_a_dimension_that_takes_too_long_is_a_timeout(
    cassandra: FakeCassandra, reader: InteractionReader, monkeypatch: pytest.MonkeyPatch
) -> None:
    add_bucket(cassandra, "/", 1)
    monkeypatch.setattr(interaction_reader, "LONGEST_READ_SECONDS", -1)
    with pytest.raises(OperationTimedOut):
        reader.read_top("shop", DAY, "page", 3)
    add_event(cassandra, KINARI, NOW, "a")
    with pytest.raises(OperationTimedOut):
        reader.read_timeline(KINARI, 3, NOW)


@pytest.mark.parametrize("now", [NOW, NOW.replace(minute=40), NOW.replace(minute=29), NOW.replace(hour=0, minute=0)])
def test_live_reads_the_hours_and_minutes_that_it_needs(
    cassandra: FakeCassandra, reader: InteractionReader, now: datetime
) -> None:
    current = now.replace(second=0)
    for back in range(-1, 70):
        minute = current - timedelta(minutes=back)
        counts = {"events": 100 + back, "visitors": 2, "sessions": 1}
        key = {"source": "shop", "hour": minute.replace(minute=0), "minute": minute}
        cassandra.insert("interaction_minutes", **key, is_bot=False, **counts)
        last_at = now - timedelta(minutes=back)
        active = {"source": "shop", "minute": minute, "last_at": last_at}
        cassandra.insert("interaction_active", **active, person=f"a:{back}", is_bot=False)
        cassandra.insert("interaction_active", **active, person="m:bot", is_bot=True)
    live = reader.read_live("shop", now)
    assert [one.events for one in live.minutes] == [100 + back for back in reversed(range(30))]
    assert live.minutes[-1].minute == current
    # Those of the current minute to exactly five minutes ago.
    assert live.active == 6
    assert reader.read_live("shop", now, with_bots=True).active == 7


def test_live_of_an_unknown_source_is_zero(reader: InteractionReader) -> None:
    live = reader.read_live("nothing", NOW)
    assert (live.active, len(live.minutes), {one.events for one in live.minutes}) == (0, 30, {0})


def test_sessions_are_newest_first_over_months_with_pythons_types(
    cassandra: FakeCassandra, reader: InteractionReader
) -> None:
    moments = [NOW - timedelta(days=days) for days in (0, 3, 60, 61, 300)]
    for at in moments:
        add_session(cassandra, KINARI, at)
    add_session(cassandra, "m:somebody", NOW)
    page = reader.read_sessions(KINARI, 10, NOW)
    assert [row["started_at"] for row in page.rows] == moments
    assert (page.rows[0]["day"], page.rows[0]["is_bot"], page.next) == (DAY, False, None)
    page = reader.read_sessions(KINARI, 2, NOW)
    assert [row["started_at"] for row in page.rows] == moments[:2]
    assert page.next == Position(moments[1], "shop", "false")


def test_a_person_without_anything_has_an_empty_history(reader: InteractionReader) -> None:
    for person in (KINARI, "a:nobody", "u:"):
        assert reader.read_sessions(person, 10, NOW) == Page([], None)
        assert reader.read_timeline(person, 10, NOW) == Page([], None)


def test_the_timeline_has_what_a_person_did_under_linked_ids(
    cassandra: FakeCassandra, reader: InteractionReader
) -> None:
    add_links(cassandra, KINARI, "a:phone", "a:laptop")
    add_event(cassandra, KINARI, NOW, "5")
    add_event(cassandra, "a:phone", NOW - timedelta(minutes=1), "4")
    add_event(cassandra, KINARI, NOW - timedelta(minutes=2), "3")
    add_event(cassandra, "a:laptop", NOW - timedelta(days=35), "2")
    add_event(cassandra, "a:phone", NOW - timedelta(days=70), "1")
    add_event(cassandra, "a:strangers", NOW, "9")
    page = reader.read_timeline(KINARI, 10, NOW)
    assert ids(page) == ["5", "4", "3", "2", "1"]
    assert [row["visitor"] for row in page.rows] == [KINARI, "a:phone", KINARI, "a:laptop", "a:phone"]
    assert page.rows[0]["occurred_at"] == NOW
    assert ids(reader.read_timeline("a:phone", 10, NOW)) == ["4", "1"]


def test_an_anonymous_id_belongs_to_a_person_only_where_it_is_linked(
    cassandra: FakeCassandra, reader: InteractionReader
) -> None:
    add_links(cassandra, KINARI, "a:phone")
    add_links(cassandra, KINARI, "a:robot", source="blog", is_bot=True)
    add_event(cassandra, "a:phone", NOW, "shop")
    add_event(cassandra, "a:phone", NOW, "blog", source="blog")
    add_event(cassandra, "a:phone", NOW, "bot", is_bot=True)
    add_event(cassandra, "a:robot", NOW - timedelta(days=1), "robot", source="blog", is_bot=True)
    # Under its own id, everything is the person's.
    add_event(cassandra, KINARI, NOW - timedelta(days=2), "own", source="app")
    assert ids(reader.read_timeline(KINARI, 10, NOW)) == ["shop", "robot", "own"]


def test_the_ids_that_are_read_are_bounded_and_the_rest_is_counted(
    cassandra: FakeCassandra, reader: InteractionReader
) -> None:
    linked = [f"a:{number:03}" for number in range(MOST_LINKED + 3)]
    add_links(cassandra, KINARI, *linked)
    for number, visitor in enumerate(linked):
        add_event(cassandra, visitor, NOW - timedelta(seconds=number), visitor)
    page = reader.read_timeline(KINARI, 1000, NOW)
    assert ids(page) == linked[:MOST_LINKED]
    assert (page.omitted_ids, page.next) == (3, None)


def read_all(read: Any, person: str, limit: int) -> Iterator[dict[str, Any]]:
    """The rows of all pages; each page continues at the text of the position that the previous one returned."""
    before = None
    while True:
        page = read(person, limit, NOW, before)
        assert len(page.rows) <= limit
        yield from page.rows
        if page.next is None:
            return
        assert len(page.rows) == limit
        before = parse_position(str(page.next))


@pytest.mark.parametrize("seed", range(5))
@pytest.mark.parametrize("limit", [1, 2, 7, 60, 1000])
def test_pages_of_a_timeline_have_every_row_once_and_in_order(
    cassandra: FakeCassandra, reader: InteractionReader, limit: int, seed: int
) -> None:
    randomness = random.Random(seed)
    # More than are read at once, and moments of which many rows are.
    visitors = [KINARI, *(f"a:{number}" for number in range(20))]
    add_links(cassandra, KINARI, *visitors[1:])
    add_links(cassandra, KINARI, *visitors[1:], source="app")
    moments = [NOW, *(NOW - timedelta(minutes=randomness.randrange(100_000)) for _ in range(20))]
    moments += [datetime(2026, 11, 1, tzinfo=UTC), datetime(2026, 10, 31, 23, 59, 59, 999_000, tzinfo=UTC)]
    for number in range(200):
        source = randomness.choice(["app", "shop"])
        message_id = f"{randomness.randrange(1000)}~{number}ø"
        add_event(cassandra, randomness.choice(visitors), randomness.choice(moments), message_id, source=source)
    rows = list(read_all(reader.read_timeline, KINARI, limit))
    keys = [(NOW - row["occurred_at"], row["source"], row["message_id"]) for row in rows]
    assert keys == sorted(keys)
    assert len(set(keys)) == 200


@pytest.mark.parametrize("limit", [1, 2, 3, 100])
def test_pages_of_sessions_have_every_row_once_and_in_order(
    cassandra: FakeCassandra, reader: InteractionReader, limit: int
) -> None:
    for days in (0, 0.5, 30, 60):
        for source in ("app", "shop"):
            for is_bot in (False, True):
                add_session(cassandra, KINARI, NOW - timedelta(days=days), source=source, is_bot=is_bot)
    rows = list(read_all(reader.read_sessions, KINARI, limit))
    keys = [(NOW - row["started_at"], row["source"], row["is_bot"]) for row in rows]
    assert keys == sorted(keys)
    assert len(set(keys)) == 16


def test_a_moment_as_position_excludes_itself(cassandra: FakeCassandra, reader: InteractionReader) -> None:
    for seconds in range(3):
        add_event(cassandra, KINARI, NOW - timedelta(seconds=seconds), str(seconds))
    assert ids(reader.read_timeline(KINARI, 10, NOW, Position(NOW - timedelta(seconds=1)))) == ["2"]
    assert ids(reader.read_timeline(KINARI, 10, NOW, parse_position("9999-12-31"))) == ["0", "1", "2"]
    assert ids(reader.read_timeline(KINARI, 10, NOW, parse_position("0001-01-01"))) == []


def test_a_short_page_of_a_long_timeline_reads_little(cassandra: FakeCassandra, reader: InteractionReader) -> None:
    for seconds in range(2000):
        add_event(cassandra, KINARI, NOW - timedelta(seconds=seconds), str(seconds))
    assert len(reader.read_timeline(KINARI, 10, NOW).rows) == 10
    # One page of the current month, and the sessions of all months, whose sources may have links.
    assert cassandra.pages == 1 + MONTHS
