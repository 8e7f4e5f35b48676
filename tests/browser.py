"""A real Chromium for the tests of the console's pages."""

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
WIDE, NARROW, DEFAULT = 2560, 360, 1280
HEIGHT = 900
# The page may depend on slow servers, on a busy machine.
TIMEOUT_MS = 300_000
MAX_COLOURS = 256
MAX_HEIGHT = 2100
SCREENSHOTS = Path(__file__).parents[1] / "docs" / "screenshots"


def find_chromium() -> str | None:
    """The path of a working Chromium; on some systems the name is only a shim."""
    for path in filter(None, map(shutil.which, NAMES)):
        if subprocess.run([path, "--version"], capture_output=True, timeout=60).returncode == 0:
            return path
    return None


@contextmanager
def open_browser(executable: str) -> Iterator[Browser]:
    """A headless Chromium."""
    # Chromium's sandbox does not support root.
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
    """The console at an address, with its logins."""

    browser: Browser
    address: str
    passwords: dict[Login, str]
    errors: list[str] = field(default_factory=list)
    """Errors of scripts, and violations of the content security policy."""
    _contexts: list[BrowserContext] = field(default_factory=list)

    def open(self, theme: Theme = "light", width: int = DEFAULT) -> Page:
        """The login page, in a new browser context."""
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
        page.on("console", lambda message: self._record(message.type, message.text))
        page.goto("/login")
        return page

    def log_in(self, login: Login, theme: Theme = "light", width: int = DEFAULT) -> Page:
        """The members page, after logging in."""
        page = self.open(theme, width)
        self.submit(page, login, self.passwords[login])
        expect(page.get_by_role("heading", name="Members", level=1)).to_be_visible()
        return page

    def submit(self, page: Page, login: str, password: str) -> None:
        """Fill in and submit the login form."""
        page.get_by_label("Login").fill(login)
        page.get_by_label("Password").fill(password)
        page.get_by_role("button", name="Log in").click()

    def close(self) -> None:
        for context in self._contexts:
            context.close()
        self._contexts.clear()

    def _record(self, kind: str, text: str) -> None:
        # Error responses are expected: the pages display them.
        if kind == "error" and not text.startswith("Failed to load resource"):
            self.errors.append(text)


def go(page: Page, name: str) -> None:
    """Open a page through the navigation."""
    page.get_by_role("navigation", name="Pages").get_by_role("link", name=name, exact=True).click()
    expect(page.get_by_role("heading", level=1, name=name)).to_be_visible()


def go_to(page: Page, route: str) -> None:
    """Open a route by its URL, and wait until it has loaded."""
    page.evaluate("route => { location.hash = route }", f"#/{route}")
    expect(page.locator("main h1")).to_be_visible()
    expect(page.locator(".loading")).to_have_count(0)


def total(page: Page) -> int:
    """The number of members that the page shows."""
    return int(re.sub(r"\D", "", page.locator("#total").inner_text()))


def axe_violations(page: Page) -> str:
    """The accessibility violations that axe finds on the page; empty if there are none."""
    found = Axe().run(page)
    return found.generate_report() if found.violations_count else ""


def overflow(page: Page) -> int:
    """The number of pixels by which the page is wider than the window."""
    return int(page.evaluate("document.documentElement.scrollWidth - document.documentElement.clientWidth"))


def take_screenshot(page: Page, name: str) -> None:
    """Save a screenshot as `docs/screenshots/<name>.png` if SCREENSHOTS is set."""
    if not os.environ.get("SCREENSHOTS"):
        return
    SCREENSHOTS.mkdir(parents=True, exist_ok=True)
    height = min(MAX_HEIGHT, page.evaluate("document.documentElement.scrollHeight"))
    clip: FloatRect = {"x": 0, "y": 0, "width": DEFAULT, "height": height}
    with Image.open(io.BytesIO(page.screenshot(full_page=True, clip=clip))) as image:
        image.convert("RGB").quantize(MAX_COLOURS).save(SCREENSHOTS / f"{name}.png", optimize=True)
