"""Health, readiness and metrics endpoints.

They require no API key, because probes and Prometheus have none: the chart's ingress exposes only `/v1`, `/docs` and
`/openapi.json`.
"""

from http import HTTPStatus
from typing import Annotated

import orjson
from fastapi import APIRouter, Depends, Response

from member_analyzer.collector.dependencies import Services, get_services
from member_analyzer.collector.landing_pool import LandingUnavailableError
from member_analyzer.collector.metrics import CONTENT_TYPE
from member_analyzer.landing.connection import Connection
from member_analyzer.landing.counters import count_unpublished
from member_analyzer.landing.statements import statement
from member_analyzer.streams.definition import StreamDefinition

router = APIRouter(include_in_schema=False)

OK = orjson.dumps({"status": "ok"})


@router.get("/healthz")
async def report_health() -> Response:
    """Liveness: the process runs."""
    return Response(OK, media_type="application/json")


@router.get("/readyz")
async def report_readiness(services: Annotated[Services, Depends(get_services)]) -> Response:
    """Readiness: PostgreSQL can be reached; otherwise 503."""
    await services.pool.run(_query_landing, services.definition)
    return Response(OK, media_type="application/json")


@router.get("/metrics")
async def report_metrics(services: Annotated[Services, Depends(get_services)]) -> Response:
    """Prometheus metrics, also while PostgreSQL is unavailable."""
    try:
        unpublished = await services.pool.run(count_unpublished, services.definition)
    except LandingUnavailableError:
        unpublished = None
    return Response(services.metrics.render(unpublished), HTTPStatus.OK, media_type=CONTENT_TYPE)


def _query_landing(connection: Connection, definition: StreamDefinition) -> None:
    connection.execute(statement(definition.landing, "SELECT FROM {records} LIMIT 1"))
