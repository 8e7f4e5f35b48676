"""The services that the routes share, injected by FastAPI."""

from dataclasses import dataclass
from typing import cast

from fastapi import Request

from member_analyzer.collector.analysis_reader import AnalysisReader
from member_analyzer.collector.authentication import Authenticator
from member_analyzer.collector.interactions import InteractionIntake
from member_analyzer.collector.landing_pool import LandingPool
from member_analyzer.collector.metrics import Metrics
from member_analyzer.collector.publishing import Publisher
from member_analyzer.collector.write_keys import SourceAuthenticator
from member_analyzer.settings import CollectorSettings, RejectedSettings
from member_analyzer.streams.definition import StreamDefinition


@dataclass(frozen=True)
class Services:
    """The services of a running collector; `publisher` is None if publishing is disabled."""

    definition: StreamDefinition
    settings: CollectorSettings
    rejected: RejectedSettings
    pool: LandingPool
    authenticator: Authenticator
    tables: AnalysisReader
    metrics: Metrics
    publisher: Publisher | None
    sources: SourceAuthenticator
    interactions: InteractionIntake

    def wake_publisher(self) -> None:
        """Notify the publisher that something has landed."""
        if self.publisher is not None:
            self.publisher.wake()


async def get_services(request: Request) -> Services:
    """The services of the application; async, because FastAPI runs other dependencies in a thread."""
    return cast(Services, request.app.state.services)
