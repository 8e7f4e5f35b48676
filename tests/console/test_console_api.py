"""The console over HTTP, on the real platform."""

import codecs
import csv
import io
import json
import re
import time
from collections.abc import Callable, Iterator
from contextlib import closing
from http.client import HTTPConnection
from typing import Any
from urllib.parse import urlencode
from uuid import uuid4

import pytest
import requests

from member_analyzer.console.board import STATIONS
from member_analyzer.console.headers import HEADERS
from member_analyzer.console.masking import MASK
from member_analyzer.local.passwords import load_passwords
from member_analyzer.local.supervision import list_processes, start_process, stop_process
from member_analyzer.records.rejection import Reason
from patience import DEADLINE, holds
from running_platform import Platform
from topic_records import Records

Json = Any

TABLES = ("age", "gender", "country", "city")
ADDRESSES = [
    *("/api/session", "/api/events", "/api/days", "/api/analysis/age", "/api/analysis/age.csv", "/api/rejected"),
    *("/api/messages?topic=users", "/api/registry/users-value/1", "/api/registry/users-value/diff?from=1&to=1"),
    *("/api/rejected/users:0:0", "/api/graphs", "/graphs/2026-11-21/age_distribution.png"),
]


class Client:
    """Somebody who is logged in."""

    def __init__(self, url: str, login: str, password: str) -> None:
        self.url = url
        self._session = requests.Session()
        form = self._session.get(f"{url}/login", timeout=60)
        assert form.status_code == 200
        answer = self._session.post(
            f"{url}/login",
            data={"token": find_token(form.text), "login": login, "password": password},
            allow_redirects=False,
            timeout=60,
        )
        assert answer.status_code == 303
        self.csrf = self.get("/api/session")["csrf"]

    def ask(self, path: str, **parameters: str | int) -> requests.Response:
        return self._session.get(f"{self.url}{path}", params=parameters, timeout=60)

    def get(self, path: str, **parameters: str | int) -> Json:
        answer = self.ask(path, **parameters)
        assert answer.status_code == 200, answer.text
        return answer.json()

    def post(self, path: str, body: Json, csrf: str | None = None) -> requests.Response:
        headers = {"X-CSRF-Token": self.csrf if csrf is None else csrf}
        return self._session.post(f"{self.url}{path}", json=body, headers=headers, timeout=120)

    def events(self, seconds: float) -> Iterator[tuple[str, Json]]:
        """What the stream of events tells within so many seconds, as (event, data)."""
        deadline, event = time.monotonic() + seconds, ""
        with self._session.get(f"{self.url}/api/events", stream=True, timeout=60) as answer:
            assert answer.headers["Content-Type"].startswith("text/event-stream")
            for line in answer.iter_lines(decode_unicode=True):
                name, _, value = line.partition(": ")
                if name == "event":
                    event = value
                elif name == "data":
                    yield event, json.loads(value)
                if time.monotonic() > deadline:
                    return

    def wait_for(self, is_wanted: Callable[[str, Json], bool], seconds: float = DEADLINE) -> Json:
        """The first event of a kind."""
        for event, data in self.events(seconds):
            if is_wanted(event, data):
                return data
        pytest.fail(f"There was no such event in {seconds} seconds.")

    def wait_for_station(self, name: str, state: str, seconds: float = DEADLINE) -> Json:
        return self.wait_for(lambda event, data: data.get("name") == name and data["state"] == state, seconds)


def find_token(page: str) -> str:
    found = re.search(r'name="token" value="([^"]+)"', page)
    assert found is not None
    return found[1]


@pytest.fixture(scope="session")
def url(platform: Platform) -> str:
    return f"http://127.0.0.1:{platform.home.settings.console_port}"


@pytest.fixture(scope="session")
def operator(platform: Platform, url: str) -> Client:
    return Client(url, "operator", load_passwords(platform.home.passwords).console_operator)


