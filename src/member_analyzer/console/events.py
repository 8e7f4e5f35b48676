"""Server-sent events: the full state first, then every change, until the session expires."""

import asyncio
import time
from collections.abc import AsyncIterator

from sse_starlette import EventSourceResponse, ServerSentEvent

from member_analyzer.console.status_store import StatusStore

PING_SECONDS = 15
# A page that reads nothing for this long is closed; it reconnects if it is still open.
SEND_TIMEOUT = 30


def stream_events(store: StatusStore, expires_at: float) -> EventSourceResponse:
    """The event stream of one page, until `expires_at` (Unix time) or until the console stops."""
    return EventSourceResponse(_read_events(store, expires_at), ping=PING_SECONDS, send_timeout=SEND_TIMEOUT, sep="\n")


async def _read_events(store: StatusStore, expires_at: float) -> AsyncIterator[ServerSentEvent]:
    loop, has_more = asyncio.get_running_loop(), asyncio.Event()

    def wake() -> None:
        loop.call_soon_threadsafe(has_more.set)

    with store.subscribe(wake) as subscription:
        while (remaining := expires_at - time.time()) > 0:
            has_more.clear()
            for event, data in subscription.take():
                yield ServerSentEvent(data, event=event)
            try:
                await asyncio.wait_for(has_more.wait(), remaining)
            except TimeoutError:
                return
