"""The console's pages in a browser, on a running platform."""

import re
import uuid
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
import requests
from playwright.sync_api import Browser, expect

from browser import (
    NARROW,
    WIDE,
    Console,
    Login,
    Theme,
    axe_violations,
    go,
    go_to,
    overflow,
    take_screenshot,
    total,
)
from member_analyzer.analysis.counts import Distribution
from member_analyzer.landing.api_keys import Right, create_key
from member_analyzer.local.passwords import load_passwords
from member_analyzer.local.platform import list_status
from member_analyzer.local.supervision import start_process, stop_process
from patience import holds
from running_platform import Platform
from topic_records import Records

User = dict[str, Any]

SCRIPT = "<img src=x onerror='window.hacked=1'><script>window.hacked=1</script>"
ROUTES = [
    "members",
    "members/2001-01-01",
    "pipeline",
    "pipeline/airflow",
    "pipeline/cassandra",
    "messages",
    "registry",
    "rejected",
    "graphs",
]


@pytest.fixture
def console(platform: Platform, browser: Browser) -> Iterator[Console]:
    passwords = load_passwords(platform.home.passwords)
    opened = Console(
        browser,
        f"http://127.0.0.1:{platform.home.settings.console_port}",
        {"viewer": passwords.console_viewer, "operator": passwords.console_operator},
    )
    yield opened
    opened.close()
    assert opened.errors == []


@pytest.fixture(scope="module")
def post(platform: Platform) -> Callable[[list[User]], None]:
    """Post users to the collector; the platform then expects them."""
    key = create_key(platform.landing, f"pages-{uuid.uuid4().hex[:8]}", [Right.WRITE])
    address = f"http://127.0.0.1:{platform.home.settings.collector_port}/v1/users"

    def send(users: list[User]) -> None:
        response = requests.post(address, json=users, headers={"Authorization": f"Bearer {key}"}, timeout=60)
        assert response.status_code == 202, response.text
        platform.expect(users)

    return send


@pytest.fixture(scope="module", autouse=True)
def some_members(platform: Platform, browser: Browser) -> None:
    """Data for every page, whichever test runs first."""
    platform.take("pages", 2000)
    platform.wait_until_counted()
    platform.run("generate_graphs")


def test_a_wrong_password_is_rejected_and_the_right_one_opens_the_page(console: Console) -> None:
    page = console.open()
    console.submit(page, "viewer", "not-the-password")
    expect(page.get_by_role("alert")).not_to_be_empty()
    assert page.url.endswith("/login")
    console.submit(page, "viewer", console.passwords["viewer"])
    expect(page.get_by_role("heading", name="Members", level=1)).to_be_visible()
    expect(page.locator("#login")).to_have_text("viewer")
    go(page, "Pipeline")
    page.get_by_role("button", name="Log out").click()
    expect(page.get_by_role("button", name="Log in")).to_be_visible()
    page.goto("/")
    expect(page.get_by_role("button", name="Log in")).to_be_visible()


def test_counts_update_live_when_members_are_posted(
    platform: Platform, console: Console, post: Callable[[list[User]], None]
) -> None:
    page = console.log_in("viewer")
    expect(page.locator("#total")).to_be_visible()
    page.evaluate("window.isNotReloaded = true")
    before = total(page)
    post(platform.source.users(seed="watched", results=300, page=1))
    assert holds(lambda: page.locator("#total").inner_text() != f"{before:,}"), "the total does not change"
    expect(page.locator("#total")).to_have_text(f"{len(platform.taken):,}")
    assert page.evaluate("window.isNotReloaded") is True
    counted = sum(platform.actual()["country"].values())
    countries = page.get_by_role("region", name="Members by country")
    shown = countries.locator("tbody td:nth-child(2)").all_inner_texts()
    assert sum(int(number.replace(",", "")) for number in shown) == counted == len(platform.taken)
    for chart in ("age", "gender", "country", "city"):
        assert page.locator(f".chart-{chart}").get_attribute("aria-label"), f"the chart {chart} has no description"
    page.locator(".chart-country canvas").wait_for()
    take_screenshot(page, "members")


