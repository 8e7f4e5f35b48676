"""The tables of the interactions equal an independent recount of the topic, whatever fails meanwhile."""

import os
import random
import signal
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from itertools import count
from typing import Any
from uuid import uuid4

import pytest

from counted_interactions import CountedInteractions
from interaction_records import Interactions
from member_analyzer.landing.erasure import erase_records
from member_analyzer.local.supervision import list_processes, start_process, stop_process
from member_analyzer.streams.members.definition import MEMBERS
from patience import holds
from running_platform import Platform

BROWSER = "Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/126.0.0.0 Safari/537.36"
PHONE = (
    "Mozilla/5.0 (iPhone; CPU iPhone OS 17_5 like Mac OS X) AppleWebKit/605.1.15 (KHTML, like Gecko) "
    "Version/17.5 Mobile/15E148 Safari/604.1"
)
BOT = "Mozilla/5.0 (compatible; Googlebot/2.1; +http://www.google.com/bot.html)"
PAGES = ("/", "/jam", "/bread", "/cart", "/søk")
EVENTS = ("Product Added", "Order Completed", "Signed In")


@pytest.fixture(scope="module")
def interactions(platform: Platform) -> Interactions:
    return Interactions(platform)


@pytest.fixture(scope="module")
def counted(platform: Platform, interactions: Interactions) -> CountedInteractions:
    return CountedInteractions(platform, interactions)


@pytest.fixture(scope="module")
def members(platform: Platform) -> list[str]:
    """Registered members."""
    users = platform.users("interaction-members", 12, 1)
    platform.take("interaction-members", 12)
    platform.wait_until_counted()
    return [user["login"]["uuid"] for user in users]


class Application:
    """An application with a source of its own, and what its visitors do."""

    def __init__(self, interactions: Interactions, zone: str = "Europe/Oslo") -> None:
        self.source = f"app-{uuid4().hex[:12]}"
        self._interactions = interactions
        self._numbers = count()
        self._key = interactions.create_source(self.source, time_zone=zone, events_per_second=100_000)

    def item(self, kind: str, at: datetime, **more: Any) -> dict[str, Any]:
        """An item of an SDK, with a message id of its own."""
        item = {"type": kind, "messageId": f"{self.source}-{next(self._numbers)}", "timestamp": at.isoformat()}
        return item | more

    def send(self, items: Sequence[dict[str, Any]]) -> None:
        """Send a batch; repeat it until it is accepted."""
        self._interactions.send(self._key, {"batch": items, "sentAt": datetime.now(UTC).isoformat()})


def make_history(app: Application, members: Sequence[str], size: int, seed: int) -> list[dict[str, Any]]:
    """What people, members and bots do within some days, in the order of time for each of them only."""
    chance, items = random.Random(seed), []
    now = datetime.now(UTC)
    while len(items) < size:
        device = chance.choice([f"device-{number}" for number in range(9)])
        member = chance.choice([None, None, *members[:8], "stranger", "someone@example.com"])
        agent = chance.choice([BROWSER, BROWSER, PHONE, BOT])
        at = now - timedelta(minutes=chance.randrange(20 * 24 * 60))
        for _ in range(chance.randrange(1, 8)):
            at += timedelta(seconds=chance.choice([1, 30, 90, 600, 1795, 1805]))
            context = {
                "userAgent": agent,
                "page": {
                    "path": chance.choice(PAGES),
                    "referrer": chance.choice(["", "https://search.example/", "https://news.example/a"]),
                },
            }
            ids = {"anonymousId": device} if member is None or chance.random() < 0.5 else {}
            if member is not None:
                ids["userId"] = member
            kind = chance.choice(["page", "page", "track", "identify", "screen", "alias", "group"])
            more: dict[str, Any] = {"context": context, **ids}
            if kind == "track":
                more["event"] = chance.choice(EVENTS)
            elif kind == "screen":
                more["name"] = chance.choice(["Home", "Settings"])
            elif kind == "alias":
                more["previousId"] = chance.choice([f"device-{number}" for number in range(9, 14)])
                more.setdefault("userId", "stranger")
            elif kind == "group":
                more["groupId"] = "g1"
            items.append(app.item(kind, min(at, now), **more))
    return items[:size]


def in_batches(items: Sequence[Any], size: int) -> Iterator[Sequence[Any]]:
    for begin in range(0, len(items), size):
        yield items[begin : begin + size]


def kill_stream(platform: Platform) -> None:
    killed = list_processes(platform.home)["stream"].pid
    # Process id 0 would signal the tests themselves.
    if killed:
        os.kill(killed, signal.SIGKILL)


@contextmanager
def stopped(platform: Platform, server: str) -> Iterator[None]:
    if server == "cassandra":
        platform.disconnect()
    stop_process(platform.home, server)
    try:
        yield
    finally:
        start_process(platform.home, server)
        if server == "cassandra":
            assert holds(lambda: can_connect(platform)), "Cassandra did not come back"


def can_connect(platform: Platform) -> bool:
    try:
        platform.connect()
    except Exception:
        return False
    return True


def check(counted: CountedInteractions, source: str) -> None:
    """Fail unless all tables of a source equal the recount."""
    found, expected = counted.read(source), counted.recount(source)
    assert found.days == expected.days
    assert found.counts == expected.counts
    assert found.minutes == expected.minutes
    assert found.sessions == expected.sessions
    assert found.members == expected.members
    assert counted.read_sessions_by_person(source) == expected.sessions


