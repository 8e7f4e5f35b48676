"""The read API of the interactions: routes, rights, responses and what is logged, on tables in memory."""

import hashlib
import json
import re
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from functools import cache
from types import SimpleNamespace
from typing import Any

import jsonschema
import pytest
from cassandra.cluster import NoHostAvailable
from fastapi import FastAPI
from httpx2 import Response
from starlette.testclient import TestClient
from structlog.testing import capture_logs

from fake_cassandra import FakeCassandra
from member_analyzer.collector import analysis_reader, interaction_analysis
from member_analyzer.collector.analysis_reader import AnalysisReader
from member_analyzer.collector.app import create_app
from member_analyzer.collector.authentication import Authenticator
from member_analyzer.landing.api_keys import ApiKey, Right
from member_analyzer.records.codec import write_moment
from member_analyzer.settings import CassandraSettings
from member_analyzer.streams.members.definition import MEMBERS

ENVIRONMENT = {
    "LANDING_PASSWORD": "-",
    "CASSANDRA_USERNAME": "collector",
    "CASSANDRA_PASSWORD": "-",
    "CASSANDRA_KEYSPACE": "k",
    "KAFKA_USERNAME": "collector",
    "KAFKA_PASSWORD": "-",
}
PATH = "/v1/analysis/interactions"
SECRET = "s" * 43
DAY = date(2026, 11, 21)
AS_OF = datetime(2026, 11, 21, 9, 20, 31, 5000, tzinfo=UTC)
KINARI = "m:kinari"


class Keys:
    """A fake pool of the landing database; there is a key for each right, of its name."""

    async def run(self, _: object) -> dict[str, ApiKey]:
        secret = hashlib.sha256(SECRET.encode()).digest()
        return {one.value: ApiKey(one.value, secret, frozenset({one}), AS_OF, None) for one in Right}


@cache
def make_app() -> FastAPI:
    return create_app(ENVIRONMENT, MEMBERS)


class Api:
    """The collector; its Cassandra is in memory."""

    def __init__(self, cassandra: FakeCassandra) -> None:
        self.cassandra = cassandra
        app = make_app()
        pool: Any = Keys()
        tables = AnalysisReader(CassandraSettings.of(ENVIRONMENT), MEMBERS)
        authenticator = Authenticator(pool, 10_000)
        app.state.services = replace(app.state.services, authenticator=authenticator, tables=tables)
        self.document = app.openapi()
        # Not as a context manager, which would connect the services.
        self._client = TestClient(app)

    def get(self, path: str, right: Right, **parameters: Any) -> Response:
        headers = {"Authorization": f"Bearer ma_{right.value}_{SECRET}"}
        return self._client.get(f"{PATH}/{path}", headers=headers, params=parameters)

    def read(self, path: str, right: Right = Right.READ, **parameters: Any) -> dict[str, Any]:
        """The response, which must be as the OpenAPI document describes it."""
        answer = self.get(path, right, **parameters)
        assert answer.status_code == 200, answer.text
        content = self.document["paths"][f"{PATH}/{path}"]["get"]["responses"]["200"]["content"]
        self.validate(answer.json(), content["application/json"]["schema"])
        body: dict[str, Any] = answer.json()
        return body

    def validate(self, value: Any, schema: dict[str, Any]) -> None:
        # The schema's references point into the document's components.
        jsonschema.Draft202012Validator(schema | {"components": self.document["components"]}).validate(value)


@pytest.fixture
def cassandra(monkeypatch: pytest.MonkeyPatch) -> FakeCassandra:
    tables = FakeCassandra()

    @contextmanager
    def connect(*_: object, **__: object) -> Iterator[FakeCassandra]:
        yield tables

    monkeypatch.setattr(analysis_reader, "connect_cassandra", connect)
    no_members = SimpleNamespace(read_progress=lambda: SimpleNamespace(analysis_date=None))
    monkeypatch.setattr(analysis_reader, "AnalysisTables", lambda *_: no_members)
    return tables


@pytest.fixture
def api(cassandra: FakeCassandra) -> Api:
    return Api(cassandra)


