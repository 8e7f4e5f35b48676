"""Opens the console's pages in Chromium."""

import io
import os
import re
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

from axe_playwright_python.sync_playwright import Axe
from PIL import Image
from playwright.sync_api import Browser, BrowserContext, FloatRect, Page, expect, sync_playwright

Login = Literal["viewer", "operator"]
Theme = Literal["light", "dark"]

NAMES = ("chromium", "chromium-browser", "google-chrome")
WIDE, NARROW, DEFAULT_WIDTH = 2560, 360, 1280
HEIGHT = 900
# Enough for changes of the servers to reach the page on a busy machine.
TIMEOUT_MS = 300_000
MAX_COLOURS = 256
MAX_HEIGHT = 2100
SCREENSHOTS = Path(__file__).parents[1] / "docs" / "screenshots"


def find_chromium() -> str | None:
    """The path of a working Chromium; on some systems the command only prints how to install it."""
    for path in filter(None, map(shutil.which, NAMES)):
        if subprocess.run([path, "--version"], capture_output=True, timeout=60).returncode == 0:
            return path
    return None


@contextmanager
def open_browser(executable: str) -> Iterator[Browser]:
    """A headless Chromium until the block ends."""
    # The sandbox does not work as root.
    arguments = ["--no-sandbox"] if os.geteuid() == 0 else []
    expect.set_options(timeout=TIMEOUT_MS)
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=executable, args=arguments)
        try:
            yield browser
        finally:
            browser.close()


@dataclass
class Console:
    """The console at an address, with the passwords of its logins."""

    browser: Browser
    address: str
    passwords: dict[Login, str]
    errors: list[str] = field(default_factory=list)
    """Script errors and violations of the content security policy."""
    _contexts: list[BrowserContext] = field(default_factory=list)

    def open(self, theme: Theme = "light", width: int = DEFAULT_WIDTH) -> Page:
        """Open the login page in a new browser context."""
        context = self.browser.new_context(
            base_url=self.address,
            viewport={"width": width, "height": HEIGHT},
            color_scheme=theme,
            reduced_motion="reduce",
            locale="en-GB",
            timezone_id="UTC",
        )
        self._contexts.append(context)
        context.set_default_timeout(TIMEOUT_MS)
        page = context.new_page()
        page.on("pageerror", lambda error: self.errors.append(error.stack or str(error)))
        page.on("console", lambda message: self._add_error(message.type, message.text))
        page.goto("/login")
        return page

    def log_in(self, login: Login, theme: Theme = "light", width: int = DEFAULT_WIDTH) -> Page:
        """Log in and open the members page."""
        page = self.open(theme, width)
        self.submit(page, login, self.passwords[login])
        expect(page.get_by_role("heading", name="Members", level=1)).to_be_visible()
        return page

    def submit(self, page: Page, login: str, password: str) -> None:
        """Submit the login form."""
        page.get_by_label("Login").fill(login)
        page.get_by_label("Password").fill(password)
        page.get_by_role("button", name="Log in").click()

    def close(self) -> None:
        for context in self._contexts:
            context.close()
        self._contexts.clear()

    def _add_error(self, kind: str, text: str) -> None:
        # The pages report failed requests themselves.
        if kind == "error" and not text.startswith("Failed to load resource"):
            self.errors.append(text)


def go(page: Page, name: str) -> None:
    """Open a page from the navigation."""
    page.get_by_role("navigation", name="Pages").get_by_role("link", name=name, exact=True).click()
    expect(page.get_by_role("heading", level=1, name=name)).to_be_visible()


def go_to(page: Page, route: str) -> None:
    """Open a route by its address, and wait until it has loaded."""
    page.evaluate("route => { location.hash = route }", f"#/{route}")
    expect(page.locator("main h1")).to_be_visible()
    expect(page.locator(".loading")).to_have_count(0)


def total(page: Page) -> int:
    """The displayed number of members."""
    return int(re.sub(r"\D", "", page.locator("#total").inner_text()))


def axe_violations(page: Page) -> str:
    """The accessibility violations of the page; empty if there are none."""
    results = Axe().run(page)
    return results.generate_report() if results.violations_count else ""


def overflow(page: Page) -> int:
    """The pixels by which the page is wider than the window."""
    return int(page.evaluate("document.documentElement.scrollWidth - document.documentElement.clientWidth"))


def take_screenshot(page: Page, name: str) -> None:
    """Save the page as `docs/screenshots/<name>.png` if the environment variable SCREENSHOTS is set."""
    if not os.environ.get("SCREENSHOTS"):
        return
    SCREENSHOTS.mkdir(parents=True, exist_ok=True)
    height = min(MAX_HEIGHT, page.evaluate("document.documentElement.scrollHeight"))
    clip: FloatRect = {"x": 0, "y": 0, "width": DEFAULT_WIDTH, "height": height}
    with Image.open(io.BytesIO(page.screenshot(full_page=True, clip=clip))) as screenshot:
        screenshot.convert("RGB").quantize(MAX_COLOURS).save(SCREENSHOTS / f"{name}.png", optimize=True)
