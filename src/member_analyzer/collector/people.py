"""`/v1/analysis/interactions/sessions` and `/timeline`: what a person did. Every access is logged."""

import hmac
from datetime import UTC, datetime
from typing import Annotated, Any

import orjson
import structlog
from fastapi import APIRouter, Depends, Query, Response
from pydantic import AfterValidator

from member_analyzer.analysis.interactions.person_history import parse_position
from member_analyzer.analysis.interactions.reader import Lag, Page
from member_analyzer.collector.authentication import require_scope
from member_analyzer.collector.dependencies import Services, get_services
from member_analyzer.collector.interaction_analysis import build_lag, to_seconds
from member_analyzer.collector.openapi import SESSIONS_EXAMPLE, TIMELINE_EXAMPLE, problems
from member_analyzer.collector.responses import PersonSessions, PersonTimeline
from member_analyzer.landing.api_keys import ApiKey, Right
from member_analyzer.records.codec import write_moment
from member_analyzer.streams.interactions.identity import ANONYMOUS_PREFIX, MEMBER_PREFIX, USER_PREFIX

router = APIRouter(prefix="/v1/analysis/interactions", tags=["interactions"])

log = structlog.get_logger(__name__)

JSON = "application/json"
PREFIXES = (MEMBER_PREFIX, USER_PREFIX, ANONYMOUS_PREFIX)

PersonId = Annotated[
    str,
    Query(
        min_length=1,
        max_length=255,
        description="The id of a member, or a visitor: `m:` and the id of a member, `u:` and another user id, or `a:` "
        "and an anonymous id.",
        examples=["0b7f8c1e-5d0a-4f3b-9c46-2f1d7a5e8b90"],
    ),
]
Limit = Annotated[int, Query(ge=1, le=1000, description="Maximum number of rows.", examples=[10])]


def check_position(text: str) -> str:
    """The text of a position, unchanged: FastAPI's parameters cannot be objects. Raises ValueError."""
    parse_position(text)
    return text


Before = Annotated[
    Annotated[str, AfterValidator(check_position)] | None,
    Query(
        max_length=255,
        description="Only what is before this moment (ISO 8601, in UTC if it has no offset), or the `next` of the "
        "previous page.",
        examples=["2026-11-21T09:15:00.000Z"],
    ),
]


@router.get(
    "/sessions",
    summary="Read the sessions of a person",
    response_class=Response,
    responses={
        200: {
            "model": PersonSessions,
            "description": "The sessions, newest first; none if the person is unknown.",
            "content": {JSON: {"example": SESSIONS_EXAMPLE}},
        },
        **problems(401, 403, 422, 429, 503),
    },
)
async def read_sessions(
    services: Annotated[Services, Depends(get_services)],
    api_key: Annotated[ApiKey, Depends(require_scope(Right.PEOPLE))],
    person: PersonId,
    limit: Limit = 100,
    before: Before = None,
) -> Response:
    """Return the sessions of a person in all sources, newest first.

    Sessions under an anonymous id that is linked to a member are sessions of the member. Requires the right `people`;
    every access is logged.
    """
    visitor, now = to_visitor(person), datetime.now(UTC)
    position = parse_position(before) if before is not None else None
    lag, page = await services.tables.read_interactions_in_thread(
        lambda reader: (reader.read_lag(), reader.read_sessions(visitor, limit, now, position))
    )
    log_access(api_key, "sessions", visitor, len(page.rows))
    return Response(orjson.dumps(build_sessions(visitor, page, lag)), media_type=JSON)


@router.get(
    "/timeline",
    summary="Read what a person did",
    response_class=Response,
    responses={
        200: {
            "model": PersonTimeline,
            "description": "The interactions, newest first; none if the person is unknown.",
            "content": {JSON: {"example": TIMELINE_EXAMPLE}},
        },
        **problems(401, 403, 422, 429, 503),
    },
)
async def read_timeline(
    services: Annotated[Services, Depends(get_services)],
    api_key: Annotated[ApiKey, Depends(require_scope(Right.PEOPLE))],
    person: PersonId,
    limit: Limit = 100,
    before: Before = None,
) -> Response:
    """Return the interactions of a person in all sources, newest first, also those under linked anonymous ids.

    Interactions that arrived too late to be counted are included, with `is_late`. Requires the right `people`; every
    access is logged.
    """
    visitor, now = to_visitor(person), datetime.now(UTC)
    position = parse_position(before) if before is not None else None
    lag, page = await services.tables.read_interactions_in_thread(
        lambda reader: (reader.read_lag(), reader.read_timeline(visitor, limit, now, position))
    )
    log_access(api_key, "timeline", visitor, len(page.rows))
    return Response(orjson.dumps(build_timeline(visitor, page, lag)), media_type=JSON)


def to_visitor(person: str) -> str:
    """The visitor that is meant: an id without a visitor's prefix is that of a member."""
    return person if person.startswith(PREFIXES) else MEMBER_PREFIX + person


def log_access(api_key: ApiKey, kind: str, visitor: str, rows: int) -> None:
    """Log who has read how much of whom; the person only as a digest."""
    log.info("people.read", api_key=api_key.name, kind=kind, rows=rows, person=digest_visitor(api_key, visitor))


def digest_visitor(api_key: ApiKey, visitor: str) -> str:
    """The first 64 bits of an HMAC-SHA256 of a visitor, whose key is the stored hash of the API key's secret.

    It shows nobody who reads the logs whom they are about. An administrator, who can read the hash, can find out
    whether a certain person was read.
    """
    return hmac.digest(api_key.hash, visitor.encode(), "sha256")[:8].hex()


def build_sessions(visitor: str, page: Page, lag: Lag) -> dict[str, Any]:
    """The response as JSON values."""
    sessions = [
        {
            **row,
            "day": row["day"].isoformat(),
            "started_at": write_moment(row["started_at"]),
            "ended_at": write_moment(row["ended_at"]),
            "seconds": to_seconds(round((row["ended_at"] - row["started_at"]).total_seconds() * 1000)),
        }
        for row in page.rows
    ]
    return {"person": visitor, "sessions": sessions, "next": page.next and str(page.next), **build_lag(lag)}


def build_timeline(visitor: str, page: Page, lag: Lag) -> dict[str, Any]:
    """The response as JSON values for orjson."""
    events = [
        {
            **row,
            "occurred_at": write_moment(row["occurred_at"]),
            "received_at": row["received_at"] and write_moment(row["received_at"]),
            "is_bot": bool(row["is_bot"]),
            "is_late": bool(row["is_late"]),
            "properties": embed_properties(row["properties"]),
        }
        for row in page.rows
    ]
    following = page.next and str(page.next)
    return {
        "person": visitor,
        "events": events,
        "next": following,
        "omitted_ids": page.omitted_ids,
        **build_lag(lag),
    }


def embed_properties(text: str | None) -> orjson.Fragment | str | None:
    """The properties as the JSON object that they are, unchanged; other text, which other producers may send, as text.

    An object that was parsed and written again could have other numbers.
    """
    if text is None:
        return None
    try:
        return orjson.Fragment(text) if isinstance(orjson.loads(text), dict) else text
    except orjson.JSONDecodeError:
        return text
