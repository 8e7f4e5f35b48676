"""The read API of the interactions, on rows in the real tables."""

import json
import zlib
from collections.abc import Iterator, Mapping, Sequence
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest
from cassandra.cluster import Session
from cassandra.concurrent import execute_concurrent_with_args

from collector_client import (
    Client,
    check_answer,
    document,
    is_problem,
    make_client,
    own_collector,
    validate_schema,
)
from member_analyzer.landing.api_keys import Right
from member_analyzer.records.codec import write_moment
from patience import holds
from ports import free_ports
from running_platform import Platform

DAY = date(2026, 3, 1)
HISTORIES = ("timeline", "sessions")
PATHS = ("day", "top", "live", *HISTORIES)
PARTITIONS = {
    "interaction_days": ("source", "day"),
    "interaction_counts": ("source", "day", "dimension", "is_bot"),
    "interaction_minutes": ("source", "hour"),
    "interaction_active": ("source", "minute"),
    "interaction_visitors": ("source", "visitor"),
    "interaction_timeline": ("visitor", "month"),
    "interaction_sessions_by_person": ("person", "month"),
}


class Tables:
    """The tables of the interactions, and the rows of a test in them."""

    def __init__(self, session: Session) -> None:
        self._session = session
        self._partitions: set[tuple[str, tuple[Any, ...]]] = set()

    def insert(self, table: str, **values: Any) -> None:
        self.insert_all(table, [values])

    def insert_all(self, table: str, rows: Sequence[Mapping[str, Any]]) -> None:
        """Insert rows with the same columns in the same order."""
        columns = list(rows[0])
        insert = self._session.prepare(
            f"INSERT INTO spark_streams.{table} ({', '.join(columns)}) VALUES ({', '.join('?' for _ in columns)})"
        )
        execute_concurrent_with_args(self._session, insert, [tuple(row.values()) for row in rows])
        self._partitions |= {(table, tuple(row[name] for name in PARTITIONS[table])) for row in rows}

    def delete(self) -> None:
        """Delete the partitions of the rows that were inserted."""
        for table, partition in self._partitions:
            where = " AND ".join(f"{name} = ?" for name in PARTITIONS[table])
            self._session.execute(self._session.prepare(f"DELETE FROM spark_streams.{table} WHERE {where}"), partition)


@pytest.fixture
def tables(platform: Platform) -> Iterator[Tables]:
    rows = Tables(platform.session)
    yield rows
    rows.delete()


@pytest.fixture(scope="module")
def client(platform: Platform) -> Client:
    return make_client(platform)


@pytest.fixture
def source() -> str:
    """A source that nobody else has."""
    return f"api-{uuid4().hex[:12]}"


@pytest.fixture
def person() -> str:
    """A member id that nobody else has."""
    return f"api-{uuid4().hex[:12]}"


def read(client: Client, path: str, **parameters: Any) -> dict[str, Any]:
    """The response, which must be as the OpenAPI document describes it."""
    answer = client.read(f"interactions/{path}", **parameters)
    assert answer.status_code == 200, answer.text
    described = document(client)
    check_answer(described, described["paths"][f"/v1/analysis/interactions/{path}"]["get"], answer)
    body: dict[str, Any] = answer.json()
    assert {"as_of", "unread"} <= body.keys()
    return body


def add_event(tables: Tables, visitor: str, source: str, at: datetime, message_id: str, **more: Any) -> None:
    key = {"visitor": visitor, "month": at.date().replace(day=1), "occurred_at": at, "source": source}
    values = {"message_id": message_id, "type": "page", "is_bot": False, "is_late": False, "received_at": at}
    tables.insert("interaction_timeline", **key | values | more)


def add_session(tables: Tables, person: str, source: str, at: datetime, *, is_bot: bool = False) -> None:
    key = {"person": person, "month": at.date().replace(day=1), "started_at": at, "source": source, "is_bot": is_bot}
    values = {"day": at.date(), "ended_at": at + timedelta(seconds=90.5), "events": 3, "views": 2}
    tables.insert("interaction_sessions_by_person", **key, **values, is_bounce=False, entry_page="/")


