"""A real Chromium that opens the console's pages, as a person does."""

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
WIDE, NARROW, USUAL = 2560, 360, 1280
HEIGHT = 900
# What the servers behind the page need to be seen there, on a busy machine.
PATIENCE_MS = 300_000
MOST_COLOURS = 256
MOST_PIXELS = 2100
PICTURES = Path(__file__).parents[1] / "docs" / "screenshots"


def find_chromium() -> str | None:
    """The path of a Chromium that runs; on some systems the name is a shim that only says how to install it."""
    for path in filter(None, map(shutil.which, NAMES)):
        if subprocess.run([path, "--version"], capture_output=True, timeout=60).returncode == 0:
            return path
    return None


@contextmanager
def open_browser(executable: str) -> Iterator[Browser]:
    """A headless Chromium until the block ends."""
    # Chromium's own sandbox cannot be had as root.
    arguments = ["--no-sandbox"] if os.geteuid() == 0 else []
    expect.set_options(timeout=PATIENCE_MS)
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
    complaints: list[str] = field(default_factory=list)
    """What the pages complained of: errors of scripts, and what the content security policy stopped."""
    _contexts: list[BrowserContext] = field(default_factory=list)

    def open(self, theme: Theme = "light", width: int = USUAL) -> Page:
        """The login page, in a browser that knows nothing."""
        context = self.browser.new_context(
            base_url=self.address,
            viewport={"width": width, "height": HEIGHT},
            color_scheme=theme,
            reduced_motion="reduce",
            locale="en-GB",
            timezone_id="UTC",
        )
        self._contexts.append(context)
        context.set_default_timeout(PATIENCE_MS)
        page = context.new_page()
        page.on("pageerror", lambda error: self.complaints.append(error.stack or str(error)))
        page.on("console", lambda message: self._note(message.type, message.text))
        page.goto("/login")
        return page

    def log_in(self, login: Login, theme: Theme = "light", width: int = USUAL) -> Page:
        """The members, as that login sees them."""
        page = self.open(theme, width)
        self.submit(page, login, self.passwords[login])
        expect(page.get_by_role("heading", name="Members", level=1)).to_be_visible()
        return page

    def submit(self, page: Page, login: str, password: str) -> None:
        """Fill in the login form and send it."""
        page.get_by_label("Login").fill(login)
        page.get_by_label("Password").fill(password)
        page.get_by_role("button", name="Log in").click()

    def close(self) -> None:
        for context in self._contexts:
            context.close()
        self._contexts.clear()

    def _note(self, kind: str, text: str) -> None:
        # What a server refused is no complaint: the pages tell it themselves.
        if kind == "error" and not text.startswith("Failed to load resource"):
            self.complaints.append(text)


def go(page: Page, name: str) -> None:
    """Open a page by the navigation."""
    page.get_by_role("navigation", name="Pages").get_by_role("link", name=name, exact=True).click()
    expect(page.get_by_role("heading", level=1, name=name)).to_be_visible()


def go_to(page: Page, route: str) -> None:
    """Open a route by its address, as from a bookmark, and wait until what it asks for is there."""
    page.evaluate("route => { location.hash = route }", f"#/{route}")
    expect(page.locator("main h1")).to_be_visible()
    expect(page.locator(".loading")).to_have_count(0)


def total(page: Page) -> int:
    """The number of members that the page shows."""
    return int(re.sub(r"\D", "", page.locator("#total").inner_text()))


def axe_violations(page: Page) -> str:
    """What axe finds wrong with the page as it is now; empty when it finds nothing."""
    found = Axe().run(page)
    return found.generate_report() if found.violations_count else ""


def overflow(page: Page) -> int:
    """By how many pixels the page is wider than the window."""
    return int(page.evaluate("document.documentElement.scrollWidth - document.documentElement.clientWidth"))


def take_picture(page: Page, name: str) -> None:
    """Keep what is seen as `docs/screenshots/<name>.png`, only where SCREENSHOTS is set."""
    if not os.environ.get("SCREENSHOTS"):
        return
    PICTURES.mkdir(parents=True, exist_ok=True)
    height = min(MOST_PIXELS, page.evaluate("document.documentElement.scrollHeight"))
    clip: FloatRect = {"x": 0, "y": 0, "width": USUAL, "height": height}
    with Image.open(io.BytesIO(page.screenshot(full_page=True, clip=clip))) as picture:
        picture.convert("RGB").quantize(MOST_COLOURS).save(PICTURES / f"{name}.png", optimize=True)
