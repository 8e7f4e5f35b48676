"""`/v1/analysis`: the analysis tables with counts and percentages."""

import re
from datetime import date
from enum import StrEnum
from http import HTTPStatus
from typing import Annotated, Any

import orjson
from fastapi import APIRouter, Depends, Path, Query, Request, Response
from pydantic import BeforeValidator, WithJsonSchema

from member_analyzer.analysis.counts import Distribution
from member_analyzer.collector.authentication import require_scope
from member_analyzer.collector.dependencies import Services, get_services
from member_analyzer.collector.openapi import ANALYSIS_EXAMPLES, problems
from member_analyzer.collector.responses import AnalysedDay
from member_analyzer.http.problem import ProblemError
from member_analyzer.landing.api_keys import ApiKey, Right
from member_analyzer.streams.definition import Dimension

router = APIRouter(prefix="/v1/analysis", tags=["analysis"])

JSON = "application/json"
# Cassandra's driver encodes earlier years wrongly.
DAY = r"[1-9]\d{3}-\d{2}-\d{2}"


class Table(StrEnum):
    """The analysis tables, by name."""

    AGE = "age"
    GENDER = "gender"
    COUNTRY = "country"
    CITY = "city"


def parse_day(text: object) -> date:
    """A day in the format YYYY-MM-DD, and in no other that Pydantic accepts. Raises ValueError."""
    if not isinstance(text, str) or re.fullmatch(DAY, text, re.ASCII) is None:
        raise ValueError("is not a day in the format YYYY-MM-DD")
    return date.fromisoformat(text)


Day = Annotated[
    date, BeforeValidator(parse_day), WithJsonSchema({"type": "string", "format": "date", "pattern": f"^{DAY}$"})
]


@router.get(
    "/{table}",
    summary="Read an analysis table",
    response_class=Response,
    responses={
        200: {
            "model": AnalysedDay,
            "description": "The buckets, those with the most members first.",
            "content": {JSON: {"examples": ANALYSIS_EXAMPLES}},
        },
        **problems(401, 403, 404, 422, 429, 503),
    },
)
async def read_analysis(
    request: Request,
    services: Annotated[Services, Depends(get_services)],
    api_key: Annotated[ApiKey, Depends(require_scope(Right.READ))],
    table: Annotated[Table, Path(description="The dimension by which members are counted.", examples=["country"])],
    date: Annotated[Day | None, Query(description="The day; defaults to the latest one.")] = None,
    limit: Annotated[int, Query(ge=1, le=100_000, description="Maximum number of buckets.", examples=[10])] = 1000,
) -> Response:
    """Return the number of members in each bucket of a table on a day, and its percentage of the day's total.

    While members arrive, the buckets may be up to a second ahead of the total.
    """
    found = await services.tables.read_in_thread(table.value, date)
    if found is None:
        raise ProblemError(
            HTTPStatus.NOT_FOUND, f"No members were counted on {date}." if date else "No members have been counted yet."
        )
    return Response(
        orjson.dumps(build_analysis(services.definition.dimension_of(table), *found, limit)), media_type=JSON
    )


def build_analysis(dimension: Dimension, day: date, distribution: Distribution, limit: int) -> dict[str, Any]:
    """The response as JSON values; buckets of equal size are sorted by name."""
    total = distribution.total
    largest = sorted(distribution.buckets.items(), key=lambda one: (-one[1], one[0]))[:limit]
    return {
        "date": day.isoformat(),
        "table": dimension.table,
        "total": total,
        "buckets": [
            {
                **dict(zip(dimension.key_columns, bucket, strict=True)),
                "members": members,
                "percent": round(members * 100 / total, 4) if total else 0.0,
            }
            for bucket, members in largest
        ],
    }