def add_day(cassandra: FakeCassandra, day: date = DAY, **more: Any) -> None:
    totals = {"events": 20, "visitors": 4, "sessions": 5, "bounces": 2, "milliseconds": 61_000, "late": 1, "erased": 3}
    cassandra.insert("interaction_days", **{"source": "shop", "day": day, "is_bot": False} | totals | more)


def add_lag(cassandra: FakeCassandra) -> None:
    cassandra.insert("interaction_lag", stream="interactions", as_of=AS_OF, unread=12)


def test_a_day_has_its_totals_and_the_lag(api: Api) -> None:
    add_day(api.cassandra)
    add_day(api.cassandra, is_bot=True, milliseconds=500)
    totals = {"events": 20, "visitors": 4, "sessions": 5, "bounces": 2, "seconds": 61, "late": 1, "erased": 3}
    day = {"source": "shop", "date": "2026-11-21"}
    assert api.read("day", source="shop", date="2026-11-21") == day | totals | {"as_of": None, "unread": None}
    add_lag(api.cassandra)
    with_bots = {name: 2 * total for name, total in totals.items()} | {"seconds": 61.5}
    lag = {"as_of": "2026-11-21T09:20:31.005Z", "unread": 12}
    assert api.read("day", source="shop", date="2026-11-21", bots="true") == day | with_bots | lag


@pytest.mark.parametrize(("milliseconds", "text"), [(0, "0"), (61_000, "61"), (61_500, "61.5"), (1, "0.001")])
def test_whole_seconds_are_integers(api: Api, milliseconds: int, text: str) -> None:
    add_day(api.cassandra, milliseconds=milliseconds)
    assert f'"seconds":{text},' in api.get("day", Right.READ, source="shop", date="2026-11-21").text


@pytest.mark.parametrize("path", ["day", "top"])
def test_without_a_date_the_day_is_the_current_one(api: Api, monkeypatch: pytest.MonkeyPatch, path: str) -> None:
    monkeypatch.setattr(interaction_analysis, "today", lambda: date(2026, 11, 22))
    add_day(api.cassandra, date(2026, 11, 22))
    assert api.read(path, source="shop", by="page")["date"] == "2026-11-22"


@pytest.mark.parametrize("path", ["day", "top"])
def test_a_source_or_a_day_without_interactions_is_not_found(api: Api, path: str) -> None:
    add_day(api.cassandra)
    for source, day in (("blog", "2026-11-21"), ("shop", "2026-11-20")):
        answer = api.get(path, Right.READ, source=source, date=day, by="page")
        assert answer.status_code == 404
        assert answer.json()["detail"] == f"No interactions of the source {source} were counted on {day}."


def add_bucket(cassandra: FakeCassandra, dimension: str, name: str, visitors: int, country: str = "") -> None:
    key = {"source": "shop", "day": DAY, "dimension": dimension, "is_bot": False, "name": name, "country": country}
    cassandra.insert("interaction_counts", **key, events=9, visitors=visitors, sessions=1)


def test_the_top_is_sorted_and_limited_and_only_cities_have_countries(api: Api) -> None:
    add_lag(api.cassandra)
    for name, visitors in (("/", 2), ("/cart", 3), ("/jam", 1)):
        add_bucket(api.cassandra, "page", name, visitors)
    add_bucket(api.cassandra, "city", "Bodø", 1, "Norway")
    top = api.read("top", source="shop", date="2026-11-21", by="page", limit=2)
    assert top["by"] == "page"
    assert top["buckets"] == [
        {"name": "/cart", "events": 9, "visitors": 3, "sessions": 1},
        {"name": "/", "events": 9, "visitors": 2, "sessions": 1},
    ]
    assert top["unread"] == 12
    cities = api.read("top", source="shop", date="2026-11-21", by="city")["buckets"]
    assert cities == [{"name": "Bodø", "country": "Norway", "events": 9, "visitors": 1, "sessions": 1}]


