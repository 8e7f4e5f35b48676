"""`/v1/analysis`: the tables with counts and percentages."""

import re
from datetime import date
from enum import StrEnum
from http import HTTPStatus
from typing import Annotated, Any

import orjson
from fastapi import APIRouter, Depends, Path, Query, Request, Response
from pydantic import BeforeValidator, WithJsonSchema

from member_analyzer.analysis.counts import Distribution
from member_analyzer.analysis.tables import KEY_COLUMNS
from member_analyzer.collector.access import holder_of
from member_analyzer.collector.answers import AnalysedDay
from member_analyzer.collector.document import ANALYSIS_EXAMPLES, problems
from member_analyzer.collector.services import Services, services_of
from member_analyzer.http.problem import ProblemError
from member_analyzer.landing.api_keys import ApiKey, Right

router = APIRouter(prefix="/v1/analysis", tags=["analysis"])

JSON = "application/json"
# Cassandra's driver does not write earlier years as Cassandra reads them.
DAY = r"[1-9]\d{3}-\d{2}-\d{2}"


class Table(StrEnum):
    """The analysis tables, by name."""

    AGE = "age"
    GENDER = "gender"
    COUNTRY = "country"
    CITY = "city"


def read_day(text: object) -> date:
    """A day of the form YYYY-MM-DD, and of no other that Pydantic takes. Raises ValueError."""
    if not isinstance(text, str) or re.fullmatch(DAY, text, re.ASCII) is None:
        raise ValueError("is not a day of the form YYYY-MM-DD")
    return date.fromisoformat(text)


Day = Annotated[
    date, BeforeValidator(read_day), WithJsonSchema({"type": "string", "format": "date", "pattern": f"^{DAY}$"})
]


@router.get(
    "/{table}",
    summary="Read an analysis table",
    response_class=Response,
    responses={
        200: {
            "model": AnalysedDay,
            "description": "The buckets with the most members first.",
            "content": {JSON: {"examples": ANALYSIS_EXAMPLES}},
        },
        **problems(401, 403, 404, 422, 429, 503),
    },
)
async def read_analysis(
    request: Request,
    services: Annotated[Services, Depends(services_of)],
    api_key: Annotated[ApiKey, Depends(holder_of(Right.READ))],
    table: Annotated[Table, Path(description="What the members are counted by.", examples=["country"])],
    date: Annotated[Day | None, Query(description="The day; the newest one unless given.")] = None,
    limit: Annotated[int, Query(ge=1, le=100_000, description="Most buckets to give.", examples=[10])] = 1000,
) -> Response:
    """Give how many members each bucket of a table holds on a day, and its percentage of the day's total.

    Read while members arrive, the buckets may be ahead of the total by those of the last second.
    """
    found = await services.tables.read_in_thread(table.value, date)
    if found is None:
        raise ProblemError(
            HTTPStatus.NOT_FOUND, f"Nobody was counted on {date}." if date else "Nobody has been counted yet."
        )
    return Response(orjson.dumps(write_analysis(table.value, *found, limit)), media_type=JSON)


def write_analysis(table: str, day: date, distribution: Distribution, limit: int) -> dict[str, Any]:
    """The answer as JSON values; buckets with as many members stand in the order of their names."""
    total = distribution.total
    largest = sorted(distribution.buckets.items(), key=lambda one: (-one[1], one[0]))[:limit]
    return {
        "date": day.isoformat(),
        "table": table,
        "total": total,
        "buckets": [
            {
                **dict(zip(KEY_COLUMNS[table], bucket, strict=True)),
                "members": members,
                "percent": round(members * 100 / total, 4) if total else 0.0,
            }
            for bucket, members in largest
        ],
    }
