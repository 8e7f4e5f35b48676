"""The events that the Python programs send with their SDK, and the report of them on standard output.

    python segment_client.py URL WRITE_KEY RUN COUNT

The report has one JSON object a line: {"event": ...} for each event, with the values that its record must have, and
{"failed": MESSAGE_ID} for each that the SDK gave up.
"""

import json
import sys
import threading
import zlib
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass
from datetime import UTC, datetime, timedelta, timezone
from itertools import pairwise
from typing import Any, Protocol

THREADS = 4
# The events are sent in parts, with a flush after each but the last, which the SDK flushes at exit.
PARTS = 3
KINDS = ("identify", "page", "track", "track", "screen", "group", "track", "alias", "track", "page")
# Coprime to the number of kinds, so that every visitor has events of every kind.
VISITORS = 7

Batch = list[dict[str, Any]]
Message = dict[str, Any]


class Client(Protocol):
    """What the three SDKs have in common; each call returns whether the message was queued, and the message."""

    def identify(self, **fields: Any) -> tuple[bool, Message]: ...
    def track(self, **fields: Any) -> tuple[bool, Message]: ...
    def page(self, **fields: Any) -> tuple[bool, Message]: ...
    def screen(self, **fields: Any) -> tuple[bool, Message]: ...
    def group(self, **fields: Any) -> tuple[bool, Message]: ...
    def alias(self, **fields: Any) -> tuple[bool, Message]: ...
    def flush(self) -> None: ...
    def shutdown(self) -> None: ...


OpenClient = Callable[[str, str, Callable[[Exception, Batch], None]], Client]
"""Opens an SDK's client for a URL, a write key, and a function that gets the batches that the SDK gives up."""


@dataclass(frozen=True)
class Visitor:
    """A visitor of a run; half of the members have a number as their id."""

    run: str
    number: int

    @property
    def anonymous_id(self) -> str:
        return f"{self.run}-visitor-{self.number}"

    @property
    def member_id(self) -> str | int:
        if self.number % 2:
            return f"{self.run}-member-{self.number}"
        return zlib.crc32(self.run.encode()) * 100 + self.number

    @property
    def group_id(self) -> str | int:
        return f"{self.run}-group-{self.number}" if self.number % 2 else 1000 + self.number


@dataclass(frozen=True)
class Event:
    """The values that the record of an event must have."""

    message_id: str
    type: str
    name: str | None
    member_id: str | None
    anonymous_id: str | None
    previous_id: str | None
    group_id: str | None
    properties: dict[str, Any]
    occurred_at: str


def make_properties(run: str, number: int) -> dict[str, Any]:
    """Properties with every type of JSON except null, which some SDKs leave out."""
    return {
        "run": run,
        "number": number,
        "price": number + 0.25,
        "sold": number % 2 == 0,
        "title": "Blåbær 🫐",
        "tags": ["a", "b"],
        "cart": {"items": [{"sku": f"sku-{number}", "count": 2}]},
    }


def make_timestamp(number: int) -> datetime | None:
    """None, so that the SDK takes the current time, or a time in the past, in two formats."""
    now = datetime.now(UTC)
    whole_second = (now - timedelta(hours=1)).replace(microsecond=0).astimezone(timezone(timedelta(hours=2)))
    return (None, whole_second, now - timedelta(days=1))[number % 3]


def send(client: Client, run: str, number: int) -> tuple[bool, Event]:
    """Hand one event to the SDK; return whether the SDK queued it, and the event."""
    kind, visitor = KINDS[number % len(KINDS)], Visitor(run, number % VISITORS)
    properties = make_properties(run, number)
    ids: dict[str, str | int] = {}
    # A third of the views and tracks are of an unknown visitor, a third of a known one, a third have both ids.
    if kind in ("identify", "group", "alias") or number % 3:
        ids["user_id"] = visitor.member_id
    if kind == "identify" or (kind != "alias" and number % 3 != 1):
        ids["anonymous_id"] = visitor.anonymous_id
    name, fields = None, {"traits": properties}
    match kind:
        case "group":
            ids["group_id"] = visitor.group_id
        case "alias":
            ids["previous_id"] = visitor.anonymous_id
            properties = fields = {}
        case "track":
            name = "Product Viewed"
            fields = {"event": name, "properties": properties}
        case "page" | "screen":
            name = f"{kind.title()} {visitor.number}"
            fields = {"name": name, "category": "shop", "properties": properties}
    call = getattr(client, kind)
    queued, message = call(message_id=f"{run}-{number}", timestamp=make_timestamp(number), **ids, **fields)
    sent = {name: str(value) for name, value in ids.items()}
    return queued, Event(
        message_id=message["messageId"],
        type=kind,
        name=name,
        member_id=sent.get("user_id"),
        anonymous_id=sent.get("anonymous_id"),
        previous_id=sent.get("previous_id"),
        group_id=sent.get("group_id"),
        properties=properties,
        occurred_at=message["timestamp"],
    )


class Report:
    """The lines on standard output; the SDK reports failures from its own thread."""

    def __init__(self) -> None:
        self._lock = threading.Lock()

    def write(self, name: str, value: object) -> None:
        with self._lock:
            print(json.dumps({name: value}), flush=True)

    def write_failed(self, _: Exception, batch: Batch) -> None:
        for message in batch:
            self.write("failed", message["messageId"])


def run_program(open_client: OpenClient) -> None:
    """Send the events of the command line from several threads, then flush and shut down the SDK."""
    url, write_key, run, count = sys.argv[1:]
    report = Report()
    client = open_client(url, write_key, report.write_failed)
    ends = [int(count) * part // PARTS for part in range(PARTS + 1)]
    with ThreadPoolExecutor(THREADS) as pool:
        for start, end in pairwise(ends):
            for queued, event in pool.map(lambda number: send(client, run, number), range(start, end)):
                report.write("event", asdict(event))
                if not queued:
                    report.write("failed", event.message_id)
            if end != ends[-1]:
                client.flush()
    client.shutdown()
