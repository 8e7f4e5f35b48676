"""The real platform, started once for all tests that need it, with its own home and ports."""

import os
from collections.abc import Iterator
from typing import TYPE_CHECKING

import pytest

import drill_report
from member_analyzer.local.home import open_home
from missing import skip_or_fail
from ports import choose_ports
from running_platform import Platform
from source import READ_TIMEOUT, Source

if TYPE_CHECKING:
    from playwright.sync_api import Browser


@pytest.fixture(scope="session")
def platform() -> Iterator[Platform]:
    """A new platform for the whole session; its logs are kept in var/test-platform."""
    ports = choose_ports()
    source = Source(f"http://127.0.0.1:{ports['LOCAL_USER_API_PORT']}/api/")
    own = ports | {
        "LOCAL_HOME": "var/test-platform",
        "LOCAL_DOWNLOADS": os.environ.get("LOCAL_DOWNLOADS", "var/java"),
        "USER_API_URL": source.url,
        # The tests must know every member, at any time of the day.
        "SCHEDULE_USER_CREATE": "never",
        "SCHEDULE_USER_ANALYSIS": "never",
        "SCHEDULE_GENERATE_GRAPHS": "never",
        "USER_API_ATTEMPTS": "2",
        "USER_API_READ_TIMEOUT": str(READ_TIMEOUT),
        "USER_API_MAX_WAIT": "1",
        # The tests send more generated requests than the default rate limit allows.
        "COLLECTOR_REQUESTS_PER_SECOND": "100000",
        "LOCAL_SCHEDULER_TIMEOUT": "30",
    }
    with pytest.MonkeyPatch.context() as patch:
        for name, value in own.items():
            patch.setenv(name, value)
        running = Platform(open_home(), os.environ, source)
        running.command("reset", "--yes")
        started = running.command("up", check=False)
        if started.returncode != 0:
            pytest.exit(f"the platform did not start:\n{started.stdout}\n{started.stderr}", returncode=1)
        try:
            running.connect()
            yield running
        finally:
            running.disconnect()
            running.command("down", check=False)
            source.close()


@pytest.fixture(scope="module")
def browser() -> Iterator["Browser"]:
    """A Chromium. Not for the session, because other tests cannot run an event loop while Playwright runs."""
    # Imported here because Playwright is slow to import.
    from browser import find_chromium, open_browser

    executable = find_chromium()
    if executable is None:
        skip_or_fail(
            "there is no Chromium; on Debian install it with `apt-get install chromium`, or run `make test` as root"
        )
    with open_browser(executable) as opened:
        yield opened


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    if drill_report.RESULTS:
        terminalreporter.section("drills")
        terminalreporter.write_line("\n".join(drill_report.format_table()))
        if os.environ.get("DRILLS_DOCUMENT"):
            drill_report.update_document()
