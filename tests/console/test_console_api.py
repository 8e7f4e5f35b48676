"""The console's HTTP API, on a running platform."""

import codecs
import csv
import io
import json
import re
import time
from collections.abc import Callable, Iterator
from contextlib import closing
from datetime import datetime
from http.client import HTTPConnection
from typing import Any
from urllib.parse import urlencode
from uuid import uuid4

import pytest
import requests

from member_analyzer.console.headers import HEADERS
from member_analyzer.console.masking import MASK
from member_analyzer.console.status import COMPONENTS
from member_analyzer.landing.counters import recount_landed
from member_analyzer.local.passwords import load_passwords
from member_analyzer.local.supervision import list_processes, start_process, stop_process
from member_analyzer.records.rejection import Reason
from member_analyzer.streams.members.definition import MEMBERS
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
    """A logged-in client."""

    def __init__(self, url: str, login: str, password: str) -> None:
        self.url = url
        self._session = requests.Session()
        form = self._session.get(f"{url}/login", timeout=60)
        assert form.status_code == 200
        response = self._session.post(
            f"{url}/login",
            data={"token": find_token(form.text), "login": login, "password": password},
            allow_redirects=False,
            timeout=60,
        )
        assert response.status_code == 303
        self.csrf = self.get("/api/session")["csrf"]

    def request(self, path: str, **parameters: str | int) -> requests.Response:
        return self._session.get(f"{self.url}{path}", params=parameters, timeout=60)

    def get(self, path: str, **parameters: str | int) -> Json:
        response = self.request(path, **parameters)
        assert response.status_code == 200, response.text
        return response.json()

    def post(self, path: str, body: Json, csrf: str | None = None) -> requests.Response:
        headers = {"X-CSRF-Token": self.csrf if csrf is None else csrf}
        return self._session.post(f"{self.url}{path}", json=body, headers=headers, timeout=120)

    def events(self, seconds: float) -> Iterator[tuple[str, Json]]:
        """The events that arrive within a period, as (event, data)."""
        deadline, event = time.monotonic() + seconds, ""
        with self._session.get(f"{self.url}/api/events", stream=True, timeout=60) as response:
            assert response.headers["Content-Type"].startswith("text/event-stream")
            for line in response.iter_lines(decode_unicode=True):
                name, _, value = line.partition(": ")
                if name == "event":
                    event = value
                elif name == "data":
                    yield event, json.loads(value)
                if time.monotonic() > deadline:
                    return

    def wait_for(self, is_wanted: Callable[[str, Json], bool], seconds: float = DEADLINE) -> Json:
        """The first matching event."""
        for event, data in self.events(seconds):
            if is_wanted(event, data):
                return data
        pytest.fail(f"No matching event within {seconds} seconds.")

    def wait_for_component(self, name: str, state: str) -> Json:
        return self.wait_for_status(name, lambda status: bool(status["state"] == state), f"not {state}")

    def wait_until_working(self, name: str) -> Json:
        """The status of a component that works, also if earlier tests have restarted it several times."""
        loop = "It is in a restart loop"
        return self.wait_for_status(
            name,
            lambda status: (
                status["state"] == "up" or (status["state"] == "degraded" and str(status["error"]).startswith(loop))
            ),
            "not working",
        )

    def wait_for_status(self, name: str, is_wanted: Callable[[Json], bool], otherwise: str) -> Json:
        latest: Json = None
        for _, data in self.events(DEADLINE):
            if data.get("name") == name:
                latest = data
                if is_wanted(data):
                    return data
        pytest.fail(f"{name} was {otherwise} within {DEADLINE} seconds. Its latest status: {latest}")


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
    def test_all_data_requires_a_login(self, url: str, address: str) -> None:
        response = requests.get(f"{url}{address}", timeout=60)
        assert (response.status_code, response.headers["Content-Type"]) == (401, "application/problem+json")

    def test_the_page_redirects_to_the_login_and_back(self, platform: Platform, url: str) -> None:
        response = requests.get(f"{url}/?day=2026-11-21", allow_redirects=False, timeout=60)
        assert (response.status_code, response.headers["Location"]) == (303, "/login?next=/%3Fday%3D2026-11-21")
        with requests.Session() as session:
            token = find_token(session.get(f"{url}{response.headers['Location']}", timeout=60).text)
            password = load_passwords(platform.home.passwords).console_viewer
            form = {"token": token, "login": "viewer", "password": password}
            login = session.post(f"{url}{response.headers['Location']}", data=form, allow_redirects=False, timeout=60)
            assert (login.status_code, login.headers["Location"]) == (303, "/?day=2026-11-21")
            cookies = login.headers["Set-Cookie"].split(", ")
            cookie = next(cookie for cookie in cookies if re.match("member-analyzer-[0-9a-f]{8}=", cookie))
            assert {"httponly", "samesite=strict"} <= {part.strip().lower() for part in cookie.split(";")}
            assert session.get(f"{url}/", timeout=60).status_code == 200

    def test_each_login_has_its_rights(self, viewer: Client, operator: Client) -> None:
        assert (viewer.get("/api/session")["login"], viewer.get("/api/session")["rights"]) == ("viewer", [])
        assert operator.get("/api/session")["rights"] == ["personal", "replay"]

    def test_a_form_without_a_valid_token_is_rejected(self, platform: Platform, url: str) -> None:
        password = load_passwords(platform.home.passwords).console_viewer
        form = {"token": "forged", "login": "viewer", "password": password}
        assert requests.post(f"{url}/login", data=form, allow_redirects=False, timeout=60).status_code == 403

    def test_failed_logins_are_rate_limited(self, url: str) -> None:
        # From its own address, so that the other tests are not limited.
        port = int(url.rpartition(":")[2])
        statuses, retry_after = [], None
        for _ in range(6):
            with closing(HTTPConnection("127.0.0.1", port, timeout=60, source_address=("127.0.0.9", 0))) as connection:
                connection.request("GET", "/login")
                form = connection.getresponse()
                cookie = (form.getheader("Set-Cookie") or "").partition(";")[0]
                body = urlencode({"token": find_token(form.read().decode()), "login": "operator", "password": "guess"})
                connection.request("POST", "/login", body, {"Cookie": cookie})
                response = connection.getresponse()
                statuses.append(response.status)
                retry_after = response.getheader("Retry-After")
        assert statuses == [401] * 5 + [429]
        assert 0 < int(retry_after or 0) <= 61

    def test_a_logout_ends_the_session(self, platform: Platform, url: str) -> None:
        client = Client(url, "viewer", load_passwords(platform.home.passwords).console_viewer)
        assert client.post("/logout", {}, csrf="forged").status_code == 403
        assert client.post("/logout", {}).status_code == 204
        assert client.request("/api/session").status_code == 401

    def test_every_response_has_the_security_headers(self, operator: Client, url: str) -> None:
        responses = [operator.request(path) for path in ("/", "/api/session", "/nowhere", "/static/login.html")]
        for response in [*responses, requests.get(f"{url}/api/session", timeout=60)]:
            assert HEADERS.items() <= response.headers.items()
        assert responses[1].headers["Cache-Control"] == "no-store"
        assert (responses[3].headers["Cache-Control"], "ETag" in responses[3].headers) == ("no-cache", True)


