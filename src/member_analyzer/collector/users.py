"""`/v1/users`: posts and erases members."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from http import HTTPStatus
from typing import Annotated, Any

import orjson
from fastapi import APIRouter, Depends, Header, Path, Request, Response

from member_analyzer.collector.authentication import require_scope
from member_analyzer.collector.batch import lacks_id, land, reuse_ids, validate
from member_analyzer.collector.body import content_encoding, decompress, parse_records, read_members
from member_analyzer.collector.dependencies import Services, get_services
from member_analyzer.collector.idempotency import find_response, fingerprint_request, store_response
from member_analyzer.collector.openapi import ERASED_EXAMPLE, LANDING_EXAMPLES, REQUEST_BODY, problems
from member_analyzer.collector.responses import ErasedMember, Landing
from member_analyzer.deadletters.retention import explain_retention
from member_analyzer.http.problem import ProblemError
from member_analyzer.landing.api_keys import ApiKey, Right
from member_analyzer.landing.erasure import erase_records
from member_analyzer.records.fields import TextField
from member_analyzer.streams.members.record import MEMBER

router = APIRouter(prefix="/v1/users", tags=["members"])

JSON = "application/json"
ID = next(field for field in MEMBER.fields if isinstance(field, TextField) and field.name == MEMBER.key)


@dataclass(frozen=True)
class PostRequest:
    """A request that posts members, with its raw body."""

    api_key: ApiKey
    path: str
    body: bytes
    is_gzip: bool
    idempotency_key: str | None
    retention: timedelta


@router.post(
    "",
    status_code=HTTPStatus.ACCEPTED,
    summary="Post members",
    response_class=Response,
    responses={
        202: {
            "model": Landing,
            "description": "Valid members are committed and will be counted once. Rejected records are kept with the "
            "reason.",
            "content": {JSON: {"examples": LANDING_EXAMPLES}},
            "headers": {
                "Idempotency-Replayed": {
                    "description": "`true` if this is the response to an earlier request with this Idempotency-Key.",
                    "schema": {"type": "string", "enum": ["true"]},
                }
            },
        },
        **problems(400, 401, 403, 408, 413, 415, 422, 429, 503),
    },
    openapi_extra={"requestBody": REQUEST_BODY},
)
async def post_users(
    request: Request,
    services: Annotated[Services, Depends(get_services)],
    api_key: Annotated[ApiKey, Depends(require_scope(Right.WRITE))],
    idempotency_key: Annotated[
        str | None,
        Header(
            min_length=1,
            max_length=255,
            pattern="^[!-~]([ -~]*[!-~])?$",
            description="A unique value for each request, chosen by the client. A retry gets the first response again.",
        ),
    ] = None,
) -> Response:
    """Accept one member, an array of up to 1,000 members, or a complete user API response, up to 1 MiB, also gzipped.

    Two formats are supported and detected automatically: flat records, and records as in randomuser.me's `results`. A
    record without an id gets one. An invalid record does not affect the others, and posting a member again changes
    nothing.

    A record without an id is identified by its content: as long as idempotency keys are kept (one day by default), the
    same content from the same API key is the same member, in any request. Equal records in one request are different
    members. If two people may have equal records, send ids, or an Idempotency-Key with each request: records without an
    id are then new members unless the request is a retry.
    """
    body = await read_members(request)
    retention = timedelta(hours=services.settings.idempotency_hours)
    is_gzip = content_encoding(request) == "gzip"
    post = PostRequest(api_key, request.url.path, body, is_gzip, idempotency_key, retention)
    content, counts = await services.pool.run_in_thread(lambda: _process(services, post))
    if counts is None:
        return Response(content, HTTPStatus.ACCEPTED, {"Idempotency-Replayed": "true"}, media_type=JSON)
    services.metrics.count_records(counts)
    if counts["accepted"]:
        services.wake_publisher()
    return Response(content, HTTPStatus.ACCEPTED, media_type=JSON)


def _process(services: Services, post: PostRequest) -> tuple[bytes, Mapping[str, int] | None]:
    """The response, and the number of records by outcome; None if the response was stored before."""
    body = decompress(post.body) if post.is_gzip else post.body
    now = datetime.now(UTC)
    # Parsed before taking a connection, which other threads can use meanwhile.
    records = parse_records(body)
    definition = services.definition
    batch = [validate(definition, record, now) for record in records]
    source = f"collector key={post.api_key.name}"
    with services.pool.connection() as connection:
        if post.idempotency_key is None and not any(map(lacks_id, records)):
            response = land(connection, definition, batch, source)
            return orjson.dumps(response), _counts(response)
        if post.idempotency_key is None:
            with connection.transaction():
                name = post.api_key.name
                identified = reuse_ids(
                    connection, definition, records, batch, api_key=name, now=now, retention=post.retention
                )
                response = land(connection, definition, identified, source)
            return orjson.dumps(response), _counts(response)
        fingerprint = fingerprint_request("POST", post.path, body)
        with connection.transaction():
            stored = find_response(connection, post.api_key.name, post.idempotency_key, fingerprint, post.retention)
            if stored is not None:
                return stored, None
            response = land(connection, definition, batch, source)
            content = orjson.dumps(response)
            store_response(connection, post.api_key.name, post.idempotency_key, fingerprint, content)
        return content, _counts(response)


def _counts(response: dict[str, Any]) -> dict[str, int]:
    return {name: count for name, count in response.items() if name != "records"}


@router.delete(
    "/{id}",
    status_code=HTTPStatus.ACCEPTED,
    summary="Erase a member",
    response_class=Response,
    responses={
        202: {
            "model": ErasedMember,
            "description": "The member is erased from landing, and leaves every count within seconds.",
            "content": {JSON: {"example": ERASED_EXAMPLE}},
        },
        **problems(401, 403, 404, 422, 429, 503),
    },
)
async def erase_user(
    services: Annotated[Services, Depends(get_services)],
    api_key: Annotated[ApiKey, Depends(require_scope(Right.ERASE))],
    id: Annotated[
        str,
        Path(
            max_length=ID.longest,
            pattern=f"^{ID.pattern}$",
            description="The member's id.",
            examples=[ERASED_EXAMPLE["id"]],
        ),
    ],
) -> Response:
    """Erase a member from landing, `created_users` and every count. The id cannot be used again."""
    erasure = await services.pool.run(erase_records, services.definition, [id])
    if erasure.unknown:
        raise ProblemError(HTTPStatus.NOT_FOUND, "No member has this id.")
    services.wake_publisher()
    status = "erased" if erasure.erased else "erased_before"
    response = {"id": id, "status": status, "message": explain_retention(services.definition, services.rejected)}
    return Response(orjson.dumps(response), HTTPStatus.ACCEPTED, media_type=JSON)
