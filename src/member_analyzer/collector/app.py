"""The web program: its routes, what they share, and what becomes of it when it starts and ends."""

import asyncio
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

from member_analyzer.collector import analysis, document, health, users
from member_analyzer.collector.access import Gate
from member_analyzer.collector.analysis_reader import AnalysisReader, TablesAwayError
from member_analyzer.collector.landing_pool import LandingAwayError, LandingPool
from member_analyzer.collector.measures import Measures
from member_analyzer.collector.publishing import Publisher, Servers
from member_analyzer.collector.repeats import forget_answers
from member_analyzer.collector.services import Services
from member_analyzer.collector.trace import Trace
from member_analyzer.collector.trailing_slash import TrailingSlash
from member_analyzer.http.problem import ProblemError, answer_problem
from member_analyzer.landing.counters import fold_counts
from member_analyzer.landing.dead_letters import forget_rejected
from member_analyzer.settings import (
    CassandraSettings,
    CollectorSettings,
    KafkaSettings,
    LandingSettings,
    RegistrySettings,
    RejectedSettings,
)

log = structlog.get_logger(__name__)

VERSION = "1"
SECONDS_BETWEEN_CLEANINGS = 600
SECONDS_BETWEEN_FOLDS = 5
RETRY_AFTER = 2


def create_app(environment: Mapping[str, str]) -> FastAPI:
    """Make the web program with the settings of an environment; it connects when it is started."""
    services = make_services(environment)
    app = FastAPI(
        title=document.TITLE,
        version=VERSION,
        description=document.DESCRIPTION,
        docs_url=None,
        redoc_url=None,
        # A redirect names the scheme that the program sees, which behind a proxy is http: the key would follow it.
        redirect_slashes=False,
        lifespan=partial(run_services, services),
        exception_handlers={
            ProblemError: answer_problem,
            HTTPException: answer_http_error,
            RequestValidationError: answer_invalid_request,
            LandingAwayError: answer_away,
            TablesAwayError: answer_away,
        },
    )
    app.state.services = services
    app.add_middleware(Trace, measures=services.measures)
    app.add_middleware(TrailingSlash, prefix="/v1/")
    for module in (users, analysis, health, document):
        app.include_router(module.router)
    app.mount(document.ASSETS, StaticFiles(directory=document.STATIC))
    describe = app.openapi
    app.openapi = lambda: document.complete(describe())  # type: ignore[method-assign]
    return app


def make_services(environment: Mapping[str, str]) -> Services:
    """The parts of the program, none of which has connected yet."""
    settings, landing = CollectorSettings.of(environment), LandingSettings.of(environment)
    pool, measures = LandingPool(landing, settings.connections), Measures()
    publisher = None
    if settings.publish:
        servers = Servers(landing, KafkaSettings.of(environment), RegistrySettings.of(environment))
        publisher = Publisher(servers, measures)
    return Services(
        settings=settings,
        rejected=RejectedSettings.of(environment),
        pool=pool,
        gate=Gate(pool, settings.requests_per_second),
        tables=AnalysisReader(CassandraSettings.of(environment)),
        measures=measures,
        publisher=publisher,
    )


@asynccontextmanager
async def run_services(services: Services, _: FastAPI) -> AsyncIterator[None]:
    """Run what the routes need; at the end, what is under way is finished first."""
    services.pool.open()
    if services.publisher is not None:
        services.publisher.start()
    keeping = [asyncio.create_task(one(services)) for one in (keep_clean, keep_counters_small)]
    log.info("collector.started", publishes=services.publisher is not None)
    try:
        yield
    finally:
        for one in keeping:
            one.cancel()
        await to_thread.run_sync(stop_services, services)
        log.info("collector.ended")


def stop_services(services: Services) -> None:
    """End the publisher after its batch, then every connection."""
    if services.publisher is not None:
        services.publisher.stop()
    services.pool.close()
    services.tables.close()


async def keep_clean(services: Services) -> None:
    """Delete, now and then, what is older than its retention."""
    keep = timedelta(hours=services.settings.repeat_hours)
    keep_rejected = timedelta(days=services.rejected.retention_days)
    while True:
        try:
            answers = await services.pool.run(forget_answers, keep)
            rejected = await services.pool.run(forget_rejected, keep_rejected)
            log.info("landing.cleaned", answers=answers, rejected=rejected)
        except LandingAwayError:
            log.info("landing.not_cleaned", cause="PostgreSQL does not answer")
        await asyncio.sleep(SECONDS_BETWEEN_CLEANINGS)


async def keep_counters_small(services: Services) -> None:
    """Sum up the landing counters, also while Kafka is unavailable and nothing is published."""
    while True:
        with suppress(LandingAwayError):
            await services.pool.run(fold_counts)
        await asyncio.sleep(SECONDS_BETWEEN_FOLDS)


async def answer_http_error(request: Request, error: Exception) -> Response:
    """What Starlette itself refuses: unknown paths and methods."""
    if not isinstance(error, HTTPException):
        raise TypeError(f"{type(error).__name__} is no HTTPException.")
    status = HTTPStatus(error.status_code)
    detail = {
        HTTPStatus.NOT_FOUND: "There is nothing at this path: see /docs.",
        HTTPStatus.METHOD_NOT_ALLOWED: "This path does not know the method: see /docs.",
    }.get(status, error.detail)
    return ProblemError(status, detail, headers=error.headers).response


async def answer_invalid_request(request: Request, error: Exception) -> Response:
    """Parameters that break their rules: told by name, without what was sent."""
    if not isinstance(error, RequestValidationError):
        raise TypeError(f"{type(error).__name__} is no RequestValidationError.")
    wrong = [{"in": one["loc"][0], "name": str(one["loc"][-1]), "what": one["msg"]} for one in error.errors()]
    names = ", ".join(dict.fromkeys(one["name"] for one in wrong))
    problem = ProblemError(
        HTTPStatus.UNPROCESSABLE_ENTITY, f"Parameters are not as they must be: {names}.", errors=wrong
    )
    return problem.response


async def answer_away(request: Request, error: Exception) -> Response:
    """A server behind the collector is away for now."""
    server = "Cassandra" if isinstance(error, TablesAwayError) else "PostgreSQL"
    log.warning("server.away", server=server, error=str(error))
    detail = f"{server} does not answer. Nothing is lost: send the request again in {RETRY_AFTER} seconds."
    problem = ProblemError(HTTPStatus.SERVICE_UNAVAILABLE, detail, headers={"Retry-After": str(RETRY_AFTER)})
    return problem.response