class TestMembers:
    def test_member_counts_are_pushed(self, platform: Platform, viewer: Client) -> None:
        platform.create("console", 120)
        platform.wait_until_counted()
        expected = len(platform.taken)
        counts = viewer.wait_for(lambda event, data: event == "members" and data["total"] == expected)
        assert counts["is_stale"] is False
        assert sum(bucket["members"] for bucket in counts["tables"]["gender"]) == expected
        assert counts["bucket_counts"]["country"] == len(platform.expected()["country"])

        before = expected
        events = viewer.events(DEADLINE)
        assert next(data["total"] for event, data in events if event == "members") == before
        platform.take("console-live", 30)
        expected = len(platform.taken)
        assert any(data["total"] == expected for event, data in events if event == "members")

    def test_the_full_state_is_sent_on_connecting(self, viewer: Client) -> None:
        names = [
            data["name"]
            for _, (event, data) in zip(range(10), viewer.events(DEADLINE), strict=False)
            if event == "component"
        ]
        assert names == list(COMPONENTS)

    @pytest.mark.parametrize("table", TABLES)
    def test_a_table_equals_the_one_in_cassandra(self, platform: Platform, viewer: Client, table: str) -> None:
        platform.wait_until_counted()
        shown = viewer.get(f"/api/analysis/{table}", limit=10_000)
        actual = platform.actual()[table]
        assert {
            tuple(bucket["bucket"]): bucket["members"] for bucket in shown["buckets"] if bucket["members"]
        } == actual
        assert (shown["total"], shown["date"]) == (len(platform.taken), platform.today.isoformat())
        # Percentages are rounded to three decimals.
        rounding = 0.00051
        for bucket in shown["buckets"]:
            assert bucket["percent"] == pytest.approx(100 * bucket["members"] / shown["total"], abs=rounding)
        percent = sum(bucket["percent"] for bucket in shown["buckets"])
        assert percent == pytest.approx(100, abs=rounding * len(shown["buckets"]))
        assert sum(bucket["members"] for bucket in shown["buckets"]) == shown["total"]

    def test_a_table_can_be_downloaded_as_csv(self, platform: Platform, viewer: Client) -> None:
        response = viewer.request("/api/analysis/city.csv")
        assert response.headers["Content-Disposition"] == f'attachment; filename="city_{platform.today}.csv"'
        assert response.content.startswith(codecs.BOM_UTF8)
        rows = list(csv.DictReader(io.StringIO(response.content.decode("utf-8-sig"))))
        assert {(row["country"], row["city"]): int(row["members"]) for row in rows} == platform.actual()["city"]

    def test_days_are_listed_and_others_are_not_found(self, platform: Platform, viewer: Client) -> None:
        assert viewer.get("/api/days")["days"][0] == platform.today.isoformat()
        assert viewer.request("/api/analysis/age", date="2001-01-01").status_code == 404
        assert viewer.request("/api/analysis/age", date="yesterday").status_code == 400
        assert viewer.request("/api/analysis/shoe-size").status_code == 404


