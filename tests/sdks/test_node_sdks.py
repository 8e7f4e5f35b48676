"""The unmodified SDKs for Node.js, and a collector that is killed while they send."""

import uuid
from collections.abc import Callable
from pathlib import Path

import pytest

from node_clients import NODE_CLIENTS, NodeClient, install_sdks, start_client
from patience import answers, holds
from sent_events import ReadInteractions, check_arrived_once, wait_for_arrival

# Several batches of every SDK.
EVENTS = 60

every_client = pytest.mark.parametrize("client", NODE_CLIENTS, ids=lambda client: client.name)


@pytest.fixture(scope="module")
def node_modules() -> Path:
    return install_sdks()


@pytest.fixture
def run() -> str:
    """The name of a run, which no other run has in any of its events."""
    return f"run-{uuid.uuid4().hex[:12]}"


@every_client
def test_every_event_of_an_sdk_arrives_once(
    collector_url: str,
    write_key: str,
    read_interactions: ReadInteractions,
    node_modules: Path,
    run: str,
    client: NodeClient,
) -> None:
    with start_client(client, node_modules, collector_url, write_key, run, EVENTS) as running:
        sent = running.finish()
    assert len(sent) >= EVENTS
    arrived = wait_for_arrival(read_interactions, run, sent)
    check_arrived_once(arrived, sent)
    assert len(arrived) == len(sent)


@every_client
def test_every_event_of_an_sdk_arrives_once_although_the_collector_is_killed_and_restarted(
    collector_url: str,
    write_key: str,
    read_interactions: ReadInteractions,
    kill_collector: Callable[[], None],
    node_modules: Path,
    run: str,
    client: NodeClient,
) -> None:
    with start_client(client, node_modules, collector_url, write_key, run, EVENTS) as running:
        assert holds(lambda: bool(read_interactions(run))), "no event arrived"
        kill_collector()
        assert holds(lambda: answers(f"{collector_url}/healthz")), "the collector did not restart"
        sent = running.finish()
    check_arrived_once(wait_for_arrival(read_interactions, run, sent), sent)