@pytest.fixture(scope="session")
def viewer(platform: Platform, url: str) -> Client:
    return Client(url, "viewer", load_passwords(platform.home.passwords).console_viewer)


class TestLogin:
    @pytest.mark.parametrize("address", ADDRESSES)
    def test_nothing_is_shown_to_who_is_not_logged_in(self, url: str, address: str) -> None:
        answer = requests.get(f"{url}{address}", timeout=60)
        assert (answer.status_code, answer.headers["Content-Type"]) == (401, "application/problem+json")

    def test_the_page_leads_to_the_login_and_back(self, platform: Platform, url: str) -> None:
        answer = requests.get(f"{url}/?day=2026-11-21", allow_redirects=False, timeout=60)
        assert (answer.status_code, answer.headers["Location"]) == (303, "/login?next=/%3Fday%3D2026-11-21")
        with requests.Session() as session:
            token = find_token(session.get(f"{url}{answer.headers['Location']}", timeout=60).text)
            password = load_passwords(platform.home.passwords).console_viewer
            form = {"token": token, "login": "viewer", "password": password}
            gone = session.post(f"{url}{answer.headers['Location']}", data=form, allow_redirects=False, timeout=60)
            assert (gone.status_code, gone.headers["Location"]) == (303, "/?day=2026-11-21")
            cookies = gone.headers["Set-Cookie"].split(", ")
            cookie = next(one for one in cookies if re.match("member-analyzer-[0-9a-f]{8}=", one))
            assert {"httponly", "samesite=strict"} <= {part.strip().lower() for part in cookie.split(";")}
            assert session.get(f"{url}/", timeout=60).status_code == 200

    def test_each_login_has_its_rights(self, viewer: Client, operator: Client) -> None:
        assert (viewer.get("/api/session")["login"], viewer.get("/api/session")["rights"]) == ("viewer", [])
        assert operator.get("/api/session")["rights"] == ["personal", "replay"]

    def test_a_form_of_another_site_is_refused(self, platform: Platform, url: str) -> None:
        password = load_passwords(platform.home.passwords).console_viewer
        form = {"token": "made up", "login": "viewer", "password": password}
        assert requests.post(f"{url}/login", data=form, allow_redirects=False, timeout=60).status_code == 403

    def test_who_guesses_passwords_is_slowed_down(self, url: str) -> None:
        # From an address of its own, or every other test would have to wait as well.
        port = int(url.rpartition(":")[2])
        statuses, retry_after = [], None
        for _ in range(6):
            with closing(HTTPConnection("127.0.0.1", port, timeout=60, source_address=("127.0.0.9", 0))) as guesser:
                guesser.request("GET", "/login")
                form = guesser.getresponse()
                cookie = (form.getheader("Set-Cookie") or "").partition(";")[0]
                body = urlencode({"token": find_token(form.read().decode()), "login": "operator", "password": "guess"})
                guesser.request("POST", "/login", body, {"Cookie": cookie})
                answer = guesser.getresponse()
                statuses.append(answer.status)
                retry_after = answer.getheader("Retry-After")
        assert statuses == [401] * 5 + [429]
        assert 0 < int(retry_after or 0) <= 61

    def test_a_session_ends_with_the_logout(self, platform: Platform, url: str) -> None:
        client = Client(url, "viewer", load_passwords(platform.home.passwords).console_viewer)
        assert client.post("/logout", {}, csrf="made up").status_code == 403
        assert client.post("/logout", {}).status_code == 204
        assert client.ask("/api/session").status_code == 401

    def test_every_answer_tells_the_browser_to_be_careful(self, operator: Client, url: str) -> None:
        answers = [operator.ask(path) for path in ("/", "/api/session", "/nowhere", "/static/login.html")]
        for answer in [*answers, requests.get(f"{url}/api/session", timeout=60)]:
            assert HEADERS.items() <= answer.headers.items()
        assert answers[1].headers["Cache-Control"] == "no-store"
        assert (answers[3].headers["Cache-Control"], "ETag" in answers[3].headers) == ("no-cache", True)


