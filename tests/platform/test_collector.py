"""The collector over HTTP, on the real platform."""

import base64
import gzip
import json
import os
import re
import signal
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from itertools import count
from pathlib import Path
from typing import Any
from uuid import UUID

import pytest
import requests

from collector_client import (
    FUZZ_EXAMPLES,
    Client,
    check_answer,
    document,
    flat,
    is_problem,
    make_client,
    own_collector,
    statuses,
    unflat,
    validate_schema,
)
from member_analyzer.collector.authentication import KEY_CACHE_SECONDS
from member_analyzer.collector.batch import Outcome
from member_analyzer.collector.body import MAX_BODY_BYTES
from member_analyzer.landing.api_keys import Right
from member_analyzer.landing.erasure import erase_records
from member_analyzer.local.supervision import start_process, stop_process
from member_analyzer.records.rejection import Reason
from member_analyzer.streams.members.definition import MEMBERS
from patience import DEADLINE, answers, holds
from ports import free_ports
from running_platform import Platform

TABLES = {"age": ("age_group",), "gender": ("gender",), "country": ("country",), "city": ("country", "city")}


@pytest.fixture(scope="module", autouse=True)
def rejected_before_landing(platform: Platform) -> Iterator[None]:
    """Deletes the records that these tests had rejected, so that they do not affect later tests."""
    yield
    platform.landing.execute("DELETE FROM landing.rejected WHERE source LIKE 'collector key=%'")


@pytest.fixture(scope="module")
def client(platform: Platform) -> Client:
    return make_client(platform)


@pytest.fixture
def users(platform: Platform, request: pytest.FixtureRequest) -> list[dict[str, Any]]:
    """Ten users that no other test has."""
    return platform.source.users(seed=request.node.name, results=10, page=1)


def landed(platform: Platform, keys: list[str]) -> set[str]:
    rows = platform.landing.execute("SELECT id FROM landing.users WHERE id = ANY(%s)", (keys,))
    return {row[0] for row in rows}


def ids(users: list[dict[str, Any]]) -> list[str]:
    return [user["login"]["uuid"] for user in users]


def test_members_in_both_formats_are_accepted_and_counted(platform: Platform, client: Client, users: Any) -> None:
    answer = client.post([*users[:5], *(flat(user) for user in users[5:])])
    assert statuses(answer) == [Outcome.ACCEPTED] * 10
    assert [record["id"] for record in answer.json()["records"]] == ids(users)
    platform.expect(users)
    platform.wait_until_counted()
    row = platform.created_user(users[5]["login"]["uuid"])
    assert (row["first_name"], row["last_name"]) == (users[5]["name"]["first"], users[5]["name"]["last"])


def test_the_input_of_clients_is_normalised(platform: Platform, client: Client, users: Any) -> None:
    answer = client.post({"results": users[:2], "info": {"seed": "x", "results": 2, "page": 1, "version": "1.4"}})
    assert [(one["id"], one["status"]) for one in answer.json()["records"]] == [
        (key, Outcome.ACCEPTED) for key in ids(users[:2])
    ]
    answer = client.send(b"\xef\xbb\xbf" + json.dumps(flat(users[2])).encode())
    assert statuses(answer) == [Outcome.ACCEPTED]
    answer = client.post([flat(users[3]) | {"location": {"lat": 59.9}, "login": {"provider": "x"}}])
    assert [(one["id"], one["status"]) for one in answer.json()["records"]] == [(ids(users)[3], Outcome.ACCEPTED)]
    platform.expect(users[:4])
    spelled = [
        flat(users[4]) | {"city": "Zu\u0308rich", "country": "CH", "gender": "Female"},
        flat(users[5]) | {"city": "\u200bZürich", "country": "switzerland ", "gender": "F"},
        flat(users[6]) | {"city": "Zü\nrich\u200f", "country": "CHE", "gender": "woman"},
        flat(users[7]) | {"city": "\x1b[31mZürich\x1b[0m", "country": "\ufeffSwitzerland", "gender": "female"},
    ]
    spelled[0]["date_of_birth"] += "T00:00:00+14:00"
    assert statuses(client.post(spelled)) == [Outcome.ACCEPTED] * 4
    kept = {"city": "Zürich", "country": "Switzerland", "gender": "female"}
    platform.expect([unflat(flat(user) | kept, user["login"]["uuid"]) for user in users[4:8]])
    platform.wait_until_counted()
    answer = client.post([flat(users[8]) | {"city": "\u200b"}, flat(users[9]) | {"gender": "femal"}])
    assert [one["reason"] for one in answer.json()["records"]] == [Reason.MISSING_FIELD, Reason.UNKNOWN_VALUE]


