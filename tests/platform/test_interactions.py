"""Interactions over HTTP: accepted once Kafka has them, whatever fails."""

import gzip
import json
import os
import pty
import re
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any
from uuid import uuid4

import pytest
import requests
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from interaction_records import Interactions
from member_analyzer.collector.tracking import MAX_BATCH_BYTES
from member_analyzer.collector.write_keys import CACHE_SECONDS
from member_analyzer.landing.sources import revoke_source, rotate_key
from member_analyzer.local.platform import list_status
from member_analyzer.local.supervision import start_process, stop_process
from member_analyzer.publishing.producer import OutgoingRecord
from member_analyzer.publishing.topic_encoder import TopicEncoder
from member_analyzer.publishing.transactions import KafkaUnavailableError, TopicRecord, TransactionalWriter
from member_analyzer.records.rejection import Reason, Rejection
from member_analyzer.settings import KafkaSettings
from member_analyzer.streams.interactions.definition import INTERACTIONS
from member_analyzer.streams.interactions.rejected_item import write_rejected_item
from patience import DEADLINE, answers, holds
from running_platform import Platform

SHOP = "https://shop.example"


@pytest.fixture(scope="module")
def interactions(platform: Platform) -> Interactions:
    return Interactions(platform)


@pytest.fixture(scope="module")
def key(interactions: Interactions) -> str:
    return interactions.create_source("server", events_per_second=100_000)


@pytest.fixture(scope="module")
def page_key(interactions: Interactions) -> str:
    return interactions.create_source("web-shop", SHOP, "https://*.shop.example", events_per_second=100_000)


@pytest.fixture
def run() -> str:
    """A property by which the interactions of a test are found."""
    return uuid4().hex


def track(run: str, number: int = 0, **more: Any) -> dict[str, Any]:
    item = {"type": "track", "event": "Order Completed", "userId": "u-1", "messageId": f"{run}-{number}"}
    return item | {"properties": {"run": run, "number": number}} | more


@contextmanager
def stopped(platform: Platform, server: str) -> Iterator[None]:
    stop_process(platform.home, server)
    try:
        yield
    finally:
        start_process(platform.home, server)
        assert holds(lambda: is_ready(platform, server)), f"{server} did not come back"
        if server == "postgres":
            # The connection that the tests share has ended with it.
            platform.disconnect()
            platform.connect()


def is_ready(platform: Platform, server: str) -> bool:
    return next(one for one in list_status(platform.home) if one.name == server).ready


PATHS = [
    *(f"{prefix}/{kind}{end}" for kind in ("track", "batch", "import") for prefix in ("/v1", "") for end in ("", "/")),
    *("/v1/t", "/t", "/v1/b", "/b/", "/api/s/track"),
]


@pytest.mark.parametrize("path", PATHS)
def test_every_path_of_the_sdks_accepts_items(interactions: Interactions, key: str, run: str, path: str) -> None:
    is_batch = path.strip("/").rpartition("/")[2] in ("batch", "import", "b")
    response = interactions.post(key, {"batch": [track(run)]} if is_batch else track(run), path)
    assert (response.status_code, response.json()) == (200, {"success": True, "ok": True})
    (record,) = interactions.wait_for(run, 1)
    assert (record["message_id"], record["type"], record["name"]) == (f"{run}-0", "track", "Order Completed")
    assert (record["member_id"], record["source"], record["visitor"]) == ("u-1", "server", "m:u-1")


def test_the_key_may_be_in_the_body_in_a_header_or_in_a_query(interactions: Interactions, key: str, run: str) -> None:
    body = {"batch": [track(run)]}
    for number, (path, headers, more) in enumerate(
        [
            ("/v1/batch", {}, {"writeKey": key}),
            ("/v1/batch", {"X-Write-Key": key}, {}),
            (f"/beacon/v1/batch?writeKey={key}", {"Content-Type": "text/plain"}, {}),
        ]
    ):
        body["batch"][0]["messageId"] = f"{run}-{number}"
        data = json.dumps(body | more)
        response = requests.post(f"{interactions.url}{path}", data=data, headers=headers, timeout=60)
        assert response.status_code == 200, (path, response.text)
    assert len(interactions.wait_for(run, 3)) == 3


@pytest.mark.parametrize("content_type", ["text/plain", "application/x-www-form-urlencoded", "", "application/json"])
def test_a_body_is_read_whatever_its_headers_claim(
    interactions: Interactions, key: str, run: str, content_type: str
) -> None:
    data = gzip.compress(json.dumps({"batch": [track(run)]}).encode())
    headers = {"Content-Type": content_type, "Content-Encoding": "identity"}
    response = requests.post(f"{interactions.url}/v1/batch", data=data, headers=headers, auth=(key, ""), timeout=60)
    assert response.status_code == 200, response.text
    interactions.wait_for(run, 1)