class TestMembers:
    def test_a_page_is_told_when_members_arrive(self, platform: Platform, viewer: Client) -> None:
        platform.create("console", 120)
        platform.wait_until_counted()
        expected = len(platform.taken)
        told = viewer.wait_for(lambda event, data: event == "members" and data["total"] == expected)
        assert told["is_stale"] is False
        assert sum(one["members"] for one in told["tables"]["gender"]) == expected
        assert told["buckets"]["country"] == len(platform.expected()["country"])

        before = expected
        seen = viewer.events(DEADLINE)
        assert next(data["total"] for event, data in seen if event == "members") == before
        platform.take("console-live", 30)
        expected = len(platform.taken)
        assert any(data["total"] == expected for event, data in seen if event == "members")

    def test_everything_is_told_once_on_connecting(self, viewer: Client) -> None:
        told = [
            data["name"]
            for _, (event, data) in zip(range(10), viewer.events(DEADLINE), strict=False)
            if event == "station"
        ]
        assert told == list(STATIONS)

    @pytest.mark.parametrize("table", TABLES)
    def test_a_table_is_what_cassandra_holds(self, platform: Platform, viewer: Client, table: str) -> None:
        platform.wait_until_counted()
        shown = viewer.get(f"/api/analysis/{table}", limit=10_000)
        actual = platform.actual()[table]
        assert {tuple(one["bucket"]): one["members"] for one in shown["buckets"] if one["members"]} == actual
        assert (shown["total"], shown["date"]) == (len(platform.taken), platform.today.isoformat())
        # Each is told to a thousandth.
        rounding = 0.00051
        for one in shown["buckets"]:
            assert one["percent"] == pytest.approx(100 * one["members"] / shown["total"], abs=rounding)
        percent = sum(one["percent"] for one in shown["buckets"])
        assert percent == pytest.approx(100, abs=rounding * len(shown["buckets"]))
        assert sum(one["members"] for one in shown["buckets"]) == shown["total"]

    def test_a_table_can_be_had_as_a_file(self, platform: Platform, viewer: Client) -> None:
        answer = viewer.ask("/api/analysis/city.csv")
        assert answer.headers["Content-Disposition"] == f'attachment; filename="city_{platform.today}.csv"'
        assert answer.content.startswith(codecs.BOM_UTF8)
        rows = list(csv.DictReader(io.StringIO(answer.content.decode("utf-8-sig"))))
        assert {(row["country"], row["city"]): int(row["members"]) for row in rows} == platform.actual()["city"]

    def test_the_days_are_listed_and_one_without_an_analysis_is_told(self, platform: Platform, viewer: Client) -> None:
        assert viewer.get("/api/days")["days"][0] == platform.today.isoformat()
        assert viewer.ask("/api/analysis/age", date="2001-01-01").status_code == 404
        assert viewer.ask("/api/analysis/age", date="yesterday").status_code == 400
        assert viewer.ask("/api/analysis/shoe-size").status_code == 404