def test_a_single_object_is_accepted_and_gets_an_id_if_it_has_none(
    platform: Platform, client: Client, users: Any
) -> None:
    answer = client.post(users[0])
    assert statuses(answer) == [Outcome.ACCEPTED]
    assert [record["id"] for record in answer.json()["records"]] == ids(users[:1])
    platform.expect(users[:1])
    without_id = flat(users[1])
    del without_id["id"]
    del users[2]["login"]["uuid"]
    for posted, record in ((without_id, without_id), (users[2], flat(users[2] | {"login": {"uuid": ""}}))):
        answer = client.post(posted)
        assert statuses(answer) == [Outcome.ACCEPTED]
        key = answer.json()["records"][0]["id"]
        assert UUID(key).version == 4
        platform.expect([unflat(record, key)])


def test_an_invalid_record_does_not_affect_the_others_and_is_kept_without_its_passwords(
    platform: Platform, client: Client, users: Any
) -> None:
    invalid = users[1] | {"dob": {"date": "2222-01-01T00:00:00.000Z"}}
    answer = client.post([users[0], invalid, 17, flat(users[2]) | {"kind": "erased"}, flat(users[3])])
    assert statuses(answer) == [
        Outcome.ACCEPTED,
        *[Outcome.REJECTED] * 3,
        Outcome.ACCEPTED,
    ]
    rejections = [(record["index"], record["id"], record["reason"]) for record in answer.json()["records"][1:4]]
    assert rejections == [
        (1, users[1]["login"]["uuid"], Reason.BAD_DATE),
        (2, None, Reason.NOT_AN_OBJECT),
        (3, users[2]["login"]["uuid"], Reason.UNKNOWN_VALUE),
    ]
    platform.expect([users[0], users[3]])
    row = platform.landing.execute(
        "SELECT original, reason, source FROM landing.rejected WHERE id = %s", (users[1]["login"]["uuid"],)
    ).fetchone()
    assert row is not None
    assert row[1:] == (Reason.BAD_DATE.value, f"collector key={client.name}")
    assert json.loads(row[0])["location"]["city"] == users[1]["location"]["city"]
    for secret in ("password", "salt", "md5", "sha1", "sha256"):
        assert users[1]["login"][secret].encode() not in row[0]


def test_posting_a_member_again_changes_nothing(platform: Platform, client: Client, users: Any) -> None:
    assert statuses(client.post([users[0], users[1], users[0]])) == [
        Outcome.ACCEPTED,
        Outcome.ACCEPTED,
        Outcome.DUPLICATE,
    ]
    assert statuses(client.post([flat(users[1]) | {"city": "Elsewhere"}, users[2]])) == [
        Outcome.DUPLICATE,
        Outcome.ACCEPTED,
    ]
    platform.expect(users[:3])


def test_concurrent_batches_of_the_same_members_in_another_order_do_not_deadlock(
    platform: Platform, client: Client
) -> None:
    users = platform.source.users(seed="reversed", results=400, page=1)
    orders = [users, users[::-1]] * 4
    with ThreadPoolExecutor(len(orders)) as pool:
        answers = [statuses(answer) for answer in pool.map(client.post, orders)]
    assert sum(answer.count(Outcome.ACCEPTED) for answer in answers) == len(users)
    platform.expect(users)


