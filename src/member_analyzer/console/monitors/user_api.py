"""User API: its health endpoint if there is one, otherwise the result of the last run of `user_create`."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from http import HTTPStatus
from urllib.parse import urlsplit

import requests

from member_analyzer.console.monitoring import Probe, UnavailableError
from member_analyzer.console.monitors.http import get
from member_analyzer.console.snapshot import Snapshot
from member_analyzer.console.status import State, Status
from member_analyzer.http.sessions import direct_session
from member_analyzer.settings import ConsoleSettings

IMPACT = (
    "Runs of user_create fail and are retried; until then new members only arrive through the collector. "
    "Members fetched earlier are processed as usual."
)


class UserApiMonitor:
    """Checks the API that `user_create` fetches members from."""

    name = "user-api"
    unavailable_errors: tuple[type[Exception], ...] = ()

    def __init__(self, settings: ConsoleSettings, snapshot: Snapshot) -> None:
        self._url = settings.user_api_health_url
        self._snapshot = snapshot

    def impact(self, last_seen: str) -> str:
        return IMPACT

    @contextmanager
    def connect(self) -> Iterator[Sequence[Probe]]:
        with direct_session() as session:
            url = self._url
            yield [Probe((lambda: self._check_health(session, url)) if url else self._check_runs, pause=2)]

    def _check_health(self, session: requests.Session, url: str) -> Status:
        response = get(session, url)
        if response.status_code != HTTPStatus.OK:
            raise UnavailableError(f"It responds with {response.status_code} {response.reason}.")
        parts = urlsplit(url)
        address = f"{parts.scheme}://{parts.netloc.rpartition('@')[2]}"
        return Status(facts=[("Address", address)], detail={"address": address})

    def _check_runs(self) -> Status:
        runs = self._snapshot.runs.get("user_create", ())
        last = next((run for run in runs if run.ended is not None), None)
        if last is None:
            return Status(State.UNKNOWN, "Not used yet: user_create has not run.", detail={})
        facts = [("Last run of user_create", f"{last.run.state}, {last.ended:%Y-%m-%d %H:%M} UTC")]
        if last.run.state == "success":
            return Status(facts=facts, detail={})
        error = "The last run of user_create failed; Airflow's UI shows whether the user API was the cause."
        return Status(State.DEGRADED, error, IMPACT, facts=facts, detail={})
