"""What the routes of one collector share."""

from dataclasses import dataclass
from typing import cast

from fastapi import Request

from member_analyzer.collector.access import Gate
from member_analyzer.collector.analysis_reader import AnalysisReader
from member_analyzer.collector.landing_pool import LandingPool
from member_analyzer.collector.measures import Measures
from member_analyzer.collector.publishing import Publisher
from member_analyzer.settings import CollectorSettings, RejectedSettings


@dataclass(frozen=True)
class Services:
    """The parts of a running collector; the publisher is None where it does not publish."""

    settings: CollectorSettings
    rejected: RejectedSettings
    pool: LandingPool
    gate: Gate
    tables: AnalysisReader
    measures: Measures
    publisher: Publisher | None

    def wake_publisher(self) -> None:
        """Something has landed."""
        if self.publisher is not None:
            self.publisher.wake()


async def services_of(request: Request) -> Services:
    """The parts of the collector that answers this request; what is not async is run in another thread by FastAPI."""
    return cast(Services, request.app.state.services)