class TestMessages:
    def test_personal_data_is_masked_for_a_viewer(self, viewer: Client, operator: Client) -> None:
        (masked,) = viewer.get("/api/messages", topic="users", partition=0, offset=0, limit=1)["messages"]
        (plain,) = operator.get("/api/messages", topic="users", partition=0, offset=0, limit=1)["messages"]
        assert masked["value"]["last_name"] == MASK != plain["value"]["last_name"]
        assert masked["value"]["country"] == plain["value"]["country"]
        assert masked["offset"] == plain["offset"] == 0

    def test_messages_are_found_by_offset_and_by_time(self, operator: Client) -> None:
        first = operator.get("/api/messages", topic="users", partition=1, offset=0, limit=200)
        begin, end = first["bounds"]["1"]
        assert [message["offset"] for message in first["messages"]] == list(range(begin, min(end, 200)))
        fourth = first["messages"][4]
        later = operator.get("/api/messages", topic="users", partition=1, time=fourth["time"], limit=200)["messages"]
        assert later[0]["time"] == fourth["time"]
        assert all(message["time"] >= fourth["time"] for message in later)
        assert operator.get("/api/messages", topic="users", time="2100-01-01T00:00:00Z")["messages"] == []

    def test_the_newest_messages_come_first(self, operator: Client) -> None:
        found = operator.get("/api/messages", topic="users", limit=5)
        times = [message["time"] for message in found["messages"]]
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
    def test_invalid_queries_are_rejected(self, operator: Client, parameters: dict[str, str | int]) -> None:
        assert operator.request("/api/messages", **parameters).status_code == 400

    def test_schemas_and_diffs_are_returned(self, viewer: Client) -> None:
        shown = viewer.get("/api/registry/users-value/1")
        assert json.loads(shown["schema"])["name"] == "MemberEvent"
        lines = viewer.get("/api/registry/users-value/diff", **{"from": 1, "to": 1})["lines"]
        assert "\n".join(line["text"] for line in lines) == shown["schema"]
        assert {line["kind"] for line in lines} == {"same"}
        assert viewer.request("/api/registry/users-value/99").status_code == 404
        assert viewer.request("/api/registry/users-value/diff").status_code == 400