def test_one_bad_item_is_kept_with_its_reason_and_the_others_are_accepted(
    interactions: Interactions, key: str, run: str
) -> None:
    nobody = {"type": "track", "event": "Order Completed", "messageId": f"{run}-bad", "properties": {"run": run}}
    private = nobody | {"context": {"ip": "203.0.113.7"}, "properties": {"password": "hunter2"}}
    response = interactions.post(key, {"batch": [track(run, 0), private, 7, track(run, 1)]})
    assert response.status_code == 200
    rejected = response.json()["rejected"]
    assert [(one["index"], one["reason"]) for one in rejected] == [(1, "missing_field"), (2, "not_an_object")]
    assert len(interactions.wait_for(run, 2)) == 2
    kept = [one for one in interactions.read_rejected("server") if f"{run}-bad".encode() in (one.value or b"")]
    assert [one.reason for one in kept] == ["missing_field"]
    assert b"203.0.113.7" not in (kept[0].value or b"")
    assert b"hunter2" not in (kept[0].value or b"")


BODIES: dict[str, tuple[bytes, int]] = {
    "an empty batch": (b'{"batch": []}', 200),
    "nulls alone": (b'{"batch": [null, null]}', 200),
    "no JSON": (b"event=1", 400),
    "a batch of commas": (b'{"batch": [,,]}', 400),
    "an empty body": (b"", 400),
    "truncated gzip": (gzip.compress(b"{}")[:-4], 400),
    "a gzip bomb": (gzip.compress(b" " * 50_000_000), 413),
    "too many bytes": (b'{"batch": ["' + b"x" * MAX_BATCH_BYTES + b'"]}', 413),
    "too many items": (b'{"batch": [' + b"0," * 100_000 + b"0]}", 413),
    "deeply nested": (b'{"batch":' * 20_000 + b"1" + b"}" * 20_000, 400),
}


@pytest.mark.parametrize("body", BODIES)
def test_a_body_that_cannot_be_read_is_refused_as_a_whole(interactions: Interactions, key: str, body: str) -> None:
    data, status = BODIES[body]
    response = requests.post(f"{interactions.url}/v1/batch", data=data, auth=(key, ""), timeout=60)
    assert response.status_code == status, response.text


def test_a_bomb_is_not_decompressed_without_a_valid_key(interactions: Interactions) -> None:
    bomb = gzip.compress(b" " * 50_000_000)
    response = requests.post(f"{interactions.url}/v1/batch", data=bomb, auth=("c" + "k" * 24, ""), timeout=60)
    assert response.status_code == 401


def test_an_item_of_more_than_32_kb_is_rejected_alone(interactions: Interactions, key: str, run: str) -> None:
    large = track(run, 1, properties={"run": run, "text": "x" * 40_000})
    response = interactions.post(key, {"batch": [track(run, 0), large]})
    assert [one["index"] for one in response.json()["rejected"]] == [1]
    assert len(interactions.wait_for(run, 1)) == 1


def test_half_of_a_character_stops_neither_its_batch_nor_the_response(
    interactions: Interactions, key: str, run: str
) -> None:
    nobody = {"type": "track", "event": "x", "messageId": f"{run}\ud800", "properties": {"large": "\ud800" * 60_000}}
    body = {"batch": [nobody, track(run, 0, event="Order \ud800 Completed")]}
    response = interactions.post(key, body)
    assert [one["index"] for one in response.json()["rejected"]] == [0]
    (record,) = interactions.wait_for(f"{run}-0", 1)
    assert record["name"] == r"Order \ud800 Completed"


def test_without_a_message_id_a_retry_has_the_same_one(interactions: Interactions, key: str, run: str) -> None:
    item = track(run)
    del item["messageId"]
    for sent_at in ("2026-11-21T09:15:00.000Z", "2026-11-21T09:15:07.000Z"):
        assert interactions.post(key, {"batch": [item], "sentAt": sent_at}).status_code == 200
    assert len({one["message_id"] for one in interactions.wait_for(run, 1)}) == 1


