"""The user API: asked itself where it can be, otherwise judged by how the last run of `user_create` went."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from http import HTTPStatus
from urllib.parse import urlsplit

import requests

from member_analyzer.console.board import Look, State
from member_analyzer.console.sightings import Sightings
from member_analyzer.console.stations.http import ask
from member_analyzer.console.watch import AwayError, Glance
from member_analyzer.http.sessions import direct_session
from member_analyzer.settings import ConsoleSettings

MEANS_NO_NEW_MEMBERS = (
    "Runs of user_create fail, and are repeated: until then members only come through the collector. "
    "Those that are here already are counted as always."
)


class UserApiSource:
    """Where `user_create` takes members from."""

    name = "user-api"
    away: tuple[type[Exception], ...] = ()

    def __init__(self, settings: ConsoleSettings, sightings: Sightings) -> None:
        self._url = settings.user_api_health_url
        self._sightings = sightings

    def means(self, since: str) -> str:
        """No new members."""
        return MEANS_NO_NEW_MEMBERS

    @contextmanager
    def connect(self) -> Iterator[Sequence[Glance]]:
        """One look."""
        with direct_session() as session:
            url = self._url
            yield [Glance((lambda: self._ask(session, url)) if url else self._judge, rest=2)]

    def _ask(self, session: requests.Session, url: str) -> Look:
        answer = ask(session, url)
        if answer.status_code != HTTPStatus.OK:
            raise AwayError(f"It answers {answer.status_code} {answer.reason}.")
        parts = urlsplit(url)
        address = f"{parts.scheme}://{parts.netloc.rpartition('@')[2]}"
        return Look(facts=[("Address", address)], detail={"address": address})

    def _judge(self) -> Look:
        runs = self._sightings.runs.get("user_create", ())
        last = next((one for one in runs if one.ended is not None), None)
        if last is None:
            return Look(State.UNKNOWN, "Nobody has asked it yet: user_create has not run.", detail={})
        told = [("Last run of user_create", f"{last.run.state}, {last.ended:%Y-%m-%d %H:%M} UTC")]
        if last.run.state == "success":
            return Look(facts=told, detail={})
        complaint = "The last run of user_create failed; Airflow's UI shows whether the user API was the cause."
        return Look(State.DEGRADED, complaint, MEANS_NO_NEW_MEMBERS, facts=told, detail={})