class TestRejected:
    def test_a_record_is_listed_shown_and_replayed(self, platform: Platform, viewer: Client, operator: Client) -> None:
        records, key = Records(platform), f"console-{uuid4()}"
        (member,) = records.make_members("console-rejected", 1)
        poisoned = {**member, "id": "console-poisoned", "gender": "<b>?</b>"}
        records.send(records.encode(member), records.encode(poisoned), key=key, trace=b"hop")
        (rejected,) = records.wait_for_rejected(lambda record: record.key == key.encode(), 1)

        def listed(state: str) -> set[str]:
            found = viewer.get("/api/rejected", reason=Reason.UNKNOWN_VALUE.value, state=state, limit=1000)
            assert found["total"] == len(found["records"])
            return {record["origin"] for record in found["records"]}

        assert holds(lambda: rejected.origin in listed("waiting"))
        masked = viewer.get(f"/api/rejected/{rejected.origin}")
        assert (masked["fields"]["last_name"], masked["value"], masked["headers"]) == (MASK, MASK, [["trace", MASK]])
        assert masked["message"] == "The field gender must be one of: female, male, other, undisclosed."
        plain = operator.get(f"/api/rejected/{rejected.origin}")
        assert plain["fields"]["last_name"] == member["last_name"]
        assert (plain["key"], plain["headers"], plain["fields"]["gender"]) == (
            key,
            [["trace", "hop"]],
            "<b>?</b>",
        )

        replay = {"origins": [rejected.origin]}
        assert viewer.post("/api/replays", replay).status_code == 403
        assert operator.post("/api/replays", replay, csrf="forged").status_code == 403
        assert operator.post("/api/replays", replay).json() == {"sent": 1, "erased": 0, "unsendable": 0, "landed": 0}
        assert operator.post("/api/replays", replay).json()["sent"] == 0
        assert holds(lambda: rejected.origin in listed("replayed") - listed("waiting"))
        # The record still breaks the rule, so it is rejected again.
        records.wait_for_rejected(lambda record: record.replayed_from == rejected.origin, 1)

    def test_members_rejected_before_landing_can_be_replayed(self, platform: Platform, operator: Client) -> None:
        (user,) = platform.source.users(seed="console-refused", results=1, page=1)
        platform.expect([user])
        platform.landing.execute(
            "INSERT INTO landing.rejected (fingerprint, original, reason, message, source) "
            "VALUES (%s, %s, %s, '', 'test')",
            ("console-refused", json.dumps(user).encode(), Reason.NOT_AN_OBJECT.value),
        )

        def before_landing(data: Json) -> int:
            reasons = {row["reason"]: row["before_landing"] for row in data["detail"]["by_reason"]}
            return int(reasons.get(Reason.NOT_AN_OBJECT.value, 0))

        operator.wait_for(lambda _, data: data.get("name") == "rejected" and before_landing(data) == 1)
        assert operator.post("/api/replays", {"reason": Reason.NOT_AN_OBJECT.value}).json()["landed"] == 1
        platform.wait_until_counted()

    @pytest.mark.parametrize(
        "replay", [{}, [], {"reason": "bad luck"}, {"origins": []}, {"origins": [1]}, {"all": False}]
    )
    def test_an_invalid_replay_is_rejected(self, operator: Client, replay: Json) -> None:
        assert operator.post("/api/replays", replay).status_code == 400

    def test_an_unknown_record_is_not_found(self, operator: Client) -> None:
        assert operator.request("/api/rejected/users:0:987654").status_code == 404
        assert operator.post("/api/replays", {"origins": ["users:0:987654"]}).status_code == 404


class TestPipeline:
    def test_every_component_reports_its_status(self, platform: Platform, viewer: Client) -> None:
        # It uses the user API and Airflow.
        platform.create("console-components", 10)
        platform.wait_until_counted()
        components = {name: viewer.wait_until_working(name) for name in COMPONENTS}
        assert components["landing"]["detail"]["accepted"] > 0
        assert components["zookeeper"]["detail"]["nodes"][0]["mode"] == "standalone"
        subjects = {subject["name"] for subject in components["registry"]["detail"]["subjects"]}
        assert subjects >= {"users-value", "interactions-value"}
        assert {run["dag"] for run in components["airflow"]["detail"]["runs"]} >= {"user_create"}
        assert components["cassandra"]["detail"]["nodes"][0]["is_up"] is True

    def test_the_accepted_members_are_the_rows_of_landing(self, platform: Platform, viewer: Client) -> None:
        # Not those of `platform.taken`: other tests also send members past landing.
        accepted = recount_landed(platform.landing, MEMBERS).accepted

        def has_all(_: str, data: Json) -> bool:
            return data.get("name") == "landing" and (data["detail"] or {}).get("accepted") == accepted

        assert viewer.wait_for(has_all)["detail"]["erased"] >= 0

    def test_kafka_reports_partitions_and_consumers(self, platform: Platform, viewer: Client) -> None:
        def has_all(_: str, data: Json) -> bool:
            return data.get("name") == "kafka" and bool(data["detail"]["groups"])

        kafka = viewer.wait_for(has_all)["detail"]
        assert (kafka["controller"], kafka["brokers"][0]["leader_partitions"]) == (0, 8)
        users = next(topic for topic in kafka["topics"] if topic["name"] == "users")
        assert (
            users["records"]
            == sum(record["end"] - record["begin"] for record in users["partitions"])
            >= len(platform.taken) - 1
        )
        assert all(partition["in_sync"] == partition["replicas"] == [0] for partition in users["partitions"])
        assert (kafka["groups"][0]["name"], kafka["groups"][0]["kind"]) == ("stream", "spark")

    def test_there_is_no_lag_once_all_members_are_counted(self, platform: Platform, viewer: Client) -> None:
        platform.wait_until_counted()
        spark = viewer.wait_for(lambda _, data: data.get("name") == "spark" and lags(data) == {"stream": 0})
        assert spark["lag"] == 0

    def test_the_lag_of_the_interactions_is_that_of_the_stream(self, viewer: Client) -> None:
        def is_counted(_: str, data: Json) -> bool:
            return data.get("name") == "spark" and (data["detail"] or {}).get("interactions", {}).get("unread") == 0

        spark = viewer.wait_for(is_counted)
        assert datetime.fromisoformat(spark["detail"]["interactions"]["as_of"]).tzinfo is not None
        assert ["Lag of interactions", "0"] in spark["facts"]

    def test_graphs_are_listed_and_served(self, platform: Platform, viewer: Client) -> None:
        platform.run("generate_graphs")
        newest = viewer.get("/api/graphs")["days"][0]
        assert (newest["day"], len(newest["files"])) == (platform.today.isoformat(), 4)
        picture = viewer.request(f"/graphs/{newest['day']}/{newest['files'][0]}")
        assert (picture.headers["Content-Type"], picture.content[:4]) == ("image/png", b"\x89PNG")
        assert viewer.request(f"/graphs/{newest['day']}/..%2F..%2Fpasswords.json").status_code == 404