class TestSources:
    def test_an_unknown_key_is_refused(self, interactions: Interactions, run: str) -> None:
        for unknown in ("", "x", "c" + "k" * 24):
            response = interactions.post(unknown, {"batch": [track(run)]})
            assert response.status_code == 401
            # Without these the Python SDK of RudderStack sends a refused batch eleven times.
            assert (response.json()["code"], response.json()["message"]) == ("unauthorized", response.json()["detail"])

    def test_a_revoked_source_and_a_replaced_key_are_refused(
        self, platform: Platform, interactions: Interactions, run: str
    ) -> None:
        old, revoked = interactions.create_source("rotated"), interactions.create_source("revoked")
        assert interactions.post(old, {"batch": []}).status_code == 200
        new = rotate_key(platform.landing, "rotated")
        assert revoke_source(platform.landing, "revoked")
        assert new is not None
        for key in (old, revoked):
            assert holds(lambda one=key: interactions.post(one, {"batch": []}).status_code == 401), CACHE_SECONDS
        assert interactions.post(new, {"batch": [track(run)]}).status_code == 200

    def test_only_pages_of_its_origins_may_use_a_key(
        self, interactions: Interactions, page_key: str, key: str, run: str
    ) -> None:
        def status(write_key: str, origin: str | None) -> int:
            headers = {} if origin is None else {"Origin": origin}
            return interactions.post(write_key, {"batch": [track(run)]}, headers=headers).status_code

        assert status(page_key, SHOP) == 200
        assert status(page_key, "https://www.shop.example") == 200
        assert [status(page_key, other) for other in ("https://evil.example", "null", None)] == [403, 403, 403]
        assert [status(key, SHOP), status(key, None)] == [403, 200]

    def test_a_page_may_send_any_header_and_read_any_response(self, interactions: Interactions, page_key: str) -> None:
        asked = {
            "Access-Control-Request-Method": "POST",
            "Access-Control-Request-Headers": "authorization,content-type,rsa-retry-attempt",
        }
        for origin, status in ((SHOP, 200), ("https://evil.example", 403)):
            url = f"{interactions.url}/v1/batch"
            preflight = requests.options(url, headers={"Origin": origin} | asked, timeout=60)
            response = interactions.post(page_key, {"batch": []}, headers={"Origin": origin})
            assert (preflight.status_code, response.status_code) == (200, status)
            assert preflight.headers["Access-Control-Allow-Headers"] == asked["Access-Control-Request-Headers"]
            for one in (preflight, response):
                assert one.headers["Access-Control-Allow-Origin"] == origin
            assert "Retry-After" in response.headers["Access-Control-Expose-Headers"]

    def test_the_settings_of_the_sdks_need_no_server(
        self, platform: Platform, interactions: Interactions, page_key: str
    ) -> None:
        with stopped(platform, "postgres"):
            segment = requests.get(f"{interactions.url}/v1/projects/{page_key}/settings", timeout=60)
            rudder = requests.get(f"{interactions.url}/sourceConfig/?writeKey={page_key}", timeout=60)
        assert segment.json()["integrations"] == {"Segment.io": {"apiKey": page_key}}
        assert rudder.json()["source"]["destinations"] == []

    def test_the_api_of_the_members_is_not_open_to_pages(self, interactions: Interactions, page_key: str) -> None:
        response = requests.get(f"{interactions.url}/v1/analysis/age", headers={"Origin": SHOP}, timeout=60)
        assert "Access-Control-Allow-Origin" not in response.headers

    def test_a_source_beyond_its_rate_is_asked_to_wait(self, interactions: Interactions, run: str) -> None:
        slow = interactions.create_source("slow", events_per_second=1)
        assert interactions.post(slow, {"batch": [track(run, number) for number in range(60)]}).status_code == 200
        response = interactions.post(slow, {"batch": [track(run, 60)]})
        assert response.status_code == 429
        assert int(response.headers["Retry-After"]) >= 1

    @pytest.mark.parametrize("header", ["DNT", "Sec-GPC"])
    def test_who_opted_out_is_not_tracked_where_the_source_honors_it(
        self, interactions: Interactions, page_key: str, run: str, header: str
    ) -> None:
        ignoring = interactions.create_source(f"ignores-{header.lower()}", SHOP, honors_opt_out=False)
        for number, write_key in enumerate((page_key, ignoring)):
            headers = {header: "1", "Origin": SHOP}
            assert interactions.post(write_key, {"batch": [track(run, number)]}, headers=headers).status_code == 200
        assert [one["message_id"] for one in interactions.wait_for(run, 1)] == [f"{run}-1"]


