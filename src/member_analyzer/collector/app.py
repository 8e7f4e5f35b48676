"""The FastAPI application: routes, services, lifespan and error handlers."""

import asyncio
import socket
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager, suppress
from datetime import timedelta
from functools import partial
from http import HTTPStatus

import structlog
from anyio import to_thread
from fastapi import FastAPI, Request, Response
from fastapi.exceptions import RequestValidationError
from starlette.exceptions import HTTPException
from starlette.staticfiles import StaticFiles

from member_analyzer.collector import analysis, health, interaction_analysis, openapi, people, tracking, users
from member_analyzer.collector.access_log import AccessLog
from member_analyzer.collector.analysis_reader import AnalysisReader, AnalysisUnavailableError
from member_analyzer.collector.authentication import Authenticator
from member_analyzer.collector.cross_origin import CrossOrigin
from member_analyzer.collector.dependencies import Services
from member_analyzer.collector.idempotency import delete_expired
from member_analyzer.collector.interactions import InteractionIntake, RegistryUnavailableError
from member_analyzer.collector.landing_pool import LandingPool, LandingUnavailableError
from member_analyzer.collector.metrics import Metrics
from member_analyzer.collector.publishing import Publisher, PublisherSettings
from member_analyzer.collector.trailing_slash import TrailingSlash
from member_analyzer.collector.write_keys import SourceAuthenticator
from member_analyzer.http.problem import ProblemError, answer_problem
from member_analyzer.landing.counters import fold_counts
from member_analyzer.landing.dead_letters import forget_rejected
from member_analyzer.publishing.transactions import KafkaUnavailableError
from member_analyzer.settings import (
    CassandraSettings,
    CollectorSettings,
    KafkaSettings,
    LandingSettings,
    RegistrySettings,
    RejectedSettings,
)
from member_analyzer.streams.definition import StreamDefinition
from member_analyzer.streams.interactions.definition import INTERACTIONS

log = structlog.get_logger(__name__)

VERSION = "1"
PURGE_INTERVAL_SECONDS = 600
FOLD_INTERVAL_SECONDS = 5
RETRY_AFTER = 2
SERVERS: Mapping[type[Exception], str] = {
    LandingUnavailableError: "PostgreSQL",
    AnalysisUnavailableError: "Cassandra",
    KafkaUnavailableError: "Kafka",
    RegistryUnavailableError: "The schema registry",
}


def create_app(environment: Mapping[str, str], definition: StreamDefinition) -> FastAPI:
    """Create the application for one stream from the settings in an environment; it connects when it starts."""
    services = make_services(environment, definition)
    app = FastAPI(
        title=openapi.TITLE,
        version=VERSION,
        description=openapi.DESCRIPTION,
        docs_url=None,
        redoc_url=None,
        # A redirect uses the scheme that the program sees, which is http behind a proxy: the key would be sent there.
        redirect_slashes=False,
        lifespan=partial(run_services, services),
        exception_handlers={
            ProblemError: handle_problem,
            HTTPException: handle_http_error,
            RequestValidationError: handle_invalid_request,
            LandingUnavailableError: handle_unavailable,
            AnalysisUnavailableError: handle_unavailable,
            KafkaUnavailableError: handle_unavailable,
            RegistryUnavailableError: handle_unavailable,
        },
    )
    app.state.services = services
    app.add_middleware(AccessLog, metrics=services.metrics)
    app.add_middleware(CrossOrigin, applies=tracking.is_page_path)
    app.add_middleware(TrailingSlash)
    for module in (users, tracking, analysis, interaction_analysis, people, health, openapi):
        app.include_router(module.router)
    app.mount(openapi.ASSETS, StaticFiles(directory=openapi.STATIC))
    describe = app.openapi
    app.openapi = lambda: openapi.add_problem_schema(describe())  # type: ignore[method-assign]
    return app


def make_services(environment: Mapping[str, str], definition: StreamDefinition) -> Services:
    """The services of the application, none of them connected yet."""
    settings, landing = CollectorSettings.of(environment), LandingSettings.of(environment)
    pool, metrics = LandingPool(landing, settings.connections), Metrics()
    kafka, registry = KafkaSettings.of(environment), RegistrySettings.of(environment)
    publisher = None
    if settings.publish:
        publisher = Publisher(PublisherSettings(definition, landing, kafka, registry), metrics)
    return Services(
        definition=definition,
        settings=settings,
        rejected=RejectedSettings.of(environment),
        pool=pool,
        authenticator=Authenticator(pool, settings.requests_per_second),
        tables=AnalysisReader(CassandraSettings.of(environment), definition),
        metrics=metrics,
        publisher=publisher,
        sources=SourceAuthenticator(pool),
        interactions=InteractionIntake(INTERACTIONS, kafka, registry, transactional_id()),
    )