def recent(**before: float) -> datetime:
    """A moment before now, in milliseconds as Cassandra stores it."""
    moment = datetime.now(UTC) - timedelta(**before)
    return moment.replace(microsecond=moment.microsecond // 1000 * 1000)


def pages(client: Client, path: str, rows: str, **parameters: Any) -> Iterator[Mapping[str, Any]]:
    """The rows of all pages."""
    page = read(client, path, **parameters)
    yield from page[rows]
    while page["next"] is not None:
        page = read(client, path, **parameters, before=page["next"])
        yield from page[rows]


def test_the_totals_of_a_day_are_those_of_people_or_also_of_bots(client: Client, tables: Tables, source: str) -> None:
    totals = {"events": 20, "visitors": 4, "sessions": 5, "bounces": 2, "late": 1, "erased": 3}
    for is_bot in (False, True):
        tables.insert("interaction_days", source=source, day=DAY, is_bot=is_bot, milliseconds=30_250, **totals)
    people = read(client, "day", source=source, date=DAY.isoformat())
    assert {"source": source, "date": "2026-03-01", "seconds": 30.25, **totals}.items() <= people.items()
    both = read(client, "day", source=source, date=DAY.isoformat(), bots="true")
    assert (both["events"], both["visitors"], both["seconds"]) == (40, 8, 60.5)
    assert is_problem(client.read("interactions/day", source=source, date="2026-03-02"), 404)
    assert is_problem(client.read("interactions/day", source=source), 404)
    assert is_problem(client.read("interactions/top", source=f"{source}-x", date="2026-03-01", by="page"), 404)


def test_the_top_of_a_dimension_is_sorted_and_bots_are_added(client: Client, tables: Tables, source: str) -> None:
    key = {"source": source, "day": DAY, "dimension": "page", "country": ""}
    # More than a page of the driver.
    rows = [{"is_bot": False, "name": f"/{number:04}", "visitors": number % 7} for number in range(5200)]
    tables.insert_all("interaction_counts", [key | row | {"events": 1, "sessions": 1} for row in rows])
    tables.insert("interaction_counts", **key, is_bot=True, name="/0006", events=9, visitors=9, sessions=9)
    top = read(client, "top", source=source, date=DAY.isoformat(), by="page", limit=3)
    assert top["buckets"] == [
        {"name": name, "events": 1, "visitors": 6, "sessions": 1} for name in ("/0006", "/0013", "/0020")
    ]
    top = read(client, "top", source=source, date=DAY.isoformat(), by="page", limit=1, bots="true")
    assert top["buckets"] == [{"name": "/0006", "events": 10, "visitors": 15, "sessions": 10}]
    city = key | {"dimension": "city", "country": "Norway", "name": "Bodø"}
    tables.insert("interaction_counts", **city, is_bot=False, events=1, visitors=1, sessions=1)
    top = read(client, "top", source=source, date=DAY.isoformat(), by="city")
    assert top["buckets"] == [{"name": "Bodø", "country": "Norway", "events": 1, "visitors": 1, "sessions": 1}]


def test_live_has_the_last_minutes_and_who_is_active(client: Client, tables: Tables, source: str) -> None:
    now = recent()
    for back in (0, 1, 20, 31):
        minute = (now - timedelta(minutes=back)).replace(second=0, microsecond=0)
        key = {"source": source, "hour": minute.replace(minute=0), "minute": minute}
        tables.insert("interaction_minutes", **key, is_bot=False, events=10 + back, visitors=2, sessions=1)
        active = {"source": source, "minute": minute, "last_at": now - timedelta(minutes=back)}
        tables.insert("interaction_active", **active, person="m:one", is_bot=False)
        tables.insert("interaction_active", **active, person=f"m:bot-{back}", is_bot=True)
    live = read(client, "live", source=source)
    counted = {one["minute"]: one["events"] for one in live["minutes"]}
    minutes = [write_moment((now - timedelta(minutes=back)).replace(second=0, microsecond=0)) for back in (0, 1, 20)]
    assert [counted[minute] for minute in minutes] == [10, 11, 30]
    assert sum(counted.values()) == 51
    assert live["active"] == 1
    assert read(client, "live", source=source, bots="true")["active"] == 3
    unknown = read(client, "live", source=f"{source}-x")
    assert (unknown["active"], {one["events"] for one in unknown["minutes"]}) == (0, {0})


def test_the_sessions_of_a_person_are_pages(client: Client, tables: Tables, source: str, person: str) -> None:
    moments = [recent(minutes=1), recent(days=1), recent(days=40), recent(days=300)]
    for at in moments:
        for name in (source, f"{source}-b"):
            for is_bot in (False, True):
                add_session(tables, f"m:{person}", name, at, is_bot=is_bot)
    expected = [
        (write_moment(at), name, is_bot)
        for at in moments
        for name in (source, f"{source}-b")
        for is_bot in (False, True)
    ]
    for limit in (1, 3, 16, 100):
        found = list(pages(client, "sessions", "sessions", person=person, limit=limit))
        assert [(one["started_at"], one["source"], one["is_bot"]) for one in found] == expected
    assert (found[0]["seconds"], found[0]["day"], found[0]["entry_page"], found[0]["exit_page"]) == (
        90.5,
        moments[0].date().isoformat(),
        "/",
        None,
    )
    before = write_moment(moments[1])
    assert len(read(client, "sessions", person=f"m:{person}", before=before)["sessions"]) == 8


def test_the_timeline_of_a_person_has_its_linked_ids_and_is_pages(
    client: Client, tables: Tables, source: str, person: str
) -> None:
    member, phone = f"m:{person}", f"a:{person}"
    state = zlib.compress(json.dumps([[], None, [phone], None]).encode())
    tables.insert("interaction_visitors", source=source, visitor=member, is_bot=False, state=state)
    add_session(tables, member, source, recent(days=40))
    together, expected = recent(minutes=5), []
    for number in range(60):
        at = together if number < 40 else recent(days=number)
        visitor = phone if number % 2 else member
        add_event(tables, visitor, source, at, f"{number:02}~&+ø", path="/", properties='{"n": 1.50}')
        expected.append((write_moment(at), visitor, f"{number:02}~&+ø"))
    # In another source the anonymous id is somebody else's.
    add_event(tables, phone, f"{source}-b", together, "another")
    for limit in (1, 7, 60, 1000):
        found = list(pages(client, "timeline", "events", person=person, limit=limit))
        assert [(one["occurred_at"], one["visitor"], one["message_id"]) for one in found] == expected
    assert (found[0]["properties"], found[0]["is_late"], found[0]["title"]) == ({"n": 1.5}, False, None)
    assert len(read(client, "timeline", person=phone)["events"]) == 31
    assert read(client, "timeline", person=f"{person}-x")["events"] == []


def test_every_access_to_a_person_is_logged_without_the_person(
    platform: Platform, tables: Tables, source: str, person: str
) -> None:
    add_event(tables, f"m:{person}", source, recent(minutes=1), "1")
    viewer = make_client(platform, Right.PEOPLE)
    for path in HISTORIES:
        read(viewer, path, person=person)
    assert is_problem(viewer.read("interactions/live", source=source), 403)
    file = platform.home.logs / "collector.log"

    def accesses() -> list[dict[str, Any]]:
        lines = [json.loads(line) for line in file.read_text().splitlines() if viewer.name in line]
        return [one for one in lines if one["event"] == "people.read"]

    assert holds(lambda: len(accesses()) == 2), "the accesses are not in the log"
    assert [(one["api_key"], one["kind"], one["rows"]) for one in accesses()] == [
        (viewer.name, "timeline", 1),
        (viewer.name, "sessions", 0),
    ]
    assert len({one["person"] for one in accesses()}) == 1
    assert person not in file.read_text()


@pytest.mark.parametrize("path", PATHS)
def test_the_examples_of_the_openapi_document_are_valid(client: Client, path: str) -> None:
    described = document(client)
    operation = described["paths"][f"/v1/analysis/interactions/{path}"]["get"]
    for content in (one for response in operation["responses"].values() for one in response["content"].values()):
        for example in [one["value"] for one in content.get("examples", {}).values()] or [content["example"]]:
            validate_schema(described, content["schema"], example)


def test_while_cassandra_is_unavailable_requests_get_503(platform: Platform, tmp_path: Path) -> None:
    port, closed = free_ports(2)
    with own_collector(platform, port, tmp_path / "log", CASSANDRA_PORT=str(closed)) as own:
        client = make_client(platform, url=own.url)
        for path in PATHS:
            answer = client.read(f"interactions/{path}", source="shop", by="page", person="nobody")
            assert is_problem(answer, 503)
            assert int(answer.headers["Retry-After"]) >= 1
    assert "people.read" not in own.log.read_text()