class TestCommands:
    def test_a_script_gets_only_the_write_key(self, platform: Platform, interactions: Interactions, run: str) -> None:
        created = platform.command(
            "sources", "create", "scripted", "--origins", f"{SHOP}/", "--timezone", "Europe/Oslo"
        )
        key = created.stdout.strip()
        assert interactions.post(key, {"batch": [track(run)]}, headers={"Origin": SHOP}).status_code == 200
        listed = platform.command("sources", "list").stdout
        assert "scripted" in listed
        assert key not in listed
        new = platform.command("sources", "rotate", "scripted").stdout.strip()
        assert interactions.post(new, {"batch": [track(run)]}, headers={"Origin": SHOP}).status_code == 200
        platform.command("sources", "revoke", "scripted")
        assert platform.command("sources", "revoke", "scripted", check=False).returncode == 1
        again = platform.command("sources", "create", "scripted", check=False)
        assert (again.returncode, "already in use" in again.stderr) == (2, True)

    def test_a_person_sees_an_example_and_the_first_event(
        self, platform: Platform, interactions: Interactions, run: str
    ) -> None:
        with terminal(platform, "sources", "create", "typed") as screen:
            assert holds(lambda: "Waiting for the first event" in screen.text), screen.text
            found = re.search(r"The write key of typed is ([A-Za-z0-9]{25})", screen.text)
            assert found is not None, screen.text
            assert f'analytics.host = "{interactions.url}"' in screen.text
            assert interactions.post(found[1], {"batch": [track(run)]}).status_code == 200
            assert holds(lambda: "The first event arrived" in screen.text), screen.text
            assert "track Order Completed" in screen.text

    def test_rejected_items_are_listed_shown_and_replayed_once(
        self, platform: Platform, interactions: Interactions, run: str
    ) -> None:
        settings = KafkaSettings.of(platform.environment("collector"))
        writer = TransactionalWriter(settings, "member-analyzer-collector-replay")
        writer.start()
        # As an earlier version would have rejected it.
        rejection = Rejection(Reason.UNKNOWN_VALUE, "An earlier rule.")
        encoder = TopicEncoder(INTERACTIONS, 1)
        item = write_rejected_item(track(run))
        records = [encoder.encode_rejected(item, rejection, "server", datetime.now(UTC))]
        writer.write(records).result(DEADLINE)
        writer.stop(DEADLINE)
        (kept,) = [one for one in interactions.read_rejected("server") if run.encode() in (one.value or b"")]
        listed = platform.command("rejected", "list", "--stream", "interactions", "--limit", "1000").stdout
        assert kept.origin in listed
        assert (
            "An earlier rule." in platform.command("rejected", "show", kept.origin, "--stream", "interactions").stdout
        )
        replayed = platform.command("rejected", "replay", kept.origin, "--stream", "interactions")
        assert "replayed 1 records of interactions_rejected" in replayed.stdout
        assert "replayed 0" in platform.command("rejected", "replay", kept.origin, "--stream", "interactions").stdout
        assert [one["message_id"] for one in interactions.wait_for(run, 1)] == [f"{run}-0"]


@dataclass
class Screen:
    """What a program has written to its terminal."""

    text: str = ""


@contextmanager
def terminal(platform: Platform, *arguments: str) -> Iterator[Screen]:
    """Run a command of the platform in a terminal; it must succeed."""
    master, slave = pty.openpty()
    screen = Screen()
    command = [sys.executable, "-m", "member_analyzer.cli", *arguments]
    environment = {**os.environ, "COLUMNS": "200", "NO_COLOR": "1"}

    def read() -> None:
        # The terminal's end is an error of the device.
        with suppress(OSError):
            while data := os.read(master, 4096):
                screen.text += data.decode(errors="replace")

    with subprocess.Popen(command, stdin=slave, stdout=slave, stderr=slave, env=environment) as process:
        os.close(slave)
        reader = threading.Thread(target=read, daemon=True)
        reader.start()
        try:
            yield screen
            assert process.wait(DEADLINE) == 0, screen.text
        finally:
            process.kill()
    reader.join(DEADLINE)
    os.close(master)


def test_identify_with_enough_traits_creates_the_member(
    platform: Platform, interactions: Interactions, key: str
) -> None:
    def identify(member: str, **traits: Any) -> dict[str, Any]:
        return {"type": "identify", "userId": member, "traits": traits}

    address = {"street": "Storgata 12", "city": "Tromsø", "country": "Norway", "postalCode": "9008"}
    known, unknown = uuid4().hex, uuid4().hex
    traits = {"birthday": "1988-11-30", "gender": "female", "address": address}
    items = [identify(known, **traits), identify(unknown, plan="free")]
    try:
        assert interactions.post(key, {"batch": items}).json() == {"success": True, "ok": True}
        rows = platform.landing.execute(
            "SELECT id, record->>'city' FROM landing.users WHERE id = ANY(%s)", ([known, unknown],)
        ).fetchall()
        assert rows == [(known, "Tromsø")]
        assert interactions.post(key, {"batch": items}).status_code == 200
    finally:
        platform.command("erase", known)