def test_a_distribution_can_be_downloaded_as_png_and_csv(platform: Platform, console: Console) -> None:
    page = console.log_in("viewer")
    with page.expect_download() as picture:
        page.get_by_role("button", name="Country as PNG").click()
    assert picture.value.path().read_bytes().startswith(b"\x89PNG")
    assert picture.value.suggested_filename == f"country-{platform.today}.png"
    with page.expect_download() as text:
        page.get_by_role("link", name="Gender as CSV").click()
    assert "female" in text.value.path().read_text()


def test_a_past_day_is_shown(platform: Platform, console: Console) -> None:
    day = datetime.now(UTC).date() - timedelta(days=3)
    counted = {
        "age": {("16-30",): 30, ("61+",): 12},
        "gender": {("female",): 22, ("male",): 20},
        "country": {("Norway",): 40, ("Atlantis",): 2},
        "city": {("Norway", "Oslo"): 40, ("Atlantis", "Poseidonis"): 2},
    }
    for table, buckets in counted.items():
        platform.tables.write_distribution(table, day, Distribution(buckets, 42))
    page = console.log_in("viewer")
    page.get_by_label("Day", exact=True).fill(day.isoformat())
    expect(page.locator("#total")).to_have_text("42")
    expect(page.get_by_text("as counted on")).to_be_visible()
    atlantis = page.get_by_role("row", name="Atlantis")
    expect(atlantis.first).to_contain_text("not on the map")
    expect(atlantis.first).to_contain_text("4.8 %")
    expect(page.get_by_text("Not on the map: 2 members from 1 country.")).to_be_visible()
    take_screenshot(page, "past-day")
    page.get_by_role("link", name="Back to live").click()
    expect(page.locator("#total")).to_have_text(f"{len(platform.taken):,}")
    page.get_by_role("button", name="Previous day").click()
    expect(page.locator("#total")).to_have_text("42")


def test_the_selected_theme_is_remembered(console: Console) -> None:
    page = console.log_in("viewer", theme="light")
    page.get_by_role("button", name="Dark theme").click()
    expect(page.locator("html")).to_have_attribute("data-theme", "dark")
    page.reload()
    expect(page.locator("html")).to_have_attribute("data-theme", "dark")
    expect(page.locator(".chart-country canvas")).to_be_visible()
    take_screenshot(page, "members-dark")


def test_a_day_without_members_has_an_empty_state(console: Console) -> None:
    page = console.log_in("viewer")
    go_to(page, "members/2001-01-01")
    expect(page.get_by_role("heading", name="No members on")).to_be_visible()


@pytest.mark.parametrize(("login", "is_masked"), [("viewer", True), ("operator", False)])
def test_messages_are_decoded_and_masked_for_a_viewer(
    platform: Platform, console: Console, post: Callable[[list[User]], None], login: Login, is_masked: bool
) -> None:
    (user,) = platform.source.users(seed=f"read-by-{login}", results=1, page=1)
    user["name"]["first"] = "Wilhelmina-Ottilie"
    post([user])
    platform.wait_until_counted()
    page = console.log_in(login)
    go(page, "Messages")
    table = page.get_by_role("region", name="Messages of users")
    if is_masked:
        expect(page.get_by_text("Personal fields are masked")).to_be_visible()
    newest = table.get_by_role("button", expanded=False).first
    newest.click()
    fields = table.locator(".expanded-row").first
    expect(fields).to_contain_text(user["location"]["city"])
    expect(fields).to_contain_text("•••" if is_masked else "Wilhelmina-Ottilie")
    if is_masked:
        expect(fields).not_to_contain_text("Wilhelmina-Ottilie")
    else:
        take_screenshot(page, "messages")


