"""The stream of events to one page: everything once, and then what changes, until its session ends."""

import asyncio
import time
from collections.abc import AsyncIterator

from sse_starlette import EventSourceResponse, ServerSentEvent

from member_analyzer.console.board import Board

PING_SECONDS = 15
# A page that takes nothing for so long is gone; it connects again if not.
SEND_SECONDS = 30


def stream_events(board: Board, ends_at: float) -> EventSourceResponse:
    """The answer to a page, until a moment in seconds since 1970 or until the console stops."""
    return EventSourceResponse(_read_events(board, ends_at), ping=PING_SECONDS, send_timeout=SEND_SECONDS, sep="\n")


async def _read_events(board: Board, ends_at: float) -> AsyncIterator[ServerSentEvent]:
    loop, has_more = asyncio.get_running_loop(), asyncio.Event()

    def wake() -> None:
        loop.call_soon_threadsafe(has_more.set)

    with board.subscribe(wake) as mailbox:
        while (rest := ends_at - time.time()) > 0:
            has_more.clear()
            for event, data in mailbox.take():
                yield ServerSentEvent(data, event=event)
            try:
                await asyncio.wait_for(has_more.wait(), rest)
            except TimeoutError:
                return