def test_a_retry_with_the_same_idempotency_key_gets_the_same_response(
    platform: Platform, client: Client, users: Any
) -> None:
    without = flat(users[0])
    del without["id"]
    first, second = (client.post(without, **{"Idempotency-Key": "order 66"}) for _ in range(2))
    assert statuses(first) == [Outcome.ACCEPTED]
    assert second.content == first.content
    assert "Idempotency-Replayed" not in first.headers
    assert second.headers["Idempotency-Replayed"] == "true"
    assert is_problem(client.post(flat(users[1]), **{"Idempotency-Key": "order 66"}), 422)
    platform.expect([unflat(without, first.json()["records"][0]["id"])])
    # Idempotency-Keys are separate for each API key.
    other = make_client(platform, Right.WRITE)
    assert statuses(other.post(flat(users[1]), **{"Idempotency-Key": "order 66"})) == [Outcome.ACCEPTED]
    platform.expect([users[1]])
    for invalid in ("x" * 256, "\xe4"):
        assert is_problem(client.post(flat(users[2]), **{"Idempotency-Key": invalid}), 422)


def test_of_concurrent_requests_with_the_same_idempotency_key_one_is_processed(
    platform: Platform, client: Client, users: Any
) -> None:
    without = flat(users[0])
    del without["id"]
    with ThreadPoolExecutor(6) as pool:
        answers = list(pool.map(lambda _: client.post(without, **{"Idempotency-Key": "at once"}), range(6)))
    assert len({answer.content for answer in answers}) == 1
    assert [answer.headers.get("Idempotency-Replayed") for answer in answers].count(None) == 1
    assert statuses(answers[0]) == [Outcome.ACCEPTED]
    platform.expect([unflat(without, answers[0].json()["records"][0]["id"])])


def test_records_without_ids_that_are_posted_again_are_the_same_members(
    platform: Platform, client: Client, users: Any
) -> None:
    without = [flat(user) for user in users[:2]]
    for record in without:
        del record["id"]
    records = [*without, without[0], {"city": "Oslo"}]
    with ThreadPoolExecutor(4) as pool:
        answers = list(pool.map(lambda _: client.post(records), range(4)))
    assert sorted(answer.json()["accepted"] for answer in answers) == [0, 0, 0, 3]
    assert len({tuple(ids_of(answer)) for answer in answers}) == 1
    part = client.post(without[1])
    assert (statuses(part), ids_of(part)) == ([Outcome.DUPLICATE], ids_of(answers[0])[1:2])
    # With an Idempotency-Key, a request is new unless it is a retry.
    equal = client.post(without[1], **{"Idempotency-Key": "somebody else"})
    assert statuses(equal) == [Outcome.ACCEPTED]
    assigned = [*ids_of(answers[0])[:3], *ids_of(equal)]
    assert len(set(assigned)) == 4
    platform.expect(unflat(record, key) for record, key in zip([*records[:3], without[1]], assigned, strict=True))


def ids_of(answer: requests.Response) -> list[str]:
    return [record["id"] for record in answer.json()["records"]]


def test_an_expired_response_is_not_replayed(platform: Platform, client: Client, users: Any) -> None:
    assert statuses(client.post(users[0], **{"Idempotency-Key": "old"})) == [Outcome.ACCEPTED]
    platform.expect([users[0]])
    platform.landing.execute(
        "UPDATE landing.requests SET answered_at = answered_at - interval '25 hours' WHERE api_key = %s", (client.name,)
    )
    again = client.post(users[0], **{"Idempotency-Key": "old"})
    assert statuses(again) == [Outcome.DUPLICATE]
    assert "Idempotency-Replayed" not in again.headers