def test_messages_can_be_selected_by_offset_and_paged_through(platform: Platform, console: Console) -> None:
    page = console.log_in("viewer")
    go(page, "Messages")
    page.get_by_role("combobox", name="From").select_option("Offset")
    page.get_by_role("combobox", name="Partition").select_option("0")
    page.get_by_role("spinbutton", name="Offset").fill("20")
    page.get_by_role("button", name="Show").click()
    table = page.get_by_role("region", name="Messages of users")
    expect(table.locator("tbody th").first).to_have_text("0:20")
    page.get_by_role("button", name="Newer").click()
    expect(table.locator("tbody th").first).to_have_text("0:40")
    page.get_by_role("button", name="Older").click()
    expect(table.locator("tbody th").first).to_have_text("0:20")
    page.get_by_role("button", name="Older").click()
    expect(table.locator("tbody th").first).to_have_text("0:0")
    expect(page.get_by_role("button", name="Older")).to_be_disabled()


def test_a_rejected_record_is_shown_and_replayed_after_confirmation(platform: Platform, console: Console) -> None:
    records = Records(platform)
    key = f"pages-{uuid.uuid4().hex[:8]}"
    (member,) = records.make_members(key, 1)
    records.send(records.encode(member), records.encode({**member, "id": key, "gender": SCRIPT}), key=key)
    (rejected,) = records.wait_for_rejected(lambda record: record.key == key.encode(), 1)
    page = console.log_in("operator")
    go(page, "Rejected")
    page.get_by_role("link", name=rejected.origin, exact=True).click()
    expect(page.get_by_role("heading", name=rejected.origin)).to_be_focused()
    shown = page.get_by_role("region", name=rejected.origin)
    expect(shown).to_contain_text("The field gender must be one of: female, male, other, undisclosed.")
    expect(shown).to_contain_text(SCRIPT)
    expect(shown).to_contain_text(member["last_name"])
    take_screenshot(page, "rejected")
    replay = shown.get_by_role("button", name="Replay this record")
    replay.focus()
    page.keyboard.press("Enter")
    dialog = page.get_by_role("dialog")
    expect(dialog).to_be_visible()
    page.keyboard.press("Escape")
    expect(dialog).to_be_hidden()
    expect(replay).to_be_focused()
    page.keyboard.press("Enter")
    expect(dialog).to_contain_text(rejected.origin)
    assert axe_violations(page) == ""
    page.keyboard.press("Tab")
    expect(dialog.get_by_role("button", name="Replay")).to_be_focused()
    page.keyboard.press("Enter")
    expect(page.get_by_text("1 record replayed")).to_be_visible()
    # It still breaks the rule, so it is rejected again, and the first record is marked as replayed.
    expect(shown.locator(".facts")).to_contain_text("replayed")
    records.wait_for_rejected(lambda record: record.replayed_from == rejected.origin, 1)


def test_records_of_a_reason_or_all_records_are_replayed_after_confirmation(
    platform: Platform, console: Console
) -> None:
    records = Records(platform)
    key = f"pages-{uuid.uuid4().hex[:8]}"
    records.send(b"\1one", b"\1two", key=key)
    first = {record.origin for record in records.wait_for_rejected(lambda record: record.key == key.encode(), 2)}
    page = console.log_in("operator")
    go(page, "Rejected")
    dialog = page.get_by_role("dialog")
    page.get_by_role("button", name="Replay wrong_magic_byte", exact=True).click()
    expect(dialog).to_contain_text("rejected for wrong_magic_byte")
    dialog.get_by_role("button", name="Replay").click()
    expect(page.get_by_text(re.compile(r"\d records? replayed"))).to_be_visible()
    again = {record.origin for record in records.wait_for_rejected(lambda record: record.replayed_from in first, 2)}
    page.get_by_role("button", name=re.compile("^Replay all")).click()
    expect(dialog).to_contain_text("Replay all")
    dialog.get_by_role("button", name="Replay").click()
    records.wait_for_rejected(lambda record: record.replayed_from in again, 2)


def test_a_viewer_cannot_replay(console: Console) -> None:
    page = console.log_in("viewer")
    go(page, "Rejected")
    expect(page.get_by_text("This login is read-only")).to_be_visible()
    expect(page.get_by_role("button", name=re.compile("Replay"))).to_have_count(0)