def lags(spark: dict[str, Any]) -> dict[str, int]:
    # There are none before the first check.
    return {query["name"]: query["lag"] for query in (spark.get("detail") or {}).get("queries", [])}


class TestFaults:
    def test_while_cassandra_is_down_everything_else_works(self, platform: Platform, viewer: Client) -> None:
        total = len(platform.taken)
        platform.disconnect()
        stop_process(platform.home, "cassandra")
        try:
            down = viewer.wait_for_component("cassandra", "down")
            assert down["since"] > down["checked_at"]
            assert "The member counts are as of" in down["impact"]
            stale = viewer.wait_for(lambda event, _: event == "members")
            assert (stale["is_stale"], stale["total"]) == (True, total)
            failed = viewer.request("/api/days")
            assert (failed.status_code, failed.json()["component"]) == (503, "cassandra")
            assert len(viewer.get("/api/messages", topic="users", limit=3)["messages"]) == 3
            assert viewer.request("/").status_code == 200
            for name in ("landing", "kafka", "registry", "airflow", "zookeeper"):
                viewer.wait_for_component(name, "up")
        finally:
            start_process(platform.home, "cassandra")
        viewer.wait_for_component("cassandra", "up")
        assert viewer.get("/api/days")["days"]
        assert viewer.wait_for(lambda event, _: event == "members")["is_stale"] is False
        assert holds(lambda: can_connect(platform))
        platform.take("console-after-cassandra", 20)
        platform.wait_until_counted()

    def test_an_outage_of_kafka_is_reported_and_recovered_from(self, platform: Platform, viewer: Client) -> None:
        stop_process(platform.home, "kafka")
        try:
            down = viewer.wait_for_component("kafka", "down")
            assert "Accepted members wait in landing" in down["impact"]
            assert len(down["detail"]["topics"]) == 2
            viewer.wait_for_component("rejected", "down")
            failed = viewer.request("/api/messages", topic="users")
            assert (failed.status_code, failed.json()["component"]) == (503, "kafka")
            assert viewer.get("/api/days")["days"]
        finally:
            start_process(platform.home, "kafka")
        for name in ("kafka", "rejected"):
            viewer.wait_for_component(name, "up")
        assert viewer.get("/api/messages", topic="users", limit=3)["messages"]
        platform.take("console-after-kafka", 20)
        platform.wait_until_counted()

    def test_it_stops_promptly_while_a_page_is_open(self, platform: Platform, url: str, viewer: Client) -> None:
        events = viewer.events(DEADLINE)
        next(events)
        pid = list_processes(platform.home)["console"].pid
        stop_process(platform.home, "console")
        try:
            # The supervisor kills a process that does not stop in time.
            assert f"killing 'console' ({pid}) with SIGKILL" not in (platform.home.logs / "supervisor.log").read_text()
            with pytest.raises(requests.RequestException):
                list(events)
        finally:
            start_process(platform.home, "console")
        assert holds(lambda: is_serving(url))
        # Sessions survive a restart.
        assert viewer.get("/api/session")["login"] == "viewer"


def is_serving(url: str) -> bool:
    try:
        return requests.get(f"{url}/healthz", timeout=60).json() == {"status": "ok"}
    except requests.RequestException:
        return False


def can_connect(platform: Platform) -> bool:
    try:
        platform.connect()
    except Exception:
        return False
    return True
