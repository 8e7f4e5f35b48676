"""Collector: its readiness."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from http import HTTPStatus

import requests

from member_analyzer.console.monitoring import Probe
from member_analyzer.console.monitors.http import get
from member_analyzer.console.status import State, Status
from member_analyzer.http.sessions import direct_session
from member_analyzer.settings import ConsoleSettings

NOT_INSTALLED = Status(State.UNKNOWN, "The collector is not installed; members only arrive through user_create.")


class CollectorMonitor:
    """Calls the collector's readiness endpoint."""

    name = "collector"
    unavailable_errors: tuple[type[Exception], ...] = ()

    def __init__(self, settings: ConsoleSettings) -> None:
        self._url = settings.collector_url.rstrip("/")

    def impact(self, last_seen: str) -> str:
        return (
            "Members cannot be posted; clients get no 202 and have to retry. "
            "Members accepted earlier are in landing and are not lost."
        )

    @contextmanager
    def connect(self) -> Iterator[Sequence[Probe]]:
        with direct_session() as session:
            yield [Probe(lambda: self._check(session) if self._url else NOT_INSTALLED, pause=2)]

    def _check(self, session: requests.Session) -> Status:
        response = get(session, f"{self._url}/readyz")
        is_ready = response.status_code == HTTPStatus.OK
        return Status(
            State.UP if is_ready else State.DEGRADED,
            None if is_ready else f"Not ready ({response.status_code} {response.reason}).",
            None if is_ready else self.impact(""),
            facts=[("Address", self._url)],
            detail={"ready": is_ready},
        )
