"""The Segment HTTP tracking API, so that applications can use the SDKs that exist for it.

Its clients decide the details: they repeat a batch that is answered with 202, count a redirect as delivered, and send
JSON as any content type. So a request that can be read is answered with 200, and lists the items that were rejected.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from http import HTTPStatus
from typing import Annotated, Any
from zoneinfo import ZoneInfo

import orjson
from anyio import to_thread
from fastapi import APIRouter, Depends, Path, Request, Response

from member_analyzer.collector.batch import land, validate
from member_analyzer.collector.body import decompress, parse_json, read_body
from member_analyzer.collector.dependencies import Services, get_services
from member_analyzer.collector.openapi import TRACKING_BODY, TRACKING_EXAMPLES, problems
from member_analyzer.collector.responses import Tracking
from member_analyzer.collector.write_keys import find_write_key
from member_analyzer.http.problem import ProblemError
from member_analyzer.landing.connection import Connection
from member_analyzer.landing.sources import KEY, Source
from member_analyzer.publishing.transactions import TopicRecord
from member_analyzer.records.rejection import RecordRejectedError, Rejection
from member_analyzer.streams.interactions.batch import LETTERS, read_items
from member_analyzer.streams.interactions.item import make_storable
from member_analyzer.streams.interactions.message_id import LONGEST_MESSAGE_ID
from member_analyzer.streams.interactions.record import TYPES
from member_analyzer.streams.interactions.rejected_item import write_rejected_item
from member_analyzer.streams.interactions.tracking import read_interaction
from member_analyzer.streams.interactions.traits import read_traits
from member_analyzer.streams.interactions.user_agents import classify_user_agent

router = APIRouter(tags=["interactions"])

JSON = "application/json"
MAX_BATCH_BYTES = 500 * 1024
MAX_ITEMS = 2500
GZIP_MAGIC = b"\x1f\x8b"
# Larger bodies are read in a thread, so that the others do not wait for them.
SMALL_BODY_BYTES = 8 * 1024

# The paths of items of one type, and those of items that state their types.
PATHS = (*TYPES, "batch", "import")
PAGE_PATHS = frozenset(
    [f"{prefix}/{path}" for prefix in ("/v1", "") for path in (*PATHS, *LETTERS, "m")]
    + ["/beacon/v1/batch", "/sourceConfig"]
)


def is_page_path(path: str) -> bool:
    """Whether web pages of a source's origins may call a path."""
    path = path.rstrip("/")
    return path in PAGE_PATHS or path.startswith(("/v1/projects/", "/api/s/"))


@dataclass
class Batch:
    """The items of a request, as records to write and as members to create."""

    records: list[TopicRecord] = field(default_factory=list)
    rejected: list[dict[str, Any]] = field(default_factory=list)
    members: list[dict[str, Any]] = field(default_factory=list)

    @property
    def accepted(self) -> int:
        """The number of accepted items."""
        return len(self.records) - len(self.rejected)


async def track(request: Request, services: Services, kind: str | None) -> Response:
    """Accept the items of a request, and answer once Kafka has acknowledged them."""
    key = find_write_key(request)
    # Before the body is decompressed, where the protocol allows it.
    source = await services.sources.authenticate(request, key) if key is not None else None
    body = await read_body(request, MAX_BATCH_BYTES)
    is_small = len(body) <= SMALL_BODY_BYTES and not body.startswith(GZIP_MAGIC)
    parsed = parse_body(body) if is_small else await to_thread.run_sync(parse_body, body)
    if source is None:
        source = await services.sources.authenticate(request, find_key_in_body(parsed))
    items = read_items(kind, parsed)
    if len(items) > MAX_ITEMS:
        raise ProblemError(HTTPStatus.REQUEST_ENTITY_TOO_LARGE, f"A batch has at most {MAX_ITEMS:,} items.")
    services.sources.limit(source, max(1, len(items)))
    if source.honors_opt_out and has_opted_out(request):
        services.metrics.count_interactions({"opted_out": len(items)})
        return respond([])
    agent, now = request.headers.get("user-agent"), datetime.now(UTC)

    def encode() -> Batch:
        return encode_items(services, items, source, now, agent)

    batch = encode() if is_small and services.interactions.is_ready else await to_thread.run_sync(encode)
    if batch.members:
        await services.pool.run(land_members, services, batch.members, source, now)
        services.wake_publisher()
    await services.interactions.write(batch.records)
    services.metrics.count_interactions({"accepted": batch.accepted, "rejected": len(batch.rejected)})
    return respond(batch.rejected)


def parse_body(body: bytes) -> Any:
    """Parse a body, gzip or not, whatever its headers say. Raises ProblemError (400, 413)."""
    return parse_json(decompress(body, MAX_BATCH_BYTES) if body.startswith(GZIP_MAGIC) else body)


def find_key_in_body(parsed: Any) -> str | None:
    """Return the write key in a body, or None."""
    key = parsed.get("writeKey") if isinstance(parsed, dict) else None
    return key if isinstance(key, str) else None


def has_opted_out(request: Request) -> bool:
    """Whether the visitor's browser asks not to be tracked: Do Not Track, or Global Privacy Control."""
    return request.headers.get("dnt") == "1" or request.headers.get("sec-gpc") == "1"