def test_a_dimension_without_values_is_empty(api: Api) -> None:
    add_day(api.cassandra)
    for by in interaction_analysis.By:
        assert api.read("top", source="shop", date="2026-11-21", by=by.value)["buckets"] == []


def test_live_has_thirty_minutes_also_of_an_unknown_source(api: Api) -> None:
    now = datetime.now(UTC)
    for minute in (now, now + timedelta(minutes=1)):
        minute = minute.replace(second=0, microsecond=0)
        key = {"source": "shop", "hour": minute.replace(minute=0), "minute": minute, "is_bot": False}
        api.cassandra.insert("interaction_minutes", **key, events=7, visitors=2, sessions=1)
    api.cassandra.insert(
        "interaction_active",
        **{"source": "shop", "minute": now.replace(second=0, microsecond=0), "person": KINARI, "is_bot": False},
        last_at=now,
    )
    live = api.read("live", source="shop")
    assert (live["source"], live["active"], len(live["minutes"]), live["as_of"]) == ("shop", 1, 30, None)
    assert live["minutes"][-1]["events"] == 7
    assert live["minutes"][-1]["minute"] >= write_moment(now.replace(second=0, microsecond=0))
    assert {one["events"] for one in live["minutes"][:-2]} == {0}
    unknown = api.read("live", source="nothing")
    assert (unknown["active"], {one["events"] for one in unknown["minutes"]}) == (0, {0})


INVALID: list[tuple[str, dict[str, Any]]] = [
    ("day", {}),
    ("day", {"source": "Sh op"}),
    ("day", {"source": "x" * 41}),
    ("day", {"source": "shop\n"}),
    ("day", {"source": "shop", "date": "20261121"}),
    ("day", {"source": "shop", "date": "2026-02-30"}),
    ("day", {"source": "shop", "date": "0999-01-01"}),
    ("day", {"source": "shop", "bots": "perhaps"}),
    ("top", {"source": "shop"}),
    ("top", {"source": "shop", "by": "birthday"}),
    ("top", {"source": "shop", "by": "page", "limit": 0}),
    ("top", {"source": "shop", "by": "page", "limit": 10_001}),
    ("live", {"source": ""}),
    *(
        (history, parameters)
        for history in ("timeline", "sessions")
        for parameters in (
            {},
            {"person": ""},
            {"person": "x" * 256},
            {"person": "a", "limit": 0},
            {"person": "a", "limit": 1001},
            {"person": "a", "before": "yesterday"},
            {"person": "a", "before": "2026-11-21T09:15:00Z~shop"},
            {"person": "a", "before": "2026-11-21T09:15:00Z~shop~" + "x" * 256},
        )
    ),
]


@pytest.mark.parametrize(("path", "parameters"), INVALID)
def test_invalid_parameters_are_refused(api: Api, path: str, parameters: dict[str, Any]) -> None:
    right = Right.PEOPLE if path in ("timeline", "sessions") else Right.READ
    answer = api.get(path, right, **parameters)
    assert answer.status_code == 422
    assert answer.headers["Content-Type"] == "application/problem+json"


@pytest.mark.parametrize("path", ["day", "top", "live", "timeline", "sessions"])
def test_numbers_need_the_right_to_read_and_people_a_right_of_their_own(api: Api, path: str) -> None:
    add_day(api.cassandra)
    needed = Right.PEOPLE if path in ("timeline", "sessions") else Right.READ
    parameters = {"source": "shop", "date": "2026-11-21", "by": "page", "person": "kinari"}
    for right in Right:
        answer = api.get(path, right, **parameters)
        assert answer.status_code == (200 if right is needed else 403), answer.text
        if right is not needed:
            detail = f"The API key {right.value} does not have the right `{needed.value}`."
            assert answer.json()["detail"] == detail


def test_the_tables_of_the_members_do_not_capture_the_interactions(api: Api) -> None:
    assert api.get("", Right.READ).status_code == 422
    assert api.get("births", Right.READ).json()["detail"] == "This path does not exist: see /docs."
    assert api.get("../gender", Right.READ).json()["detail"] == "No members have been counted yet."