def transactional_id() -> str:
    """The id of this process's transactions in Kafka: the same after a restart, different for each pod."""
    return f"member-analyzer-collector-{socket.gethostname()}"


@asynccontextmanager
async def run_services(services: Services, _: FastAPI) -> AsyncIterator[None]:
    """Run the services for the lifespan of the application; shut them down gracefully."""
    services.pool.open()
    services.interactions.start()
    if services.publisher is not None:
        services.publisher.start()
    background = [asyncio.create_task(one(services)) for one in (purge_expired, fold_counters)]
    log.info("collector.started", publishes=services.publisher is not None)
    try:
        yield
    finally:
        for task in background:
            task.cancel()
        await to_thread.run_sync(stop_services, services)
        log.info("collector.stopped")


def stop_services(services: Services) -> None:
    """Finish what is being written and published, then close every connection."""
    services.interactions.stop()
    if services.publisher is not None:
        services.publisher.stop()
    services.pool.close()
    services.tables.close()


async def purge_expired(services: Services) -> None:
    """Periodically delete what is past its retention."""
    retention = timedelta(hours=services.settings.idempotency_hours)
    rejected_retention = timedelta(days=services.rejected.retention_days)
    while True:
        try:
            responses = await services.pool.run(delete_expired, retention)
            rejected = await services.pool.run(forget_rejected, [services.definition], rejected_retention)
            log.info("landing.purged", responses=responses, rejected=rejected)
        except LandingUnavailableError:
            log.info("landing.purge_skipped", cause="PostgreSQL is unavailable")
        await asyncio.sleep(PURGE_INTERVAL_SECONDS)


async def fold_counters(services: Services) -> None:
    """Periodically fold the landing counters, also while Kafka is unavailable and nothing is published."""
    while True:
        with suppress(LandingUnavailableError):
            await services.pool.run(fold_counts)
        await asyncio.sleep(FOLD_INTERVAL_SECONDS)


async def handle_problem(request: Request, error: Exception) -> Response:
    """Answer a problem of a route, in the form that the clients of the route understand."""
    if isinstance(error, ProblemError) and tracking.is_page_path(request.url.path):
        return tracking.add_code(error).response
    return await answer_problem(request, error)


async def handle_http_error(request: Request, error: Exception) -> Response:
    """Answer Starlette's own errors: unknown paths and methods."""
    if not isinstance(error, HTTPException):
        raise TypeError(f"{type(error).__name__} is not an HTTPException.")
    status = HTTPStatus(error.status_code)
    detail = {
        HTTPStatus.NOT_FOUND: "This path does not exist: see /docs.",
        HTTPStatus.METHOD_NOT_ALLOWED: "This path does not support the method: see /docs.",
    }.get(status, error.detail)
    return ProblemError(status, detail, headers=error.headers).response


async def handle_invalid_request(request: Request, error: Exception) -> Response:
    """Name the invalid parameters, without their values."""
    if not isinstance(error, RequestValidationError):
        raise TypeError(f"{type(error).__name__} is not a RequestValidationError.")
    errors = [{"in": one["loc"][0], "name": str(one["loc"][-1]), "what": one["msg"]} for one in error.errors()]
    names = ", ".join(dict.fromkeys(one["name"] for one in errors))
    return ProblemError(HTTPStatus.UNPROCESSABLE_ENTITY, f"Invalid parameters: {names}.", errors=errors).response


async def handle_unavailable(request: Request, error: Exception) -> Response:
    """Answer 503 while a server is unavailable."""
    server = next((name for kind, name in SERVERS.items() if isinstance(error, kind)), "A server")
    log.warning("server.unavailable", server=server, error=str(error))
    detail = f"{server} is unavailable. Nothing is lost: retry in {RETRY_AFTER} seconds."
    problem = ProblemError(HTTPStatus.SERVICE_UNAVAILABLE, detail, headers={"Retry-After": str(RETRY_AFTER)})
    return problem.response