def encode_items(
    services: Services, items: Sequence[object], source: Source, received_at: datetime, agent: str | None
) -> Batch:
    """Validate and encode items; a rejected item does not affect the others."""
    batch, encoder, zone = Batch(), services.interactions.encoder, ZoneInfo(source.time_zone)
    for index, item in enumerate(items):
        try:
            record = read_interaction(
                item,
                source=source.name,
                zone=zone,
                received_at=received_at,
                user_agent_header=agent,
                classify=classify_user_agent,
            )
        except RecordRejectedError as error:
            rejection = error.rejection
            kept = write_rejected_item(item)
            batch.records.append(encoder.encode_rejected(kept, rejection, source.name, received_at))
            batch.rejected.append(describe_rejection(index, item, rejection))
            continue
        batch.records.append(encoder.encode(record))
        if record["type"] == "identify" and (member := read_traits(item)) is not None:
            batch.members.append(member)
    return batch


def describe_rejection(index: int, item: object, rejection: Rejection) -> dict[str, Any]:
    """Return the entry of a rejected item in the response, as JSON values."""
    named = item.get("messageId") if isinstance(item, dict) else None
    message_id = make_storable(named)[:LONGEST_MESSAGE_ID] if isinstance(named, str) else None
    return {
        "index": index,
        "messageId": message_id,
        "reason": rejection.reason.value,
        "message": rejection.message,
    }


def land_members(
    connection: Connection, services: Services, members: Iterable[dict[str, Any]], source: Source, now: datetime
) -> None:
    """Create members from the traits of identified visitors, as `POST /v1/users` does."""
    definition = services.definition
    land(connection, definition, [validate(definition, one, now) for one in members], f"source {source.name}")


def add_code(problem: ProblemError) -> ProblemError:
    """Return a problem with the members `code` and `message`.

    Without them the Python SDKs of RudderStack fail to read the response, and repeat a batch that cannot be accepted.
    """
    code = problem.status.name.lower()
    extensions = {"code": code, "message": problem.detail, **problem.extensions}
    return ProblemError(problem.status, problem.detail, headers=problem.headers, **extensions)


def respond(rejected: Sequence[dict[str, Any]]) -> Response:
    """Answer a request whose items were accepted, apart from the rejected ones."""
    # Jitsu's client looks for `ok`.
    content: dict[str, Any] = {"success": True, "ok": True}
    if rejected:
        content["rejected"] = rejected
    return Response(orjson.dumps(content), HTTPStatus.OK, media_type=JSON)


def add_tracking_route(path: str, kind: str, *, is_documented: bool = False) -> None:
    """Add the route of a path whose items have this type, or state their own types."""
    is_batch = kind not in TYPES

    async def accept(request: Request, services: Annotated[Services, Depends(get_services)]) -> Response:
        return await track(request, services, kind)

    accept.__doc__ = (
        f"Accept {'items of any type' if is_batch else f'a `{kind}` item'}, up to 500 KB, also gzipped."
        "\n\nThe response is sent once Kafka has acknowledged the items. An item that is rejected is kept with its "
        "reason, and does not affect the others. Items with the same `messageId` are one interaction."
    )
    router.add_api_route(
        path,
        accept,
        methods=["POST"],
        summary=f"Send {'a batch' if is_batch else kind}",
        include_in_schema=is_documented,
        response_class=Response,
        responses={
            200: {
                "model": Tracking,
                "description": "The items are accepted, apart from the listed ones.",
                "content": {JSON: {"examples": TRACKING_EXAMPLES}},
            },
            **problems(400, 401, 403, 408, 413, 429, 503),
        },
        openapi_extra={"requestBody": TRACKING_BODY},
    )


for _path in PATHS:
    add_tracking_route(f"/v1/{_path}", _path, is_documented=True)
    add_tracking_route(f"/{_path}", _path)
for _letter, _path in LETTERS.items():
    add_tracking_route(f"/v1/{_letter}", _path)
    add_tracking_route(f"/{_letter}", _path)
add_tracking_route("/beacon/v1/batch", "batch")


@router.post("/api/s/{kind}", include_in_schema=False)
async def accept_jitsu(request: Request, kind: str, services: Annotated[Services, Depends(get_services)]) -> Response:
    """Accept an item of Jitsu's client; it calls custom events by their name."""
    return await track(request, services, kind)


# The SDKs of pages ask for their settings once, and send nothing without them: no server is needed to answer, not even
# to check the key. The key is checked when they send.
@router.get("/v1/projects/{key}/settings", include_in_schema=False)
async def get_segment_settings(key: Annotated[str, Path(pattern=f"^{KEY.pattern}$")]) -> Response:
    """The settings of analytics-next: send to this collector only, and no metrics about the SDK itself."""
    settings = {"integrations": {"Segment.io": {"apiKey": key}}, "metrics": {"sampleRate": 0}}
    return Response(orjson.dumps(settings), media_type=JSON)


@router.get("/sourceConfig", include_in_schema=False)
async def get_rudder_settings() -> Response:
    """The settings of RudderStack's SDKs: no other destinations."""
    source = {"id": "member-analyzer", "enabled": True, "config": {}, "destinations": []}
    return Response(orjson.dumps({"source": source}), media_type=JSON)


@router.post("/m", include_in_schema=False)
@router.post("/v1/m", include_in_schema=False)
async def discard_metrics(request: Request) -> Response:
    """Discard the metrics that analytics-next sends about itself."""
    await read_body(request, MAX_BATCH_BYTES)
    return respond([])