def add_event(cassandra: FakeCassandra, at: datetime, message_id: str, **more: Any) -> None:
    values = {"visitor": KINARI, "source": "shop", "type": "page", "is_bot": False, "is_late": False} | more
    month = at.date().replace(day=1)
    cassandra.insert("interaction_timeline", month=month, occurred_at=at, message_id=message_id, **values)


def add_session(cassandra: FakeCassandra, at: datetime, milliseconds: int, **more: Any) -> None:
    ended_at, month = at + timedelta(milliseconds=milliseconds), at.date().replace(day=1)
    key = {"person": KINARI, "source": "shop", "is_bot": False, "started_at": at, "month": month}
    values = {"events": 3, "views": 2, "is_bounce": False, "ended_at": ended_at, "day": at.date()}
    cassandra.insert("interaction_sessions_by_person", **key | values | more)


def recently(**before: float) -> datetime:
    """A moment shortly before now, in milliseconds as Cassandra stores it."""
    moment = datetime.now(UTC) - timedelta(**before)
    return moment.replace(microsecond=moment.microsecond // 1000 * 1000)


def test_the_sessions_of_a_person_are_pages(api: Api) -> None:
    add_lag(api.cassandra)
    moments = [recently(minutes=number) for number in range(3)]
    for at in moments:
        add_session(api.cassandra, at, 12_500, entry_page="/", exit_page="/cart")
    first = api.read("sessions", Right.PEOPLE, person="kinari", limit=2)
    assert (first["person"], first["unread"], len(first["sessions"])) == (KINARI, 12, 2)
    session = first["sessions"][0]
    assert session == {
        **dict.fromkeys(("referrer", "utm_source", "browser", "system", "device", "country")),
        **{"source": "shop", "is_bot": False, "day": moments[0].date().isoformat(), "events": 3, "views": 2},
        **{"is_bounce": False, "entry_page": "/", "exit_page": "/cart", "seconds": 12.5},
        "started_at": write_moment(moments[0]),
        "ended_at": write_moment(moments[0] + timedelta(seconds=12.5)),
    }
    second = api.read("sessions", Right.PEOPLE, person="kinari", limit=2, before=first["next"])
    assert [one["started_at"] for one in second["sessions"]] == [write_moment(moments[2])]
    assert second["next"] is None


def test_the_timeline_of_a_person_is_pages(api: Api) -> None:
    at = recently(minutes=5)
    # Several rows of a moment, whose ids mean something in a URL.
    names = [" ", "&before=", "a+b", "a/b?c#d", "~"]
    for message_id in names:
        add_event(api.cassandra, at, message_id, path="/")
    before, found = {}, []
    while before != {"before": None}:
        page = api.read("timeline", Right.PEOPLE, person="kinari", limit=1, **before)
        found += [one["message_id"] for one in page["events"]]
        before = {"before": page["next"]}
    assert found == sorted(names)
    event = api.read("timeline", Right.PEOPLE, person="kinari", limit=1)["events"][0]
    assert (event["occurred_at"], event["visitor"], event["path"], event["is_late"]) == (
        write_moment(at),
        KINARI,
        "/",
        False,
    )
    assert event["properties"] is None


PERSONS = {
    "kinari": "m:kinari",
    "m:kinari": "m:kinari",
    "u:kinari@shop.example": "u:kinari@shop.example",
    "a:1": "a:1",
    "m:a:1": "m:a:1",
    "kinari:a": "m:kinari:a",
    "\0": "m:\0",
    "Åse \N{SNOWMAN}": "m:Åse \N{SNOWMAN}",
}


@pytest.mark.parametrize("person", PERSONS)
def test_an_id_without_a_prefix_is_that_of_a_member(api: Api, person: str) -> None:
    add_event(api.cassandra, recently(minutes=1), "1", visitor=PERSONS[person])
    timeline = api.read("timeline", Right.PEOPLE, person=person)
    assert (timeline["person"], len(timeline["events"])) == (PERSONS[person], 1)


PROPERTIES: dict[str, tuple[str | None, str]] = {
    "an object": (
        '{"total": 42.50, "n": 123456789012345678901234567890}',
        '{"total": 42.50, "n": 123456789012345678901234567890}',
    ),
    "none": (None, "null"),
    "no object": ("[1]", '"[1]"'),
    "no JSON": ('{"a": NaN}', json.dumps('{"a": NaN}')),
    "an end of the response": ('{}}, {"a": {}', json.dumps('{}}, {"a": {}')),
    "too deep": ('{"a":' * 3000 + "1" + "}" * 3000, json.dumps('{"a":' * 3000 + "1" + "}" * 3000)),
}


@pytest.mark.parametrize("case", PROPERTIES)
def test_properties_are_the_object_that_was_sent_or_text(api: Api, case: str) -> None:
    stored, expected = PROPERTIES[case]
    add_event(api.cassandra, recently(minutes=1), "1", properties=stored)
    answer = api.get("timeline", Right.PEOPLE, person="kinari")
    assert answer.status_code == 200
    assert f'"properties":{expected}}}' in answer.text
    api.read("timeline", Right.PEOPLE, person="kinari")


def accesses(logs: Any) -> list[dict[str, Any]]:
    return [one for one in logs if one["event"] == "people.read"]


def test_every_access_to_a_person_is_logged_without_the_person(api: Api) -> None:
    add_event(api.cassandra, recently(minutes=1), "1")
    with capture_logs() as logs:
        api.read("timeline", Right.PEOPLE, person="kinari")
        api.read("timeline", Right.PEOPLE, person="m:kinari")
        api.read("sessions", Right.PEOPLE, person="kinari")
        api.read("sessions", Right.PEOPLE, person="somebody-else")
    first, *others = accesses(logs)
    assert (first["api_key"], first["kind"], first["rows"]) == ("people", "timeline", 1)
    assert re.fullmatch("[0-9a-f]{16}", first["person"])
    assert [(one["kind"], one["rows"]) for one in others] == [("timeline", 1), ("sessions", 0), ("sessions", 0)]
    assert [one["person"] == first["person"] for one in others] == [True, True, False]
    assert "kinari" not in json.dumps(logs, default=str)


def fail(*_: object, **__: object) -> Any:
    raise NoHostAvailable("none", {})


def test_an_access_that_was_refused_or_failed_has_read_nobody(api: Api, monkeypatch: pytest.MonkeyPatch) -> None:
    with capture_logs() as logs:
        assert api.get("timeline", Right.READ, person="kinari").status_code == 403
        monkeypatch.setattr(api.cassandra, "execute", fail)
        assert api.get("timeline", Right.PEOPLE, person="kinari").status_code == 503
    assert accesses(logs) == []


@pytest.mark.parametrize("path", ["day", "top", "live", "timeline", "sessions"])
def test_without_cassandra_the_response_is_503(api: Api, monkeypatch: pytest.MonkeyPatch, path: str) -> None:
    @contextmanager
    def connect(*_: object, **__: object) -> Iterator[FakeCassandra]:
        yield fail()

    monkeypatch.setattr(analysis_reader, "connect_cassandra", connect)
    right = Right.PEOPLE if path in ("timeline", "sessions") else Right.READ
    answer = api.get(path, right, source="shop", by="page", person="kinari")
    assert answer.status_code == 503
    assert int(answer.headers["Retry-After"]) >= 1


@pytest.mark.parametrize("path", ["day", "top", "live", "timeline", "sessions"])
def test_the_examples_of_the_openapi_document_are_valid(api: Api, path: str) -> None:
    operation = api.document["paths"][f"{PATH}/{path}"]["get"]
    for status, response in operation["responses"].items():
        for kind, content in response["content"].items():
            assert kind == ("application/json" if status == "200" else "application/problem+json")
            examples = [one["value"] for one in content.get("examples", {}).values()] or [content["example"]]
            for example in examples:
                api.validate(example, content["schema"])
    for parameter in operation["parameters"]:
        for example in parameter["schema"].get("examples", []):
            api.validate(example, parameter["schema"])
