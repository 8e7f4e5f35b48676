"""Unmodified SDKs send events to the running collector, which must all be in the topic `interactions`."""

import json
import secrets
from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest

from clients import CLIENTS, Event, Sent, run_client

# The clients send three parts, each of more than one batch.
COUNT = 1500
# While batches of the second and of the third part are on their way.
KILLS = (800, 1300)
TYPES = {"identify", "track", "page", "screen", "group", "alias"}
IDS = ("message_id", "type", "name", "member_id", "anonymous_id", "previous_id", "group_id")
# A batch may wait for a collector that restarts, and some SDKs do not say when they sent it again.
MAX_CLOCK_ERROR = timedelta(minutes=10)

Record = dict[str, Any]


@pytest.fixture
def run() -> str:
    """The name of a run, with which the message ids of its events begin."""
    return f"run{secrets.token_hex(6)}"


def find_differences(sent: Sent, records: list[Record]) -> list[str]:
    """The fields in which records differ from the events that were sent."""
    return [difference for record in records for difference in compare(sent.events[record["message_id"]], record)]


def compare(event: Event, record: Record) -> list[str]:
    """The fields in which a record differs from its event."""
    different = [name for name in IDS if (record[name] or None) != getattr(event, name)]
    # The collector may add properties, such as the category of a page.
    if not event.properties.items() <= json.loads(record["properties"] or "{}").items():
        different.append("properties")
    if abs(record["occurred_at"] - event.occurred_at) > MAX_CLOCK_ERROR:
        different.append("occurred_at")
    return [f"{event.message_id}: {name} is {record[name]!r} instead of {getattr(event, name)!r}" for name in different]


@pytest.mark.parametrize("name", CLIENTS)
def test_every_event_of_an_sdk_arrives_once(name, collector_url, write_key, read_interactions, run):
    sent = run_client(name, collector_url, write_key, run, COUNT)
    assert len(sent.events) == COUNT
    assert {event.type for event in sent.events.values()} == TYPES
    assert not sent.failed

    records = read_interactions(run)
    assert sorted(record["message_id"] for record in records) == sorted(sent.events)
    assert find_differences(sent, records) == []


@pytest.mark.parametrize("name", CLIENTS)
def test_every_event_arrives_once_although_the_collector_is_killed_and_restarted(
    name, collector_url, write_key, read_interactions, kill_collector: Callable[[], None], run
):
    def kill(number: int) -> None:
        if number in KILLS:
            kill_collector()

    sent = run_client(name, collector_url, write_key, run, COUNT, kill)
    assert len(sent.events) == COUNT
    assert not sent.failed

    records = read_interactions(run)
    # A batch that was accepted but not answered is sent again. The stream counts it once, because it has the same
    # message ids and the same content.
    assert {record["message_id"] for record in records} == set(sent.events)
    assert find_differences(sent, records) == []
