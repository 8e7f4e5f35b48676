"""How the collector does: for probes and for Prometheus.

None of these asks for a key, because neither of those has one: the chart's ingress leads to `/v1`, `/docs` and
`/openapi.json` only.
"""

from http import HTTPStatus
from typing import Annotated

import orjson
from fastapi import APIRouter, Depends, Response

from member_analyzer.collector.landing_pool import LandingAwayError
from member_analyzer.collector.measures import CONTENT_TYPE
from member_analyzer.collector.services import Services, services_of
from member_analyzer.landing.connection import Connection
from member_analyzer.landing.counters import count_unpublished

router = APIRouter(include_in_schema=False)

OK = orjson.dumps({"status": "ok"})


@router.get("/healthz")
async def answer_health() -> Response:
    """The program runs."""
    return Response(OK, media_type="application/json")


@router.get("/readyz")
async def answer_readiness(services: Annotated[Services, Depends(services_of)]) -> Response:
    """PostgreSQL takes members; 503 where it does not."""
    await services.pool.run(_look)
    return Response(OK, media_type="application/json")


@router.get("/metrics")
async def answer_metrics(services: Annotated[Services, Depends(services_of)]) -> Response:
    """The measures, also while PostgreSQL is away."""
    try:
        unpublished = await services.pool.run(_count_unpublished)
    except LandingAwayError:
        unpublished = None
    return Response(services.measures.expose(unpublished), HTTPStatus.OK, media_type=CONTENT_TYPE)


def _look(connection: Connection) -> None:
    connection.execute("SELECT FROM landing.users LIMIT 1")


def _count_unpublished(connection: Connection) -> int:
    return count_unpublished(connection)