class TestMessages:
    def test_a_login_sees_what_it_may_see(self, viewer: Client, operator: Client) -> None:
        (masked,) = viewer.get("/api/messages", topic="users", partition=0, offset=0, limit=1)["messages"]
        (plain,) = operator.get("/api/messages", topic="users", partition=0, offset=0, limit=1)["messages"]
        assert masked["value"]["last_name"] == MASK != plain["value"]["last_name"]
        assert masked["value"]["country"] == plain["value"]["country"]
        assert masked["offset"] == plain["offset"] == 0

    def test_messages_are_found_by_offset_and_by_time(self, operator: Client) -> None:
        first = operator.get("/api/messages", topic="users", partition=1, offset=0, limit=200)
        begin, end = first["bounds"]["1"]
        assert [one["offset"] for one in first["messages"]] == list(range(begin, min(end, 200)))
        fourth = first["messages"][4]
        later = operator.get("/api/messages", topic="users", partition=1, time=fourth["time"], limit=200)["messages"]
        assert later[0]["time"] == fourth["time"]
        assert all(one["time"] >= fourth["time"] for one in later)
        assert operator.get("/api/messages", topic="users", time="2100-01-01T00:00:00Z")["messages"] == []

    def test_the_newest_come_first(self, operator: Client) -> None:
        found = operator.get("/api/messages", topic="users", limit=5)
        times = [one["time"] for one in found["messages"]]
        assert (len(times), times) == (5, sorted(times, reverse=True))
        ends = {int(partition): end for partition, (_, end) in found["bounds"].items()}
        newest = found["messages"][0]
        assert newest["offset"] == ends[newest["partition"]] - 1

    @pytest.mark.parametrize(
        "parameters",
        [
            {"topic": "__consumer_offsets"},
            {"topic": "users", "offset": 0},
            {"topic": "users", "partition": 99},
            {"topic": "users", "partition": 0, "offset": "1" * 5000},
            {"topic": "users", "limit": 201},
            {"topic": "users", "time": "soon"},
            {"topic": "users", "partition": 0, "offset": 0, "time": "2026-11-21T00:00:00Z"},
        ],
    )
    def test_what_makes_no_sense_is_refused(self, operator: Client, parameters: dict[str, str | int]) -> None:
        assert operator.ask("/api/messages", **parameters).status_code == 400

    def test_a_schema_is_shown_and_compared(self, viewer: Client) -> None:
        shown = viewer.get("/api/registry/users-value/1")
        assert json.loads(shown["schema"])["name"] == "MemberEvent"
        lines = viewer.get("/api/registry/users-value/diff", **{"from": 1, "to": 1})["lines"]
        assert "\n".join(one["text"] for one in lines) == shown["schema"]
        assert {one["kind"] for one in lines} == {"same"}
        assert viewer.ask("/api/registry/users-value/99").status_code == 404
        assert viewer.ask("/api/registry/users-value/diff").status_code == 400


