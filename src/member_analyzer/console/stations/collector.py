"""The collector: whether it can land members."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from http import HTTPStatus

import requests

from member_analyzer.console.board import Look, State
from member_analyzer.console.stations.http import ask
from member_analyzer.console.watch import Glance
from member_analyzer.http.sessions import direct_session
from member_analyzer.settings import ConsoleSettings

NONE_INSTALLED = Look(State.UNKNOWN, "The collector is not installed: members only come from user_create.")


class CollectorSource:
    """What takes members over HTTP."""

    name = "collector"
    away: tuple[type[Exception], ...] = ()

    def __init__(self, settings: ConsoleSettings) -> None:
        self._url = settings.collector_url.rstrip("/")

    def means(self, since: str) -> str:
        """Who posts has to try again."""
        return (
            "Nobody can post members; who tries gets no 202 and has to try again. "
            "What it accepted before is in landing and is not lost."
        )

    @contextmanager
    def connect(self) -> Iterator[Sequence[Glance]]:
        """One look."""
        with direct_session() as session:
            yield [Glance(lambda: self._look(session) if self._url else NONE_INSTALLED, rest=2)]

    def _look(self, session: requests.Session) -> Look:
        answer = ask(session, f"{self._url}/readyz")
        is_ready = answer.status_code == HTTPStatus.OK
        return Look(
            State.UP if is_ready else State.DEGRADED,
            None if is_ready else f"It runs, but is not ready ({answer.status_code} {answer.reason}).",
            None if is_ready else self.means(""),
            facts=[("Address", self._url)],
            detail={"ready": is_ready},
        )
