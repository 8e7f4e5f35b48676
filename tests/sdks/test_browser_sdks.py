"""The unmodified SDKs for browsers, in Chromium, on a page of another origin than the collector's."""

import uuid
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Browser

from browser_pages import (
    PAGE_CLIENTS,
    RUDDER_BEACON,
    PageClient,
    Visitor,
    new_visitor,
    send,
    send_and_close,
    serve_pages,
)
from node_clients import install_sdks
from patience import answers, holds
from sent_events import ReadInteractions, check_arrived_once, wait_for_arrival

BrowserKey = Callable[[str], str]

every_client = pytest.mark.parametrize("client", PAGE_CLIENTS, ids=lambda client: client.name)


@pytest.fixture(scope="module")
def node_modules() -> Path:
    return install_sdks()


@pytest.fixture(scope="module")
def shop(node_modules: Path) -> Iterator[str]:
    """The origin of the application's pages."""
    with serve_pages(node_modules) as origin:
        yield origin


@pytest.fixture(scope="module")
def another_site(node_modules: Path) -> Iterator[str]:
    with serve_pages(node_modules) as origin:
        yield origin


@pytest.fixture
def run() -> str:
    """The name of a run, which no other run has in any of its events."""
    return f"run-{uuid.uuid4().hex[:12]}"


@pytest.fixture
def visitor(browser: Browser, collector_url: str) -> Iterator[Visitor]:
    with new_visitor(browser, collector_url) as opened:
        yield opened
        print("\n".join(opened.errors))


@every_client
def test_every_event_of_a_page_arrives_once(
    browser_key: BrowserKey,
    read_interactions: ReadInteractions,
    shop: str,
    visitor: Visitor,
    run: str,
    client: PageClient,
) -> None:
    page = visitor.open(client, shop, browser_key(shop))
    sent = []
    for index, kind in enumerate(client.kinds):
        sent.append(send(page, run, kind, f"{run}-{index}"))
        # An SDK adds the member whom it knows when it sends, which is later than the call.
        arrived = wait_for_arrival(read_interactions, run, sent)
    check_arrived_once(arrived, sent)
    assert len(arrived) == len(sent)
    assert {interaction["url"] for interaction in arrived if interaction["type"] == "page"} == {page.url}
    assert all(interaction["anonymous_id"] for interaction in arrived)


@every_client
def test_every_event_of_a_page_arrives_once_although_the_collector_is_killed_and_restarted(
    collector_url: str,
    browser_key: BrowserKey,
    read_interactions: ReadInteractions,
    kill_collector: Callable[[], None],
    shop: str,
    visitor: Visitor,
    run: str,
    client: PageClient,
) -> None:
    page = visitor.open(client, shop, browser_key(shop))
    sent = [send(page, run, "track", f"{run}-before")]
    wait_for_arrival(read_interactions, run, sent)
    kill_collector()
    sent += [send(page, run, "track", f"{run}-{index}") for index in range(10)]
    assert holds(lambda: answers(f"{collector_url}/healthz")), "the collector did not restart"
    sent.append(send(page, run, "track", f"{run}-after"))
    check_arrived_once(wait_for_arrival(read_interactions, run, sent), sent)


@pytest.mark.parametrize("client", [*PAGE_CLIENTS, RUDDER_BEACON], ids=lambda client: client.name)
def test_an_event_sent_while_the_page_closes_arrives_once(
    browser_key: BrowserKey,
    read_interactions: ReadInteractions,
    shop: str,
    visitor: Visitor,
    run: str,
    client: PageClient,
) -> None:
    key = browser_key(shop)
    sent = [send_and_close(visitor.open_ready(client, shop, key), client, run, f"{run}-closing")]
    # Without a response the SDK has kept the event, and sends it again from the next page, under its message id.
    visitor.open_ready(client, shop, key)
    check_arrived_once(wait_for_arrival(read_interactions, run, sent), sent)