class TestRejected:
    def test_a_record_is_listed_shown_and_sent_again(
        self, platform: Platform, viewer: Client, operator: Client
    ) -> None:
        records, key = Records(platform), f"console-{uuid4()}"
        (member,) = records.make_members("console-rejected", 1)
        poisoned = {**member, "id": "console-poisoned", "gender": "<b>?</b>"}
        records.send(records.encode(member), records.encode(poisoned), key=key, trace=b"hop")
        (rejected,) = records.wait_for_rejected(lambda one: one.key == key.encode(), 1)

        def listed(state: str) -> set[str]:
            found = viewer.get("/api/rejected", reason=Reason.UNKNOWN_VALUE.value, state=state, limit=1000)
            assert found["of"] == len(found["records"])
            return {one["origin"] for one in found["records"]}

        assert holds(lambda: rejected.origin in listed("waiting"))
        masked = viewer.get(f"/api/rejected/{rejected.origin}")
        assert (masked["fields"]["last_name"], masked["value"], masked["headers"]) == (MASK, MASK, [["trace", MASK]])
        assert masked["message"] == "The field gender is none of: female, male, other, undisclosed."
        plain = operator.get(f"/api/rejected/{rejected.origin}")
        assert plain["fields"]["last_name"] == member["last_name"]
        assert (plain["key"], plain["headers"], plain["fields"]["gender"]) == (
            key,
            [["trace", "hop"]],
            "<b>?</b>",
        )

        choice = {"origins": [rejected.origin]}
        assert viewer.post("/api/replays", choice).status_code == 403
        assert operator.post("/api/replays", choice, csrf="made up").status_code == 403
        assert operator.post("/api/replays", choice).json() == {"sent": 1, "erased": 0, "refused": 0, "landed": 0}
        assert operator.post("/api/replays", choice).json()["sent"] == 0
        assert holds(lambda: rejected.origin in listed("replayed") - listed("waiting"))
        # Nothing was mended, so that it was rejected once more.
        records.wait_for_rejected(lambda one: one.replayed_from == rejected.origin, 1)

    def test_what_was_rejected_before_landing_lands_once_the_cause_is_mended(
        self, platform: Platform, operator: Client
    ) -> None:
        (user,) = platform.source.users(seed="console-refused", results=1, page=1)
        platform.expect([user])
        platform.landing.execute(
            "INSERT INTO landing.rejected (fingerprint, original, reason, message, source) "
            "VALUES (%s, %s, %s, '', 'test')",
            ("console-refused", json.dumps(user).encode(), Reason.NOT_AN_OBJECT.value),
        )

        def before_landing(data: Json) -> int:
            reasons = {one["reason"]: one["before_landing"] for one in data["detail"]["by_reason"]}
            return int(reasons.get(Reason.NOT_AN_OBJECT.value, 0))

        operator.wait_for(lambda _, data: data.get("name") == "rejected" and before_landing(data) == 1)
        assert operator.post("/api/replays", {"reason": Reason.NOT_AN_OBJECT.value}).json()["landed"] == 1
        platform.wait_until_counted()

    @pytest.mark.parametrize(
        "choice", [{}, [], {"reason": "bad luck"}, {"origins": []}, {"origins": [1]}, {"everything": False}]
    )
    def test_a_replay_of_nothing_in_particular_is_refused(self, operator: Client, choice: Json) -> None:
        assert operator.post("/api/replays", choice).status_code == 400

    def test_a_record_that_there_is_not_is_told(self, operator: Client) -> None:
        assert operator.ask("/api/rejected/users:0:987654").status_code == 404
        assert operator.post("/api/replays", {"origins": ["users:0:987654"]}).status_code == 404


class TestPipeline:
    def test_every_station_tells_how_it_does(self, platform: Platform, viewer: Client) -> None:
        platform.wait_until_counted()
        stations = {name: viewer.wait_for_station(name, "up") for name in STATIONS}
        landing = stations["landing"]["detail"]
        assert landing["accepted"] >= len(platform.taken) - 100
        assert stations["zookeeper"]["detail"]["nodes"][0]["mode"] == "standalone"
        assert [one["name"] for one in stations["registry"]["detail"]["subjects"]] == ["users-value"]
        assert {one["dag"] for one in stations["airflow"]["detail"]["runs"]} >= {"user_create"}
        assert stations["cassandra"]["detail"]["nodes"][0]["is_up"] is True

    def test_kafka_tells_of_its_partitions_and_of_who_reads_them(self, platform: Platform, viewer: Client) -> None:
        def has_all(_: str, data: Json) -> bool:
            return data.get("name") == "kafka" and bool(data["detail"]["groups"])

        kafka = viewer.wait_for(has_all)["detail"]
        assert (kafka["controller"], kafka["brokers"][0]["leads"]) == (0, 8)
        users = next(topic for topic in kafka["topics"] if topic["name"] == "users")
        assert (
            users["records"] == sum(one["end"] - one["begin"] for one in users["partitions"]) >= len(platform.taken) - 1
        )
        assert all(one["in_sync"] == one["replicas"] == [0] for one in users["partitions"])
        assert (kafka["groups"][0]["name"], kafka["groups"][0]["kind"]) == ("stream", "spark")

    def test_nothing_is_left_to_read_once_all_are_counted(self, platform: Platform, viewer: Client) -> None:
        platform.wait_until_counted()
        spark = viewer.wait_for(lambda _, data: data.get("name") == "spark" and lags(data) == {"stream": 0})
        assert spark["lag"] == 0

    def test_the_graphs_are_listed_and_shown(self, platform: Platform, viewer: Client) -> None:
        platform.run("generate_graphs")
        newest = viewer.get("/api/graphs")["days"][0]
        assert (newest["day"], len(newest["files"])) == (platform.today.isoformat(), 4)
        picture = viewer.ask(f"/graphs/{newest['day']}/{newest['files'][0]}")
        assert (picture.headers["Content-Type"], picture.content[:4]) == ("image/png", b"\x89PNG")
        assert viewer.ask(f"/graphs/{newest['day']}/..%2F..%2Fpasswords.json").status_code == 404


