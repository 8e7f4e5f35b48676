"""Spark's stream: whether it runs, and how far its query came."""

import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from http import HTTPStatus
from typing import Any

import requests

from member_analyzer.analysis.progress import QUERY
from member_analyzer.console.board import Look, State
from member_analyzer.console.rate import Rates
from member_analyzer.console.sightings import Sightings
from member_analyzer.console.stations.http import ask
from member_analyzer.console.watch import AwayError, Glance
from member_analyzer.http.sessions import direct_session
from member_analyzer.kafka.topics import USERS
from member_analyzer.settings import ConsoleSettings

# A batch of the largest size takes less.
STANDSTILL_SECONDS = 120


@dataclass
class Movement:
    """Since when a query has written nothing although records wait for it."""

    written: int = -1
    since: float = field(default_factory=time.monotonic)


class SparkSource:
    """What counts the members. Its UI tells that it runs, its progress in Cassandra how far it came."""

    name = "spark"
    away: tuple[type[Exception], ...] = ()

    def __init__(self, settings: ConsoleSettings, sightings: Sightings) -> None:
        self._url = settings.spark_url.rstrip("/")
        self._sightings = sightings

    def means(self, since: str) -> str:
        """The numbers stand still."""
        return (
            "The members' numbers stand still. What arrives meanwhile waits in Kafka, for a week, and is counted once "
            "the stream runs again; nothing is lost."
        )

    @contextmanager
    def connect(self) -> Iterator[Sequence[Glance]]:
        """One look."""
        rates, movements = Rates(), {QUERY: Movement()}
        with direct_session() as session:
            yield [Glance(lambda: self._look(session, rates, movements))]

    def _look(self, session: requests.Session, rates: Rates, movements: dict[str, Movement]) -> Look:
        now = time.monotonic()
        queries: list[dict[str, Any]] = []
        standing = []
        for query, movement in movements.items():
            progress = self._sightings.progress.get(query)
            if progress is None:
                continue
            written = sum(offset + 1 for offset in progress.written.values())
            lag = self._lag(query)
            if written != movement.written or not lag:
                movement.written, movement.since = written, now
            elif now - movement.since > STANDSTILL_SECONDS:
                standing.append(query)
            queries.append({"name": query, "lag": lag, "rate": rates.note(query, written, now)})
        members = next((one for one in queries if one["name"] == QUERY), dict[str, Any]())
        try:
            application = self._read_application(session)
            state, complaint = State.UP, None
        except AwayError as error:
            application = {}
            state, complaint = State.DOWN, str(error)
            # It may take its time again once it is back.
            for movement in movements.values():
                movement.since = now
        if standing and state == State.UP:
            state = State.DEGRADED
            named = " and ".join(standing)
            complaint = f"Records wait, but none was written by {named} for {STANDSTILL_SECONDS} seconds."
        day, last_batch = self._newest()
        return Look(
            state,
            complaint,
            None if state == State.UP else self.means(""),
            rate=members.get("rate"),
            lag=members.get("lag"),
            facts=[
                *((f"Waiting for {one['name']}", f"{one['lag']:,}") for one in queries if one["lag"] is not None),
                *([("Last batch", f"{last_batch:%Y-%m-%d %H:%M:%S} UTC")] if last_batch else []),
                *([("Day", day)] if day else []),
            ],
            detail={
                "application": application.get("name"),
                "started": application.get("started"),
                "queries": queries,
                "day": day,
                "last_batch": last_batch,
            },
        )

    def _lag(self, query: str) -> int | None:
        bounds = self._sightings.bounds.get(USERS.name)
        return None if bounds is None else sum(self._sightings.count_unread(query, bounds).values())

    def _newest(self) -> tuple[str | None, datetime | None]:
        progress = self._sightings.progress
        day = progress[QUERY].analysis_date if QUERY in progress else None
        moments = [one.updated_at for one in progress.values() if one.updated_at is not None]
        return day.isoformat() if day else None, max(moments, default=None)

    def _read_application(self, session: requests.Session) -> dict[str, Any]:
        answer = ask(session, f"{self._url}/api/v1/applications")
        if answer.status_code != HTTPStatus.OK:
            raise AwayError(f"Its UI answers {answer.status_code} {answer.reason}.")
        try:
            (application, *_) = answer.json()
            started = application["attempts"][0]["startTimeEpoch"] / 1000
        except (ValueError, LookupError, TypeError) as error:
            raise AwayError("Its UI does not tell of an application yet.") from error
        return {"name": application["name"], "started": datetime.fromtimestamp(started, UTC)}
