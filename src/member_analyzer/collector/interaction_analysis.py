"""`/v1/analysis/interactions`: what members do in an application, in numbers."""

from datetime import UTC, date, datetime
from enum import StrEnum
from http import HTTPStatus
from typing import Annotated, Any

import orjson
from fastapi import APIRouter, Depends, Query, Response

from member_analyzer.analysis.interactions.reader import Lag, Live
from member_analyzer.analysis.interactions.totals import Bucket, DayTotals
from member_analyzer.collector.analysis import Day
from member_analyzer.collector.authentication import require_scope
from member_analyzer.collector.dependencies import Services, get_services
from member_analyzer.collector.openapi import DAY_EXAMPLE, DETAILS, LIVE_EXAMPLE, TOP_EXAMPLES, problems
from member_analyzer.collector.responses import InteractionDay, InteractionLive, InteractionTop
from member_analyzer.http.problem import ProblemError
from member_analyzer.landing.api_keys import ApiKey, Right
from member_analyzer.records.codec import write_moment

router = APIRouter(prefix="/v1/analysis/interactions", tags=["interactions"])

JSON = "application/json"


class By(StrEnum):
    """The dimensions by which interactions are counted."""

    PAGE = "page"
    EVENT = "event"
    ENTRY_PAGE = "entry_page"
    EXIT_PAGE = "exit_page"
    REFERRER = "referrer"
    UTM_SOURCE = "utm_source"
    DEVICE = "device"
    BROWSER = "browser"
    SYSTEM = "system"
    APP_VERSION = "app_version"
    COUNTRY = "country"
    AGE_GROUP = "age_group"
    GENDER = "gender"
    MEMBER_COUNTRY = "member_country"
    CITY = "city"


SourceName = Annotated[
    str,
    Query(pattern="^[a-z0-9-]{1,40}$", description="The application that sends the interactions.", examples=["shop"]),
]
OptionalDay = Annotated[
    Day | None,
    Query(description="The day in the time zone of the source; defaults to the current one in UTC."),
]
Bots = Annotated[bool, Query(description="Count people and bots together, instead of people only.")]
UNCOUNTED = DETAILS | {404: "No interactions of the source shop were counted on 2026-11-21."}


@router.get(
    "/day",
    summary="Read the totals of a day",
    response_class=Response,
    responses={
        200: {
            "model": InteractionDay,
            "description": "The totals of the day.",
            "content": {JSON: {"example": DAY_EXAMPLE}},
        },
        **problems(401, 403, 404, 422, 429, 503, details=UNCOUNTED),
    },
)
async def read_day(
    services: Annotated[Services, Depends(get_services)],
    api_key: Annotated[ApiKey, Depends(require_scope(Right.READ))],
    source: SourceName,
    date: OptionalDay = None,
    bots: Bots = False,
) -> Response:
    """Return the events, visitors, sessions, bounces and seconds of a source on a day.

    Visitors are distinct persons: a member and the anonymous ids linked to it are one. A session is counted on the day
    on which it began; a bounce is a session of one view without a named event.
    """
    day = date or today()
    lag, totals = await services.tables.read_interactions_in_thread(
        lambda reader: (reader.read_lag(), reader.read_day(source, day, with_bots=bots))
    )
    if totals is None:
        raise uncounted(source, day)
    return Response(orjson.dumps(build_day(source, day, totals, lag)), media_type=JSON)