def test_the_tables_equal_a_recount_whatever_is_late_out_of_order_or_repeated(
    interactions: Interactions, counted: CountedInteractions, members: list[str]
) -> None:
    app = Application(interactions)
    items = make_history(app, members, 1200, seed=1)
    chance = random.Random(2)
    for half in in_batches(items, 600):
        shuffled = chance.sample(half, len(half))
        for batch in in_batches(shuffled, 40):
            app.send(batch)
            if chance.random() < 0.3:
                app.send(batch)
        counted.wait_for(app.source, items.index(half[-1]) + 1)
        check(counted, app.source)
    for batch in in_batches(items, 400):
        app.send(batch)
    last = app.item("page", datetime.now(UTC), userId=members[0], context={"page": {"path": "/last"}})
    app.send([last])
    counted.wait_for(app.source, len(items) + 1)
    check(counted, app.source)
    assert counted.total(app.source) == len(items) + 1


def test_interactions_count_once_although_the_stream_is_killed_again_and_again(
    platform: Platform, interactions: Interactions, counted: CountedInteractions, members: list[str]
) -> None:
    app = Application(interactions, "America/New_York")
    items = make_history(app, members, 3000, seed=3)
    for number, batch in enumerate(in_batches(items, 100)):
        app.send(batch)
        if number in (9, 19):
            kill_stream(platform)
            # The next one is killed while it counts what has arrived meanwhile.
            assert holds(lambda number=number: counted.total(app.source) > number * 40), "nothing is counted"
            kill_stream(platform)
    counted.wait_for(app.source, len(items))
    check(counted, app.source)


def test_interactions_count_once_although_cassandra_is_stopped(
    platform: Platform, interactions: Interactions, counted: CountedInteractions, members: list[str]
) -> None:
    app = Application(interactions)
    items = make_history(app, members, 1000, seed=4)
    for batch in in_batches(items[:500], 50):
        app.send(batch)
    with stopped(platform, "cassandra"):
        for batch in in_batches(items[500:], 50):
            app.send(batch)
    counted.wait_for(app.source, len(items))
    check(counted, app.source)


def test_a_member_who_was_active_before_the_registration_is_counted_by_it_without_another_interaction(
    platform: Platform, interactions: Interactions, counted: CountedInteractions
) -> None:
    app = Application(interactions)
    (user,) = platform.users("interaction-later", 1, 1)
    member_id = user["login"]["uuid"]
    now = datetime.now(UTC)
    app.send([app.item("page", now, userId=member_id, context={"page": {"path": "/"}})])
    counted.wait_for(app.source, 1)
    assert counted.rows("interaction_members", source=app.source) == []
    platform.take("interaction-later", 1)
    assert holds(lambda: bool(counted.rows("interaction_members", source=app.source)))
    check(counted, app.source)
    assert {bucket[2] for bucket in counted.read(app.source).counts} >= {
        "age_group",
        "gender",
        "member_country",
        "city",
    }


def test_an_erased_member_leaves_no_trace_and_later_interactions_are_refused(
    platform: Platform, interactions: Interactions, counted: CountedInteractions
) -> None:
    app = Application(interactions)
    users = platform.users("interaction-erased", 2, 1)
    erased, kept = (user["login"]["uuid"] for user in users)
    platform.take("interaction-erased", 2)
    platform.wait_until_counted()
    now = datetime.now(UTC)
    device = f"device-{uuid4().hex}"
    items = [
        app.item("page", now - timedelta(days=3), anonymousId=device, context={"page": {"path": "/before"}}),
        app.item("identify", now - timedelta(days=3, seconds=-9), anonymousId=device, userId=erased),
        app.item("track", now, userId=erased, event="Order Completed"),
        app.item("page", now, userId=kept, context={"page": {"path": "/kept"}}),
    ]
    app.send(items)
    counted.wait_for(app.source, len(items))
    check(counted, app.source)
    assert erase_records(platform.landing, MEMBERS, [erased]).erased == [erased]
    del platform.taken[erased]
    assert holds(lambda: counted.total(app.source) == 1), "the interactions are not erased"
    for table, column in (
        ("interaction_timeline", "visitor"),
        ("interaction_sessions_by_person", "person"),
        ("interaction_sessions", "person"),
        ("interaction_visitors", "visitor"),
        ("interaction_active", "person"),
    ):
        names = {row[column] for row in counted.rows(table) if row[column] in (f"m:{erased}", f"a:{device}")}
        assert names == set(), table
    assert {row["member_id"] for row in counted.rows("interaction_members", source=app.source)} == {kept}
    app.send([app.item("page", now, userId=erased, context={"page": {"path": "/again"}})])
    counted.wait_for(app.source, 2)
    days = counted.rows("interaction_days", source=app.source)
    assert (sum(row["events"] for row in days), sum(row["erased"] or 0 for row in days)) == (1, 1)
    assert [row for row in counted.rows("interaction_timeline") if row["visitor"] == f"m:{erased}"] == []


def test_a_message_id_that_is_used_for_something_else_is_rejected_and_kept(
    interactions: Interactions, counted: CountedInteractions
) -> None:
    app, other = Application(interactions), Application(interactions)
    now = datetime.now(UTC)
    visitor = uuid4().hex
    first = app.item("track", now, userId=visitor, event="Order Completed")
    app.send([first])
    counted.wait_for(app.source, 1)
    app.send([first | {"event": "Order Cancelled"}])
    # The same id of another source is another interaction.
    other.send([first | {"event": "Order Cancelled"}])
    counted.wait_for(other.source, 1)
    assert holds(lambda: interactions.read_rejected_keys("conflicting_id") >= {f"m:{visitor}".encode()})
    assert counted.total(app.source) == 1
