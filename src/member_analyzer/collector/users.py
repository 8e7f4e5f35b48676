"""`/v1/users`: members are posted and erased."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from http import HTTPStatus
from typing import Annotated, Any

import orjson
from fastapi import APIRouter, Depends, Header, Path, Request, Response

from member_analyzer.collector.access import holder_of
from member_analyzer.collector.answers import ErasedMember, Landing
from member_analyzer.collector.batch import identify_repeated, judge, lacks_id, land
from member_analyzer.collector.body import decompress, encoding_of, parse_records, read_body
from member_analyzer.collector.document import ERASED_EXAMPLE, LANDING_EXAMPLES, POSTED, problems
from member_analyzer.collector.repeats import find_answer, fingerprint, keep_answer
from member_analyzer.collector.services import Services, services_of
from member_analyzer.deadletters.retention import explain_retention
from member_analyzer.http.problem import ProblemError
from member_analyzer.landing.api_keys import ApiKey, Right
from member_analyzer.landing.connection import Connection
from member_analyzer.landing.erasure import Erasure, erase_members
from member_analyzer.records.fields import TextField
from member_analyzer.streams.members.record import MEMBER

router = APIRouter(prefix="/v1/users", tags=["members"])

JSON = "application/json"
ID = next(field for field in MEMBER.fields if isinstance(field, TextField) and field.name == MEMBER.key)


@dataclass(frozen=True)
class Post:
    """One request that posts members: who asks, and the bytes that came."""

    api_key: ApiKey
    path: str
    body: bytes
    is_gzip: bool
    idempotency_key: str | None
    keep: timedelta


@router.post(
    "",
    status_code=HTTPStatus.ACCEPTED,
    summary="Post members",
    response_class=Response,
    responses={
        202: {
            "model": Landing,
            "description": "What is valid is committed and will be counted once. What is not is kept, with the reason.",
            "content": {JSON: {"examples": LANDING_EXAMPLES}},
            "headers": {
                "Idempotency-Replayed": {
                    "description": "`true` where this is the answer to an earlier request of the same Idempotency-Key.",
                    "schema": {"type": "string", "enum": ["true"]},
                }
            },
        },
        **problems(400, 401, 403, 408, 413, 415, 422, 429, 503),
    },
    openapi_extra={"requestBody": POSTED},
)
async def post_users(
    request: Request,
    services: Annotated[Services, Depends(services_of)],
    api_key: Annotated[ApiKey, Depends(holder_of(Right.WRITE))],
    idempotency_key: Annotated[
        str | None,
        Header(
            min_length=1,
            max_length=255,
            pattern="^[!-~]([ -~]*[!-~])?$",
            description="Chosen by the client, anew for each request. A repeated request is answered as the first was.",
        ),
    ] = None,
) -> Response:
    """Accept one member, an array of up to 1,000, or the whole answer of a user API, in 1 MiB at most; gzip is welcome.

    Two forms are understood and told apart by their shape: the flat one, and the one of randomuser.me's `results`. A
    record without an id gets one. One that breaks a rule does not spoil the others, and a member that was posted before
    changes nothing.

    A record without an id is known by its content: the same content from the same API key is the same member for as
    long as idempotency keys are kept, a day unless the collector is set otherwise, in whatever request it comes. Equal
    records of one request are several members. Send an id, or an Idempotency-Key for each request, where two people may
    be alike: with the key, records without an id are new members unless the request is a repetition.
    """
    body = await read_body(request)
    keep = timedelta(hours=services.settings.repeat_hours)
    is_gzip = encoding_of(request) == "gzip"
    post = Post(api_key, request.url.path, body, is_gzip, idempotency_key, keep)
    answer, counts = await services.pool.run_in_thread(lambda: _take(services, post))
    if counts is None:
        return Response(answer, HTTPStatus.ACCEPTED, {"Idempotency-Replayed": "true"}, media_type=JSON)
    services.measures.judged(counts)
    if counts["accepted"]:
        services.wake_publisher()
    return Response(answer, HTTPStatus.ACCEPTED, media_type=JSON)


def _take(services: Services, post: Post) -> tuple[bytes, Mapping[str, int] | None]:
    """The answer, and how many records there are of each outcome; None where it was answered before."""
    body = decompress(post.body) if post.is_gzip else post.body
    now = datetime.now(UTC)
    # Before there is a connection: another thread has use for it meanwhile.
    records = parse_records(body)
    batch = [judge(record, now) for record in records]
    source = f"collector key={post.api_key.name}"
    with services.pool.connection() as connection:
        if post.idempotency_key is None and not any(map(lacks_id, records)):
            answer = land(connection, batch, source)
            return orjson.dumps(answer), _counts(answer)
        if post.idempotency_key is None:
            with connection.transaction():
                name = post.api_key.name
                known = identify_repeated(connection, records, batch, api_key=name, now=now, keep=post.keep)
                answer = land(connection, known, source)
            return orjson.dumps(answer), _counts(answer)
        mark = fingerprint("POST", post.path, body)
        with connection.transaction():
            found = find_answer(connection, post.api_key.name, post.idempotency_key, mark, post.keep)
            if found is not None:
                return found, None
            answer = land(connection, batch, source)
            written = orjson.dumps(answer)
            keep_answer(connection, post.api_key.name, post.idempotency_key, mark, written)
        return written, _counts(answer)


def _counts(answer: dict[str, Any]) -> dict[str, int]:
    return {name: count for name, count in answer.items() if name != "records"}


@router.delete(
    "/{id}",
    status_code=HTTPStatus.ACCEPTED,
    summary="Erase a member",
    response_class=Response,
    responses={
        202: {
            "model": ErasedMember,
            "description": "The member is erased here, and is taken out of every count within seconds.",
            "content": {JSON: {"example": ERASED_EXAMPLE}},
        },
        **problems(401, 403, 404, 422, 429, 503),
    },
)
async def erase_user(
    services: Annotated[Services, Depends(services_of)],
    api_key: Annotated[ApiKey, Depends(holder_of(Right.ERASE))],
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
    """Erase a member: out of landing, `created_users` and every count. The id cannot come back."""
    erasure = await services.pool.run(_erase, id)
    if erasure.unknown:
        raise ProblemError(HTTPStatus.NOT_FOUND, "There is no member of this id.")
    services.wake_publisher()
    status = "erased" if erasure.erased else "erased_before"
    answer = {"id": id, "status": status, "message": explain_retention(services.rejected)}
    return Response(orjson.dumps(answer), HTTPStatus.ACCEPTED, media_type=JSON)


def _erase(connection: Connection, key: str) -> Erasure:
    return erase_members(connection, [key])