@router.get(
    "/top",
    summary="Read the counts of a day by page, event or another dimension",
    response_class=Response,
    responses={
        200: {
            "model": InteractionTop,
            "description": "The buckets, those with the most visitors first, then those with the most events.",
            "content": {JSON: {"examples": TOP_EXAMPLES}},
        },
        **problems(401, 403, 404, 422, 429, 503, details=UNCOUNTED),
    },
)
async def read_top(
    services: Annotated[Services, Depends(get_services)],
    api_key: Annotated[ApiKey, Depends(require_scope(Right.READ))],
    source: SourceName,
    by: Annotated[
        By,
        Query(
            description="The dimension. `country` is where the interaction came from; `age_group`, `gender`, "
            "`member_country` and `city` are those with which the member is registered.",
            examples=["page"],
        ),
    ],
    date: OptionalDay = None,
    limit: Annotated[int, Query(ge=1, le=10_000, description="Maximum number of buckets.", examples=[10])] = 100,
    bots: Bots = False,
) -> Response:
    """Return the events, visitors and sessions of a source on a day, by the values of a dimension.

    Interactions without a value are in no bucket, and a visitor or a session may be in several: the buckets do not add
    up to the day's totals.
    """
    day = date or today()
    lag, buckets = await services.tables.read_interactions_in_thread(
        lambda reader: (reader.read_lag(), reader.read_top(source, day, by.value, limit, with_bots=bots))
    )
    if buckets is None:
        raise uncounted(source, day)
    return Response(orjson.dumps(build_top(source, day, by, buckets, lag)), media_type=JSON)


@router.get(
    "/live",
    summary="Read what happens now",
    response_class=Response,
    responses={
        200: {
            "model": InteractionLive,
            "description": "Who is active, and the last 30 minutes.",
            "content": {JSON: {"example": LIVE_EXAMPLE}},
        },
        **problems(401, 403, 422, 429, 503),
    },
)
async def read_live(
    services: Annotated[Services, Depends(get_services)],
    api_key: Annotated[ApiKey, Depends(require_scope(Right.READ))],
    source: SourceName,
    bots: Bots = False,
) -> Response:
    """Return the number of persons who were active in the last five minutes, and the counts of the last 30 minutes.

    The minutes end with the current one, in UTC, and those without interactions are zero, also of an unknown source.
    """
    now = datetime.now(UTC)
    lag, live = await services.tables.read_interactions_in_thread(
        lambda reader: (reader.read_lag(), reader.read_live(source, now, with_bots=bots))
    )
    return Response(orjson.dumps(build_live(source, live, lag)), media_type=JSON)


def build_day(source: str, day: date, totals: DayTotals, lag: Lag) -> dict[str, Any]:
    """The response as JSON values."""
    return {
        "source": source,
        "date": day.isoformat(),
        "events": totals.events,
        "visitors": totals.visitors,
        "sessions": totals.sessions,
        "bounces": totals.bounces,
        "seconds": to_seconds(totals.milliseconds),
        "late": totals.late,
        "erased": totals.erased,
        **build_lag(lag),
    }


def build_top(source: str, day: date, by: By, buckets: list[Bucket], lag: Lag) -> dict[str, Any]:
    """The response as JSON values; a city has its country."""
    return {
        "source": source,
        "date": day.isoformat(),
        "by": by.value,
        "buckets": [
            {
                "name": one.name,
                **({"country": one.country} if by is By.CITY else {}),
                "events": one.events,
                "visitors": one.visitors,
                "sessions": one.sessions,
            }
            for one in buckets
        ],
        **build_lag(lag),
    }


def build_live(source: str, live: Live, lag: Lag) -> dict[str, Any]:
    """The response as JSON values."""
    return {
        "source": source,
        "active": live.active,
        "minutes": [
            {
                "minute": write_moment(one.minute),
                "events": one.events,
                "visitors": one.visitors,
                "sessions": one.sessions,
            }
            for one in live.minutes
        ],
        **build_lag(lag),
    }


def build_lag(lag: Lag) -> dict[str, Any]:
    """The lag as JSON values, which every response has."""
    return {"as_of": lag.as_of and write_moment(lag.as_of), "unread": lag.unread}


def to_seconds(milliseconds: int) -> int | float:
    """Milliseconds in seconds: an integer if it is whole."""
    return milliseconds / 1000 if milliseconds % 1000 else milliseconds // 1000


def today() -> date:
    """The current day in UTC."""
    return datetime.now(UTC).date()


def uncounted(source: str, day: date) -> ProblemError:
    """The problem that a source has nothing on a day; an unknown source never has."""
    return ProblemError(HTTPStatus.NOT_FOUND, f"No interactions of the source {source} were counted on {day}.")