def test_compressed_members_are_accepted(platform: Platform, client: Client, users: Any) -> None:
    body = json.dumps(users).encode()
    half = len(body) // 2
    two_members = gzip.compress(body[:half]) + gzip.compress(body[half:])
    assert statuses(client.send(gzip.compress(body), **{"Content-Encoding": "gzip"})) == [Outcome.ACCEPTED] * 10
    assert statuses(client.send(two_members, **{"Content-Encoding": "gzip"})) == [Outcome.DUPLICATE] * 10
    platform.expect(users)


def chunks() -> Iterator[bytes]:
    """A chunked body above the size limit."""
    for _ in range(3 * MAX_BODY_BYTES // 2**16):
        yield b" " * 2**16


GZIP = {"Content-Encoding": "gzip"}
MEMBER = {"id": "never", "gender": "female", "date_of_birth": "1976-03-02", "country": "Norway", "city": "Skre"}


@pytest.mark.parametrize(
    ("body", "headers", "status"),
    [
        pytest.param(b" " * (MAX_BODY_BYTES + 1), {}, 413, id="too-large"),
        pytest.param(chunks, {}, 413, id="too-large-without-a-length"),
        pytest.param(gzip.compress(bytes(2**28)), GZIP, 413, id="a-gzip-bomb"),
        pytest.param(gzip.compress(b"[]")[:-9], GZIP, 400, id="truncated-gzip"),
        pytest.param(b"[]", GZIP, 400, id="not-gzip"),
        pytest.param(b"[]", {"Content-Encoding": "br"}, 415, id="another-encoding"),
        pytest.param(b"[]", {"Content-Type": "text/csv"}, 415, id="another-type"),
        pytest.param(b"", {}, 400, id="empty"),
        pytest.param(b'{"id": ', {}, 400, id="a-truncated-object"),
        pytest.param(b'[{"id": NaN}]', {}, 400, id="not-a-number"),
        pytest.param(b"\xff\xfe", {}, 400, id="not-utf-8"),
        pytest.param(b"[" * 100_000, {}, 400, id="unclosed-brackets"),
        pytest.param(b"[" * 100_000 + b"]" * 100_000, {}, 400, id="too-deep"),
        pytest.param(b"[]", {}, 422, id="no-records"),
        pytest.param(b'"member"', {}, 422, id="a-string"),
        pytest.param(json.dumps([MEMBER] * 1001).encode(), {}, 422, id="too-many"),
    ],
)
def test_an_invalid_body_is_rejected(
    client: Client,
    platform: Platform,
    body: bytes | Callable[[], Iterator[bytes]],
    headers: dict[str, str],
    status: int,
) -> None:
    answer = client.send(body() if callable(body) else body, **headers)  # type: ignore[arg-type]
    assert is_problem(answer, status), answer.text
    assert landed(platform, ["never"]) == set()


@pytest.mark.parametrize(
    "value",
    [
        pytest.param(r'"\u0000"', id="nul"),
        pytest.param(r'"\ud800"', id="a-lone-surrogate"),
        pytest.param("9" * 400, id="a-huge-number"),
        pytest.param("1e999", id="an-infinite-number"),
        pytest.param("[" * 500 + "]" * 500, id="deep"),
        pytest.param('{"a":' * 500 + "1" + "}" * 500, id="deep-objects"),
        pytest.param(r'"' + "\N{SNOWMAN}" * 100_000 + '"', id="long"),
    ],
)
@pytest.mark.parametrize("field", ["id", "city", "date_of_birth", "unknown"])
def test_hostile_values_do_not_affect_other_records(
    platform: Platform, client: Client, request: pytest.FixtureRequest, field: str, value: str
) -> None:
    good, other = platform.source.users(seed=request.node.name, results=2, page=1)
    hostile = json.dumps(flat(other) | {field: "@"}).replace('"@"', value)
    answer = client.send(f"[{hostile}, {json.dumps(good)}]".encode())
    assert statuses(answer) == [Outcome.ACCEPTED if field == "unknown" else Outcome.REJECTED, Outcome.ACCEPTED]
    platform.expect([good, other] if field == "unknown" else [good])
    if field != "unknown":
        platform.landing.execute("DELETE FROM landing.rejected WHERE source = %s", (f"collector key={client.name}",))


def test_requests_without_a_valid_api_key_are_rejected(client: Client) -> None:
    wrong = client.key[:-4] + ("AAAA" if client.key[-4:] != "AAAA" else "BBBB")
    for key in ("", "nobody", "ma_nobody_" + "x" * 43, wrong):
        answer = Client(client.url, key).post(MEMBER)
        assert is_problem(answer, 401)
        assert answer.headers["WWW-Authenticate"] == "Bearer"
    basic = base64.b64encode(client.key.encode()).decode()
    assert is_problem(client.request("GET", "/v1/analysis/age", headers={"Authorization": f"Basic {basic}"}), 401)


def test_a_key_can_only_be_used_for_its_rights(platform: Platform, client: Client, users: Any) -> None:
    writer, reader, eraser, viewer = (make_client(platform, right) for right in Right)
    assert statuses(writer.post(users[0])) == [Outcome.ACCEPTED]
    for other in (reader, eraser, viewer):
        assert is_problem(other.post(users[0]), 403)
    platform.expect(users[:1])
    assert reader.read("age").status_code == 200
    for other in (writer, eraser, viewer):
        assert is_problem(other.read("age"), 403)
        assert is_problem(other.read("interactions/live", source="shop"), 403)
    for other in (writer, reader, eraser):
        for history in ("timeline", "sessions"):
            assert is_problem(other.read(f"interactions/{history}", person="nobody"), 403)
    for other in (writer, reader, viewer):
        assert is_problem(other.erase(users[0]["login"]["uuid"]), 403)
    assert landed(platform, ids(users[:1])) == set(ids(users[:1]))


def test_a_key_is_created_listed_and_revoked_on_the_command_line(platform: Platform, client: Client) -> None:
    created = platform.command("keys", "create", "shop", "--rights", "write,read").stdout.strip()
    shop = Client(client.url, created)
    assert shop.read("age").status_code == 200
    assert is_problem(shop.erase("nobody"), 403)
    listed = platform.command("keys", "list").stdout
    assert "shop" in listed
    assert created.split("_", 2)[2] not in listed
    rows = platform.landing.execute("SELECT hash FROM landing.api_keys WHERE name = 'shop'").fetchall()
    assert len(rows[0][0]) == 32
    assert "shop is revoked" in platform.command("keys", "revoke", "shop").stdout
    assert holds(lambda: shop.read("age").status_code == 401, KEY_CACHE_SECONDS + 60)
    for invalid in (("create", "shop"), ("create", "Sh op"), ("revoke", "shop"), ("revoke", "nobody")):
        failed = platform.command("keys", *invalid, check=False)
        assert failed.returncode != 0
        assert "Traceback" not in failed.stderr


def test_requests_beyond_the_rate_limit_get_429_with_retry_after(platform: Platform, tmp_path: Path) -> None:
    (port,) = free_ports(1)
    with own_collector(platform, port, tmp_path / "log", COLLECTOR_REQUESTS_PER_SECOND="5") as own:
        one, other = (make_client(platform, Right.READ, url=own.url) for _ in range(2))
        with ThreadPoolExecutor(12) as pool:
            limited = [
                answer
                for answer in pool.map(lambda _: one.read("age", date="1999-01-01"), range(24))
                if answer.status_code != 404
            ]
        assert limited
        assert all(is_problem(answer, 429) and int(answer.headers["Retry-After"]) >= 1 for answer in limited)
        assert other.read("age", date="1999-01-01").status_code == 404
        assert holds(lambda: one.read("age", date="1999-01-01").status_code == 404)
        for _ in range(70):
            stranger = Client(own.url, "nobody").read("age")
        assert is_problem(stranger, 429)
        assert other.read("age", date="1999-01-01").status_code == 404


def test_an_erased_member_is_deleted_and_its_id_cannot_be_used_again(
    platform: Platform, client: Client, users: Any
) -> None:
    assert statuses(client.post(users[:3])) == [Outcome.ACCEPTED] * 3
    platform.expect(users[:3])
    platform.wait_until_counted()
    key = users[0]["login"]["uuid"]
    answer = client.erase(key)
    assert (answer.status_code, answer.json()["id"], answer.json()["status"]) == (202, key, "erased")
    del platform.taken[key]
    platform.wait_until_counted()
    again = client.erase(key).json()
    assert (again["id"], again["status"]) == (key, "erased_before")
    assert "within 31 days" in again["message"]
    again = client.post([users[0], users[1]])
    assert statuses(again) == [Outcome.ERASED, Outcome.DUPLICATE]
    assert again.json()["records"][0]["reason"] == "erased"
    assert is_problem(client.erase("nobody-knows-me"), 404)
    assert is_problem(client.erase("%00"), 422)
    assert is_problem(client.erase("x" * 65), 422)
    platform.command("audit")


@pytest.mark.parametrize("table", TABLES)
def test_a_table_equals_an_independent_count(platform: Platform, client: Client, table: str) -> None:
    platform.wait_until_counted()
    answer = client.read(table, limit=100_000).json()
    total = len(platform.taken)
    assert (answer["date"], answer["table"], answer["total"]) == (platform.today.isoformat(), table, total)
    found = {tuple(one[name] for name in TABLES[table]): one["members"] for one in answer["buckets"]}
    assert {bucket: members for bucket, members in found.items() if members} == platform.expected()[table]
    for one in answer["buckets"]:
        assert one["percent"] == pytest.approx(one["members"] * 100 / total, abs=0.0001)
    sizes = [one["members"] for one in answer["buckets"]]
    assert sizes == sorted(sizes, reverse=True)
    assert client.read(table, limit=2, date=answer["date"]).json()["buckets"] == answer["buckets"][:2]


def test_unknown_paths_and_invalid_parameters_are_errors(client: Client) -> None:
    assert is_problem(client.read("age", date="1999-12-31"), 404)
    assert is_problem(client.request("GET", "/v1/nothing"), 404)
    assert is_problem(client.request("PUT", "/v1/users"), 405)
    for parameters in ({"date": "20261121"}, {"date": "1"}, {"date": "2026-02-30"}, {"limit": 0}, {"limit": 100_001}):
        assert is_problem(client.read("age", **parameters), 422)
    assert is_problem(client.read("births"), 422)


def test_the_access_log_has_no_personal_data(platform: Platform, client: Client, users: Any) -> None:
    answer = client.post(users[0], **{"X-Request-ID": "request-of-a-test"})
    assert answer.headers["X-Request-ID"] == "request-of-a-test"
    platform.expect(users[:1])
    client.post([users[1] | {"gender": "?"}])
    client.erase(users[2]["login"]["uuid"])
    generated = client.post(users[0], **{"X-Request-ID": "<script>"}).headers["X-Request-ID"]
    assert re.fullmatch("[0-9a-f]{32}", generated)
    file = platform.home.logs / "collector.log"
    # A line is written after its response is sent, so the client may be faster.
    assert holds(lambda: generated in file.read_text()), "the last request is not in the log"
    log = file.read_text()
    (line,) = [json.loads(one) for one in log.splitlines() if "request-of-a-test" in one]
    logged = (line["method"], line["route"], line["status"], line["api_key"])
    assert logged == ("POST", "/v1/users", 202, client.name)
    for user in users[:3]:
        for personal in (user["login"]["uuid"], user["email"], user["name"]["last"], user["phone"]):
            assert personal not in log
    assert client.key.split("_", 2)[2] not in log


def test_probes_and_metrics_need_no_key(client: Client) -> None:
    for path in ("/healthz", "/readyz"):
        assert requests.get(f"{client.url}{path}", timeout=60).json() == {"status": "ok"}
    metrics = requests.get(f"{client.url}/metrics", timeout=60).text
    assert re.search(r'collector_requests_total\{method="POST",route="/v1/users",status="202"\} \d', metrics)
    assert re.search(r'collector_records_total\{outcome="accepted"\} \d', metrics)
    assert re.search(r"collector_unpublished_events \d", metrics)
    assert re.search(r"collector_last_publish_timestamp_seconds 1\.\d+e\+09", metrics)
    assert "collector_request_seconds_bucket" in metrics


def test_the_api_documentation_uses_no_external_resources(client: Client) -> None:
    page = requests.get(f"{client.url}/docs", timeout=60)
    links = re.findall(r'(?:href|src)="([^"]+)"', page.text)
    assert links
    for link in links:
        assert link.startswith("/docs/")
        assert requests.get(f"{client.url}{link}", timeout=60).status_code == 200
    assert "default-src 'none'" in page.headers["Content-Security-Policy"]


def test_every_example_of_the_openapi_document_is_valid(platform: Platform, client: Client) -> None:
    described = document(client)
    post = described["paths"]["/v1/users"]["post"]
    posted = post["requestBody"]["content"]["application/json"]
    created: list[str] = []
    for example in posted["examples"].values():
        answer = client.post(example["value"])
        outcomes = statuses(answer)
        check_answer(described, post, answer)
        if Outcome.REJECTED not in outcomes:
            validate_schema(described, posted["schema"], example["value"])
        created += [record["id"] for record in answer.json()["records"] if record["status"] == Outcome.ACCEPTED]
    assert len(created) == 2
    analysis = described["paths"]["/v1/analysis/{table}"]["get"]
    by_name = {parameter["name"]: parameter["schema"] for parameter in analysis["parameters"]}
    assert holds(lambda: client.read("age").status_code == 200), "the stream has not counted anybody"
    for table in by_name["table"]["examples"]:
        answer = client.read(table, limit=by_name["limit"]["examples"][0])
        assert answer.status_code == 200
        check_answer(described, analysis, answer)
    erase = described["paths"]["/v1/users/{id}"]["delete"]
    (key,) = erase["parameters"][0]["schema"]["examples"]
    created.remove(key)
    for one in (key, *created):
        answer = client.erase(one)
        assert answer.status_code == 202
        check_answer(described, erase, answer)
    for operation in (post, analysis, erase):
        for status, response in operation["responses"].items():
            for kind, content in response["content"].items():
                examples = [one["value"] for one in content.get("examples", {}).values()] or [content["example"]]
                assert kind == ("application/json" if status < "300" else "application/problem+json")
                for example in examples:
                    validate_schema(described, content["schema"], example)


def test_while_postgresql_is_unavailable_requests_get_503(platform: Platform, client: Client, users: Any) -> None:
    assert statuses(client.post(users[0])) == [Outcome.ACCEPTED]
    stop_process(platform.home, "postgres")
    try:
        answer = client.post(users[1])
        assert is_problem(answer, 503)
        assert int(answer.headers["Retry-After"]) >= 1
        assert requests.get(f"{client.url}/readyz", timeout=60).status_code == 503
        assert answers(f"{client.url}/healthz")
        assert answers(f"{client.url}/metrics")
    finally:
        start_process(platform.home, "postgres")
    assert holds(lambda: client.post(users[1]).status_code == 202)
    assert holds(lambda: answers(f"{client.url}/readyz"))
    platform.connect()
    platform.expect(users[:2])


def test_while_cassandra_and_the_registry_are_unavailable_members_are_still_accepted(
    platform: Platform, users: Any, tmp_path: Path
) -> None:
    port, closed = free_ports(2)
    unavailable = {"CASSANDRA_PORT": str(closed), "SCHEMA_REGISTRY_URL": f"http://127.0.0.1:{closed}"}
    with own_collector(platform, port, tmp_path / "log", **unavailable) as own:
        client = make_client(platform, url=own.url)
        assert statuses(client.post(users)) == [Outcome.ACCEPTED] * 10
        answer = client.read("age")
        assert is_problem(answer, 503)
        assert int(answer.headers["Retry-After"]) >= 1
        assert holds(lambda: "publisher.failing" in own.log.read_text())
        assert client.post(users).status_code == 202
    assert own.log.read_text().count("publisher.failing") == 1
    platform.expect(users)


def test_what_was_accepted_during_a_shutdown_has_landed(platform: Platform, tmp_path: Path) -> None:
    (port,) = free_ports(1)
    users = platform.source.users(seed="shutdown", results=2000, page=1)
    waiting, accepted, stopped = iter(users), [], threading.Event()
    lock = threading.Lock()
    with own_collector(platform, port, tmp_path / "log") as own:
        client = make_client(platform, Right.WRITE, url=own.url)

        def post() -> None:
            while not stopped.is_set():
                with lock:
                    batch = [user for user, _ in zip(waiting, range(5), strict=False)]
                try:
                    answer = client.post(batch)
                except requests.ConnectionError:
                    return
                if answer.status_code == 202:
                    accepted.extend(batch)

        with ThreadPoolExecutor(8) as pool:
            posting = [pool.submit(post) for _ in range(8)]
            assert holds(lambda: len(accepted) > 100)
            own.process.send_signal(signal.SIGTERM)
            own.process.wait(DEADLINE)
            stopped.set()
            for one in posting:
                one.result()
        assert own.process.returncode in (0, -signal.SIGTERM)
    log = own.log.read_text()
    assert "collector.stopped" in log
    assert "request.failed" not in log
    assert landed(platform, ids(accepted)) == set(ids(accepted))
    # Requests in flight may have landed without a response.
    platform.expect(user for user in users if user["login"]["uuid"] in landed(platform, ids(users)))
    platform.wait_until_counted()


def test_generated_requests_never_cause_a_server_error(platform: Platform, tmp_path: Path) -> None:
    """At least COLLECTOR_CASES requests (default 600), generated from the OpenAPI document."""
    client = make_client(platform)
    generated = 0
    try:
        for seed in count(7):
            generated += generate_requests(client, seed, tmp_path)
            if generated >= FUZZ_EXAMPLES:
                break
    finally:
        # Other tests do not expect these members.
        source = f"collector key={client.name}"
        rows = platform.landing.execute(
            "SELECT id FROM landing.users WHERE source = %s AND erased_at IS NULL", (source,)
        ).fetchall()
        erase_records(platform.landing, MEMBERS, [row[0] for row in rows])
        platform.landing.execute("DELETE FROM landing.rejected WHERE source = %s", (source,))
    print(f"{generated} requests")
    platform.wait_until_counted()


def generate_requests(client: Client, seed: int, folder: Path) -> int:
    """Run schemathesis with a seed; return the number of requests."""
    operations = sum(map(len, document(client)["paths"].values()))
    program = Path(sys.executable).with_name("schemathesis")
    checks = "not_a_server_error,status_code_conformance,content_type_conformance,response_schema_conformance"
    ran = subprocess.run(
        [
            # One worker, because Hypothesis parses the source of lambdas, which sometimes fails in two threads.
            *(program, "run", f"{client.url}/openapi.json", "--header", f"Authorization: Bearer {client.key}"),
            *("--checks", checks, "--phases", "examples,coverage,fuzzing", "--workers", "1", "--no-color"),
            *("--max-examples", str(FUZZ_EXAMPLES // operations), "--seed", str(seed), "--warnings", "off"),
            *("--suppress-health-check", "all", "--generation-database", "none"),
        ],
        capture_output=True,
        text=True,
        check=False,
        timeout=max(300, FUZZ_EXAMPLES),
        cwd=folder,
        env={name: value for name, value in os.environ.items() if not name.lower().endswith("_proxy")},
    )
    assert ran.returncode == 0, ran.stdout[-6000:] + ran.stderr[-2000:]
    return int(re.search(r"([\d,]+) generated", ran.stdout)[1].replace(",", ""))  # type: ignore[index]