@every_client
def test_events_of_an_offline_page_arrive_once_it_is_online(
    browser_key: BrowserKey,
    read_interactions: ReadInteractions,
    shop: str,
    visitor: Visitor,
    run: str,
    client: PageClient,
) -> None:
    page = visitor.open(client, shop, browser_key(shop))
    sent = [send(page, run, "track", f"{run}-before")]
    wait_for_arrival(read_interactions, run, sent)
    visitor.context.set_offline(True)
    offline = [send(page, run, "track", f"{run}-{index}") for index in range(5)]
    check_arrived_once(read_interactions(run), sent)
    visitor.context.set_offline(False)
    sent += offline
    check_arrived_once(wait_for_arrival(read_interactions, run, sent), sent)


@every_client
def test_two_tabs_are_one_visitor(
    browser_key: BrowserKey,
    read_interactions: ReadInteractions,
    shop: str,
    visitor: Visitor,
    run: str,
    client: PageClient,
) -> None:
    key = browser_key(shop)
    tab = visitor.open(client, shop, key)
    sent = [send(tab, run, "page", f"{run}-first-tab")]
    # The first tab has written its cookie.
    wait_for_arrival(read_interactions, run, sent)
    sent.append(send(visitor.open(client, shop, key), run, "page", f"{run}-second-tab"))
    sent.append(send(tab, run, "track", f"{run}-first-tab-again"))
    arrived = wait_for_arrival(read_interactions, run, sent)
    check_arrived_once(arrived, sent)
    (anonymous_id,) = {interaction["anonymous_id"] for interaction in arrived}
    assert anonymous_id


@every_client
def test_a_private_window_is_another_visitor(
    browser: Browser,
    collector_url: str,
    browser_key: BrowserKey,
    read_interactions: ReadInteractions,
    shop: str,
    visitor: Visitor,
    run: str,
    client: PageClient,
) -> None:
    key = browser_key(shop)
    sent = [send(visitor.open(client, shop, key), run, "page", f"{run}-window")]
    with new_visitor(browser, collector_url) as private:
        sent.append(send(private.open(client, shop, key), run, "page", f"{run}-private-window"))
        arrived = wait_for_arrival(read_interactions, run, sent)
    check_arrived_once(arrived, sent)
    anonymous_ids = {interaction["anonymous_id"] for interaction in arrived}
    assert len(anonymous_ids - {None, ""}) == 2


@every_client
def test_a_page_of_another_origin_than_the_sources_is_refused(
    browser_key: BrowserKey,
    read_interactions: ReadInteractions,
    shop: str,
    another_site: str,
    visitor: Visitor,
    run: str,
    client: PageClient,
) -> None:
    key = browser_key(shop)
    page = visitor.open(client, another_site, key)
    send(page, run, "track", f"{run}-refused")
    assert holds(lambda: visitor.was_refused(page)), "no request was refused"
    sent = [send(visitor.open(client, shop, key), run, "track", f"{run}-accepted")]
    check_arrived_once(wait_for_arrival(read_interactions, run, sent), sent)


def test_a_beacon_of_another_origin_than_the_sources_is_refused(
    browser_key: BrowserKey,
    read_interactions: ReadInteractions,
    shop: str,
    another_site: str,
    visitor: Visitor,
    run: str,
) -> None:
    key = browser_key(shop)
    # Nobody sees the response to a beacon, so that the second one marks the time at which the first was handled.
    page = visitor.open(RUDDER_BEACON, another_site, key)
    # The collector may refuse its settings too.
    page.wait_for_load_state("networkidle")
    send_and_close(page, RUDDER_BEACON, run, f"{run}-refused")
    sent = [send_and_close(visitor.open_ready(RUDDER_BEACON, shop, key), RUDDER_BEACON, run, f"{run}-accepted")]
    check_arrived_once(wait_for_arrival(read_interactions, run, sent), sent)
