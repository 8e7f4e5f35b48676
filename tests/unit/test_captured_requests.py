"""Requests that SDKs have sent become interactions."""

import json
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import fastavro
import pytest

from member_analyzer.records.rules import broken_rule
from member_analyzer.records.wire import ValueReader, ValueWriter
from member_analyzer.streams.interactions.batch import read_items
from member_analyzer.streams.interactions.definition import INTERACTIONS
from member_analyzer.streams.interactions.record import INTERACTION, TYPES
from member_analyzer.streams.interactions.tracking import read_interaction
from member_analyzer.streams.interactions.user_agents import classify_user_agent

FOLDER = Path(__file__).parents[1] / "sdks" / "captured_requests"
WRITER = ValueWriter(7, INTERACTIONS.schema)
READER = ValueReader({7: INTERACTIONS.schema}, INTERACTIONS.schema)


def captured() -> dict[str, dict[str, Any]]:
    """The captured requests with items, by name."""
    found = {}
    for path in sorted(FOLDER.glob("*.json")):
        content = json.loads(path.read_text(encoding="utf-8"))
        for number, request in enumerate(content.get("requests", [content])):
            if request["method"] == "POST" and request["path"].partition("?")[0] != "/v1/m":
                found[f"{path.stem}-{number}"] = request
    return found


REQUESTS = captured()


def read(request: dict[str, Any], sent_at: str | None = None) -> list[dict[str, Any]]:
    """The interactions of a request, with another time of sending if it is given."""
    kind = request["path"].partition("?")[0].strip("/").rpartition("/")[2]
    body = request["body"] if sent_at is None else request["body"] | {"sentAt": sent_at}
    return [
        read_interaction(
            item,
            source="shop",
            zone=UTC,
            received_at=datetime.now(UTC),
            classify=classify_user_agent,
            user_agent_header=request["headers"].get("User-Agent"),
        )
        for item in read_items(kind, body)
    ]


@pytest.mark.parametrize("name", REQUESTS)
def test_every_item_of_an_sdk_is_a_valid_interaction(name: str) -> None:
    records = read(REQUESTS[name])
    assert records, "the request has no items"
    assert {record["type"] for record in records} <= set(TYPES)
    assert [broken_rule(INTERACTION, record) for record in records] == [None] * len(records)
    assert len({record["message_id"] for record in records}) == len(records)
    for record in records:
        assert READER.read(WRITER.write(record)) == {name: record.get(name) for name in INTERACTION.names}


@pytest.mark.parametrize("name", REQUESTS)
def test_a_request_that_is_sent_again_has_the_same_ids_and_contents(name: str) -> None:
    first, again = (read(REQUESTS[name], sent_at) for sent_at in (None, "2026-11-21T09:15:07.000Z"))
    assert [(one["message_id"], one["content"]) for one in first] == [
        (one["message_id"], one["content"]) for one in again
    ]


def test_the_schema_of_the_topic_is_an_avro_record() -> None:
    schema = fastavro.parse_schema(json.loads(INTERACTIONS.schema))
    assert isinstance(schema, dict)
    assert [field["name"] for field in schema["fields"]] == list(INTERACTION.names)