def test_markup_in_names_is_escaped(platform: Platform, console: Console, post: Callable[[list[User]], None]) -> None:
    users = platform.source.users(seed="hostile", results=60, page=1)
    for user in users:
        user["location"] |= {"country": f"{SCRIPT} Land", "city": f"{SCRIPT} Town"}
        user["name"] |= {"first": SCRIPT, "last": "{{7*7}}${7*7}"}
    post(users)
    page = console.log_in("operator")
    expect(page.get_by_role("region", name="Members by country")).to_contain_text(f"{SCRIPT} Land")
    page.locator(".card-city summary").click()
    expect(page.get_by_role("region", name="Members by city")).to_contain_text(f"{SCRIPT} Town")
    chart = page.locator(".chart-city")
    chart.scroll_into_view_if_needed()
    box = chart.bounding_box()
    assert box is not None
    # Its bar is the first and the longest.
    page.mouse.move(box["x"] + box["width"] / 2, box["y"] + 16)
    expect(chart.get_by_text(f"{SCRIPT} Town")).to_be_visible()
    go(page, "Messages")
    table = page.get_by_role("region", name="Messages of users")
    table.get_by_role("button", expanded=False).first.click()
    expect(table.locator(".expanded-row")).to_contain_text(SCRIPT)
    assert page.evaluate("window.hacked") is None
    assert page.locator("main img").count() == 0


def test_the_pipeline_shows_details_of_every_component(console: Console) -> None:
    page = console.log_in("viewer")
    go(page, "Pipeline")
    expect(page.get_by_role("region", name=re.compile("Brokers"))).to_contain_text("controller")
    topics = page.get_by_role("region", name="Topics", exact=True)
    expander = topics.get_by_role("button", name="users, partitions", exact=True)
    expander.click()
    expect(page.get_by_role("region", name="Partitions of users", exact=True).locator("tbody tr")).not_to_have_count(0)
    expect(expander).to_be_focused()
    consumers = page.get_by_role("region", name="Consumer groups and Spark queries")
    expect(consumers.get_by_role("row", name="stream")).to_contain_text("Spark query")
    take_screenshot(page, "pipeline")
    for component, text in {
        "Airflow": "user_create",
        "ZooKeeper": "standalone",
        "Cassandra": "datacenter1",
        "Spark": "stream",
        "Schema Registry": "users-value",
    }.items():
        page.locator(".components").get_by_role("link", name=re.compile(f"^{component}")).click()
        expect(page.get_by_role("region", name=component, exact=True)).to_contain_text(text)
    page.get_by_role("link", name="users-value", exact=True).click()
    expect(page.get_by_role("region", name="Schema", exact=True)).to_contain_text("date_of_birth")


def test_graphs_have_alternative_texts(console: Console) -> None:
    page = console.log_in("viewer")
    go(page, "Graphs")
    pictures = page.get_by_role("img", name=re.compile("^Bar chart of the members by (age|gender|country|city) on "))
    expect(pictures).to_have_count(4)
    for picture in pictures.all():
        picture.scroll_into_view_if_needed()
        assert holds(lambda image=picture: image.evaluate("image => image.naturalWidth") > 1000)


def test_pages_can_be_reached_with_the_keyboard(console: Console) -> None:
    page = console.log_in("viewer")
    page.goto("/")
    expect(page.locator("#total")).to_be_visible()
    page.keyboard.press("Tab")
    skip = page.get_by_role("link", name="Skip to content")
    expect(skip).to_be_focused()
    page.keyboard.press("Enter")
    expect(page.locator("main")).to_be_focused()
    page.reload()
    expect(page.locator("#total")).to_be_visible()
    pipeline = page.get_by_role("navigation", name="Pages").get_by_role("link", name="Pipeline")
    for _ in range(12):
        page.keyboard.press("Tab")
        if pipeline.evaluate("link => link === document.activeElement"):
            break
    expect(pipeline).to_be_focused()
    page.keyboard.press("Enter")
    expect(page.get_by_role("heading", name="Pipeline", level=1)).to_be_focused()
    page.keyboard.press("Tab")
    expect(page.locator(".components").get_by_role("link").first).to_be_focused()