class TestOutages:
    def test_while_kafka_is_unavailable_nothing_is_accepted(
        self, platform: Platform, interactions: Interactions, key: str, run: str
    ) -> None:
        assert interactions.post(key, {"batch": [track(run, 0)]}).status_code == 200
        with stopped(platform, "kafka"):
            response = interactions.post(key, {"batch": [track(run, number) for number in range(1, 50)]})
            assert response.status_code == 503
            assert int(response.headers["Retry-After"]) >= 1

        def is_accepted() -> bool:
            return interactions.post(key, {"batch": [track(run, 50)]}).status_code == 200

        assert holds(is_accepted), "the collector did not recover"
        assert {one["message_id"] for one in interactions.read(run)} == {f"{run}-0", f"{run}-50"}

    def test_interactions_are_accepted_without_postgresql_and_the_registry(
        self, platform: Platform, interactions: Interactions, key: str, run: str
    ) -> None:
        assert interactions.post(key, {"batch": [track(run, 0)]}).status_code == 200
        with stopped(platform, "postgres"), stopped(platform, "registry"):
            for number in range(1, 10):
                assert interactions.post(key, {"batch": [track(run, number)]}).status_code == 200
        assert holds(lambda: answers(f"{interactions.url}/readyz")), "PostgreSQL did not come back"
        assert len(interactions.wait_for(run, 10)) == 10

    def test_what_was_accepted_before_the_collector_was_killed_is_there_once(
        self, interactions: Interactions, key: str, run: str
    ) -> None:
        accepted: set[str] = set()
        is_over = threading.Event()

        def send(first: int) -> None:
            number = first
            while not is_over.is_set():
                items = [track(run, number + one) for one in range(10)]
                try:
                    response = interactions.post(key, {"batch": items})
                except requests.RequestException:
                    continue
                if response.status_code == 200:
                    accepted.update(item["messageId"] for item in items)
                    number += 10

        senders = [threading.Thread(target=send, args=(first,)) for first in (0, 1_000_000)]
        for sender in senders:
            sender.start()
        try:
            for killed_at in (50, 150):
                assert holds(lambda most=killed_at: len(accepted) >= most), "no interaction was accepted"
                interactions.kill_collector()
            before = len(accepted)
            assert holds(lambda: len(accepted) >= before + 50), "no interaction was accepted after the restart"
        finally:
            is_over.set()
            for sender in senders:
                sender.join(DEADLINE)
        assert accepted <= {one["message_id"] for one in interactions.wait_for(run, len(accepted))}


def test_the_records_of_an_aborted_transaction_cannot_be_read(platform: Platform, interactions: Interactions) -> None:
    writer = TransactionalWriter(KafkaSettings.of(platform.environment("collector")), "member-analyzer-collector-test")
    writer.start()
    before = len(interactions.read_messages())
    good = TopicRecord(INTERACTIONS.topic.name, OutgoingRecord(b"visitor", b"\1good"))
    bad = TopicRecord("users_rejected", OutgoingRecord(b"visitor", b"\1not allowed"))
    with pytest.raises(KafkaUnavailableError):
        writer.write([good, bad]).result(DEADLINE)
    assert len(interactions.read_messages()) == before
    writer.stop(DEADLINE)


JSON_VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=12), inner, max_size=4),
    max_leaves=12,
)
NAMES = st.sampled_from(
    [
        *("type", "event", "name", "userId", "anonymousId", "messageId", "properties", "traits", "context"),
        *("timestamp", "sentAt", "originalTimestamp", "previousId", "groupId", "batch", "writeKey"),
    ]
)
KINDS = st.sampled_from(["track", "page", "screen", "identify", "group", "alias"])
ITEMS = st.dictionaries(NAMES, JSON_VALUES, max_size=8) | st.fixed_dictionaries(
    {"type": KINDS, "userId": JSON_VALUES, "messageId": JSON_VALUES, "properties": JSON_VALUES}
)


@settings(max_examples=300, deadline=None, suppress_health_check=list(HealthCheck))
@given(body=JSON_VALUES | ITEMS | st.fixed_dictionaries({"batch": st.lists(ITEMS | JSON_VALUES, max_size=6)}))
def test_generated_requests_never_cause_a_server_error(interactions: Interactions, key: str, body: Any) -> None:
    response = interactions.post(key, body)
    assert response.status_code in (200, 400, 413), (body, response.text)
