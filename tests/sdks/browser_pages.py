"""Pages that use the unmodified SDKs for browsers, and visitors who open them in Chromium."""

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

from playwright.sync_api import Browser, BrowserContext, Page, Request

from browser import TIMEOUT_MS
from sent_events import VALUES, SentEvent

PAGES = Path(__file__).parent / "browser"


@dataclass(frozen=True)
class PageClient:
    """A page in `browser/` that uses one SDK."""

    name: str
    page: str
    kinds: tuple[str, ...]
    """The types of events that the SDK has, in an order in which no event changes what an earlier one says."""
    queues_until_close: bool = False


SEGMENT = PageClient(
    "segment-next", "segment_next.html", ("page", "track", "identify", "group", "screen", "alias", "track")
)
RUDDER = PageClient("rudder-js", "rudder_js.html", ("page", "track", "identify", "group", "alias", "track"))
# It sends when the page closes or ten events are queued, and loses what is refused: a beacon has no response.
RUDDER_BEACON = PageClient("rudder-js-beacon", "rudder_js_beacon.html", RUDDER.kinds, queues_until_close=True)

PAGE_CLIENTS = (SEGMENT, RUDDER)


@contextmanager
def serve_pages(node_modules: Path) -> Iterator[str]:
    """Serve the pages and the SDKs on a free port; the origin."""

    class PageHandler(SimpleHTTPRequestHandler):
        def translate_path(self, path: str) -> str:
            self.directory = str(node_modules.parent if path.startswith("/node_modules/") else PAGES)
            return super().translate_path(path)

        def log_message(self, *arguments: Any) -> None:
            """Nothing, because the output of the tests is for failures."""

    with ThreadingHTTPServer(("127.0.0.1", 0), PageHandler) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        try:
            yield f"http://127.0.0.1:{server.server_port}"
        finally:
            server.shutdown()
            thread.join()


@dataclass
class Visitor:
    """A browser window with cookies and a storage of its own."""

    context: BrowserContext
    collector_url: str
    errors: list[str] = field(default_factory=list)
    """What the pages reported to the console, for the messages of failed tests."""
    refused: list[str] = field(default_factory=list)
    """The URLs of requests to the collector without a successful response, or with one that the page must not read."""

    def __post_init__(self) -> None:
        self.context.on("requestfinished", self._add_refused)
        self.context.on("requestfailed", self._add_refused)

    def open(self, client: PageClient, origin: str, write_key: str) -> Page:
        """Open the page of a client in a new tab."""
        page = self.context.new_page()
        page.on("pageerror", lambda error: self.errors.append(str(error)))
        page.on("console", lambda message: self.errors.append(message.text) if message.type == "error" else None)
        page.goto(f"{origin}/{client.page}?{urlencode({'collector': self.collector_url, 'source': write_key})}")
        return page

    def open_ready(self, client: PageClient, origin: str, write_key: str) -> Page:
        """Open the page of a client, and wait until its SDK has its settings; before, it keeps no event."""
        page = self.open(client, origin, write_key)
        page.wait_for_function("isReady")
        return page

    def was_refused(self, page: Page) -> bool:
        """Whether the collector has refused a request."""
        # Playwright handles events of the browser only during calls.
        page.title()
        return bool(self.refused)

    def _add_refused(self, request: Request) -> None:
        if request.url.startswith(self.collector_url):
            response = None if request.failure else request.response()
            if response is None or response.status >= 400:
                self.refused.append(request.url)


@contextmanager
def new_visitor(browser: Browser, collector_url: str) -> Iterator[Visitor]:
    """A visitor, or the same one in a private window: none has anything of another."""
    context = browser.new_context()
    context.set_default_timeout(TIMEOUT_MS)
    try:
        yield Visitor(context, collector_url)
    finally:
        context.close()


def send(page: Page, run: str, kind: str, nonce: str) -> SentEvent:
    """Send an event of a kind with the SDK of a page."""
    event = make_event(run, kind, nonce)
    page.evaluate("event => send(event)", event)
    return describe(event)


def send_and_close(page: Page, client: PageClient, run: str, nonce: str) -> SentEvent:
    """Close a page while its SDK sends an event."""
    if client.queues_until_close:
        event = make_event(run, "track", nonce)
        page.evaluate("event => addEventListener('beforeunload', () => send(event))", event)
        sent = describe(event)
    else:
        with page.expect_request(lambda request: request.method == "POST"):
            sent = send(page, run, "track", nonce)
    page.close(run_before_unload=True)
    return sent


def make_event(run: str, kind: str, nonce: str) -> dict[str, Any]:
    return {"kind": kind, "nonce": nonce, "member": f"{run}-member", "values": VALUES | {"run": run, "nonce": nonce}}


def describe(event: dict[str, Any]) -> SentEvent:
    kind = event["kind"]
    return SentEvent(
        type=kind,
        nonce=event["nonce"],
        name={"page": "Cart", "screen": "Cart", "track": "Product Added"}.get(kind),
        member_id=event["member"] if kind == "identify" else None,
    )
