"""Many tabs of the console in one browser, and the consoles of two platforms."""

import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest
from playwright.sync_api import Browser, BrowserContext, Page, expect

from browser import TIMEOUT_MS
from patience import answers, holds
from ports import free_ports

PASSWORD = "a-password"
# More than the six connections that a browser opens per host.
PAGES = 9
SERVERS = {
    **{"LANDING_PORT": "1", "LANDING_PASSWORD": "none", "KAFKA_BOOTSTRAP_SERVERS": "127.0.0.1:1"},
    **{"KAFKA_USERNAME": "none", "KAFKA_PASSWORD": "none", "CASSANDRA_PORT": "1", "CASSANDRA_USERNAME": "none"},
    **{"CASSANDRA_PASSWORD": "none", "AIRFLOW_API_URL": "http://127.0.0.1:1", "AIRFLOW_API_USERNAME": "none"},
    **{"AIRFLOW_API_PASSWORD": "none", "SCHEMA_REGISTRY_URL": "http://127.0.0.1:1"},
    **{"CONSOLE_SPARK_URL": "http://127.0.0.1:1", "CONSOLE_COLLECTOR_URL": "http://127.0.0.1:1"},
    **{"CONSOLE_VIEWER_PASSWORD": PASSWORD, "CONSOLE_OPERATOR_PASSWORD": PASSWORD},
}


@dataclass
class ConsoleProcess:
    """A console without the servers behind it."""

    port: int
    secret: str
    folder: Path
    _process: subprocess.Popen[bytes] | None = None

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def start(self) -> None:
        with (self.folder / f"{self.port}.log").open("ab") as log:
            self._process = subprocess.Popen(
                [sys.executable, "-m", "member_analyzer.console", "--port", str(self.port)],
                env={
                    "PATH": os.environ["PATH"],
                    "GRAPHS_DIRECTORY": str(self.folder),
                    "CONSOLE_SESSION_SECRET": self.secret,
                    **SERVERS,
                },
                stderr=log,
            )
        assert holds(lambda: answers(f"{self.url}/healthz")), "the console does not respond"

    def stop(self) -> None:
        if self._process is not None:
            self._process.terminate()
            self._process.wait(60)
            self._process = None


@contextmanager
def run_console(port: int, secret: str, folder: Path) -> Iterator[ConsoleProcess]:
    console = ConsoleProcess(port, secret, folder)
    try:
        console.start()
        yield console
    finally:
        console.stop()


@pytest.fixture(scope="module")
def consoles(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[ConsoleProcess, ConsoleProcess]]:
    folder = tmp_path_factory.mktemp("consoles")
    ports = free_ports(2)
    with ExitStack() as stack:
        yield (
            stack.enter_context(run_console(ports[0], "one secret", folder)),
            stack.enter_context(run_console(ports[1], "another secret", folder)),
        )


@pytest.fixture
def context(browser: Browser) -> Iterator[BrowserContext]:
    context = browser.new_context(locale="en-GB")
    context.set_default_timeout(TIMEOUT_MS)
    yield context
    context.close()


def log_in(context: BrowserContext, console: ConsoleProcess) -> Page:
    page = context.new_page()
    page.goto(f"{console.url}/login")
    page.get_by_label("Login").fill("viewer")
    page.get_by_label("Password").fill(PASSWORD)
    page.get_by_role("button", name="Log in").click()
    expect(page.get_by_role("heading", name="Members", level=1)).to_be_visible()
    return page


def expect_live(page: Page) -> None:
    """Events arrive: the page shows which components are down."""
    expect(page.locator("#overview")).to_contain_text("Down")


@pytest.mark.parametrize("is_shared", [True, False], ids=["shared", "without shared workers"])
def test_a_page_is_live(
    context: BrowserContext, consoles: tuple[ConsoleProcess, ConsoleProcess], is_shared: bool
) -> None:
    if not is_shared:
        context.add_init_script("delete window.SharedWorker")
    expect_live(log_in(context, consoles[0]))


def test_many_pages_are_live_and_reconnect(
    context: BrowserContext, consoles: tuple[ConsoleProcess, ConsoleProcess]
) -> None:
    console = consoles[0]
    pages = [log_in(context, console)]
    for _ in range(PAGES - 1):
        page = context.new_page()
        page.goto(f"{console.url}/#/pipeline")
        pages.append(page)
    for page in pages:
        expect_live(page)
    console.stop()
    for page in pages:
        expect(page.get_by_text("Connection to the console lost")).to_be_visible()
    console.start()
    for page in pages:
        expect(page.get_by_text("Connection to the console lost")).to_have_count(0)
        expect_live(page)
    # The page that opened the shared connection can be closed.
    pages.pop(0).close()
    page = context.new_page()
    page.goto(f"{console.url}/")
    expect_live(page)


def test_sessions_of_two_platforms_are_independent(
    context: BrowserContext, consoles: tuple[ConsoleProcess, ConsoleProcess]
) -> None:
    pages = [log_in(context, console) for console in consoles]
    for page in pages:
        page.reload()
        expect_live(page)
        expect(page.locator("#login")).to_have_text("viewer")
    pages[0].get_by_role("button", name="Log out").click()
    expect(pages[0].get_by_role("button", name="Log in")).to_be_visible()
    pages[1].reload()
    expect_live(pages[1])


def test_an_expired_session_leads_every_page_to_the_login(
    context: BrowserContext, consoles: tuple[ConsoleProcess, ConsoleProcess]
) -> None:
    console = consoles[0]
    pages = [log_in(context, console), context.new_page()]
    pages[1].goto(f"{console.url}/#/pipeline")
    for page in pages:
        expect_live(page)
    context.clear_cookies()
    console.stop()
    console.start()
    for page in pages:
        expect(page.get_by_role("button", name="Log in")).to_be_visible()