def lags(spark: dict[str, Any]) -> dict[str, int]:
    # Before the first look there are none.
    return {one["name"]: one["lag"] for one in (spark.get("detail") or {}).get("queries", [])}


class TestFaults:
    def test_a_cassandra_that_is_away_is_shown_and_everything_else_goes_on(
        self, platform: Platform, viewer: Client
    ) -> None:
        total = len(platform.taken)
        platform.disconnect()
        stop_process(platform.home, "cassandra")
        try:
            down = viewer.wait_for_station("cassandra", "down")
            assert down["since"] > down["checked_at"]
            assert "The members' numbers are those of" in down["means"]
            stale = viewer.wait_for(lambda event, _: event == "members")
            assert (stale["is_stale"], stale["total"]) == (True, total)
            refused = viewer.ask("/api/days")
            assert (refused.status_code, refused.json()["station"]) == (503, "cassandra")
            assert len(viewer.get("/api/messages", topic="users", limit=3)["messages"]) == 3
            assert viewer.ask("/").status_code == 200
            for name in ("landing", "kafka", "registry", "airflow", "zookeeper"):
                viewer.wait_for_station(name, "up")
        finally:
            start_process(platform.home, "cassandra")
        viewer.wait_for_station("cassandra", "up")
        assert viewer.get("/api/days")["days"]
        assert viewer.wait_for(lambda event, _: event == "members")["is_stale"] is False
        assert holds(lambda: try_to_connect(platform))
        platform.take("console-after-cassandra", 20)
        platform.wait_until_counted()

    def test_a_kafka_that_is_away_is_shown_and_is_back_afterwards(self, platform: Platform, viewer: Client) -> None:
        stop_process(platform.home, "kafka")
        try:
            down = viewer.wait_for_station("kafka", "down")
            assert "Accepted members wait in landing" in down["means"]
            assert len(down["detail"]["topics"]) == 2
            viewer.wait_for_station("rejected", "down")
            refused = viewer.ask("/api/messages", topic="users")
            assert (refused.status_code, refused.json()["station"]) == (503, "kafka")
            assert viewer.get("/api/days")["days"]
        finally:
            start_process(platform.home, "kafka")
        for name in ("kafka", "rejected"):
            viewer.wait_for_station(name, "up")
        assert viewer.get("/api/messages", topic="users", limit=3)["messages"]
        platform.take("console-after-kafka", 20)
        platform.wait_until_counted()

    def test_it_stops_at_once_though_a_page_is_open(self, platform: Platform, url: str, viewer: Client) -> None:
        seen = viewer.events(DEADLINE)
        next(seen)
        pid = list_processes(platform.home)["console"].pid
        stop_process(platform.home, "console")
        try:
            # The supervisor kills what does not end by itself in time.
            assert f"killing 'console' ({pid}) with SIGKILL" not in (platform.home.logs / "supervisor.log").read_text()
            with pytest.raises(requests.RequestException):
                list(seen)
        finally:
            start_process(platform.home, "console")
        assert holds(lambda: is_serving(url))
        # The cookie holds: sessions do not end with the process.
        assert viewer.get("/api/session")["login"] == "viewer"


def is_serving(url: str) -> bool:
    try:
        return requests.get(f"{url}/healthz", timeout=60).json() == {"status": "ok"}
    except requests.RequestException:
        return False


def try_to_connect(platform: Platform) -> bool:
    try:
        platform.connect()
    except Exception:
        return False
    return True