@pytest.mark.parametrize("theme", ["light", "dark"])
def test_pages_have_no_accessibility_violations(console: Console, theme: Theme) -> None:
    page = console.open(theme)
    assert axe_violations(page) == ""
    page = console.log_in("operator", theme)
    found = {}
    for route in ROUTES:
        go_to(page, route)
        for expander in page.locator("main .expander[aria-expanded=false]").all()[:2]:
            expander.click()
        found[route] = axe_violations(page)
    assert {route: report for route, report in found.items() if report} == {}


@pytest.mark.parametrize("width", [NARROW, WIDE])
def test_no_page_is_wider_than_the_window(console: Console, width: int) -> None:
    page = console.log_in("operator", width=width)
    found = {}
    for route in ROUTES:
        go_to(page, route)
        found[route] = overflow(page)
    assert {route: pixels for route, pixels in found.items() if pixels > 0} == {}


def test_an_outage_of_cassandra_is_shown_with_its_impact(platform: Platform, console: Console) -> None:
    page = console.log_in("viewer")
    expect(page.locator("#total")).to_be_visible()
    before = total(page)
    stop_process(platform.home, "cassandra")
    try:
        expect(page.locator("#overview")).to_contain_text("Down: Cassandra")
        expect(page.get_by_text("Stale data")).to_be_visible()
        assert total(page) == before
        go(page, "Pipeline")
        page.locator(".components").get_by_role("link", name=re.compile("^Cassandra")).click()
        detail = page.get_by_role("region", name="Cassandra", exact=True)
        expect(detail.locator("header")).to_contain_text(re.compile(r"Down since \d\d:\d\d:\d\d"))
        expect(detail.locator(".notice strong")).not_to_be_empty()
        expect(detail).to_contain_text("datacenter1")
        assert axe_violations(page) == ""
        take_screenshot(page, "cassandra-down")
        for name in ("Messages", "Rejected", "Graphs", "Members"):
            go(page, name)
        expect(page.locator("#total")).to_have_text(f"{before:,}")
    finally:
        start_process(platform.home, "cassandra")
        assert holds(lambda: is_ready(platform, "cassandra")), "Cassandra did not restart"
    expect(page.locator("#overview")).not_to_contain_text("Cassandra")
    expect(page.get_by_text("Stale data")).to_have_count(0)


def test_a_lost_connection_is_shown_and_restored_without_a_reload(platform: Platform, console: Console) -> None:
    page = console.log_in("viewer")
    expect(page.locator("#total")).to_be_visible()
    before = total(page)
    page.evaluate("window.isNotReloaded = true")
    stop_process(platform.home, "console")
    try:
        expect(page.get_by_role("alert")).to_contain_text("Connection to the console lost at")
        assert total(page) == before
    finally:
        start_process(platform.home, "console")
        assert holds(lambda: is_ready(platform, "console")), "the console did not restart"
    expect(page.get_by_text("Connection to the console lost")).to_have_count(0)
    expect(page.locator("#total")).to_have_text(f"{len(platform.taken):,}")
    assert page.evaluate("window.isNotReloaded") is True


def test_an_expired_session_leads_to_the_login_and_back(console: Console) -> None:
    page = console.log_in("viewer")
    go(page, "Registry")
    page.context.clear_cookies()
    page.get_by_role("link", name="Messages").click()
    expect(page.get_by_role("button", name="Log in")).to_be_visible()
    console.submit(page, "viewer", console.passwords["viewer"])
    expect(page.get_by_role("heading", name="Messages", level=1)).to_be_visible()


def is_ready(platform: Platform, server: str) -> bool:
    return next(status.ready for status in list_status(platform.home) if status.name == server)
