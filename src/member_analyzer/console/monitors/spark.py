"""Spark: whether the stream's application runs, and the progress of its query."""

import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from http import HTTPStatus
from typing import Any

import requests

from member_analyzer.analysis.progress import QUERY
from member_analyzer.console.monitoring import Probe, UnavailableError
from member_analyzer.console.monitors.http import get
from member_analyzer.console.rate import Rates
from member_analyzer.console.snapshot import Snapshot
from member_analyzer.console.status import State, Status
from member_analyzer.http.sessions import direct_session
from member_analyzer.settings import ConsoleSettings
from member_analyzer.streams.definition import StreamDefinition

# Longer than the largest micro-batch takes.
STALL_SECONDS = 120
OTHER_STREAM_REFUSES = (
    "The members are counted. The records of the other stream wait in Kafka, and are counted once it runs again."
)


@dataclass
class LastAdvance:
    """Progress of a query, and since when it has not advanced while records are waiting."""

    written: int = -1
    at: float = field(default_factory=time.monotonic)


class SparkMonitor:
    """Reads the Spark UI's API, and compares the progress in Cassandra with the offsets in Kafka."""

    name = "spark"
    unavailable_errors: tuple[type[Exception], ...] = ()

    def __init__(self, settings: ConsoleSettings, snapshot: Snapshot, definition: StreamDefinition) -> None:
        self._topic = definition.topic.name
        self._url = settings.spark_url.rstrip("/")
        self._snapshot = snapshot

    def impact(self, last_seen: str) -> str:
        return (
            "The member counts are not updated. New events wait in Kafka, for up to a week, and are counted once the "
            "stream runs again; no data is lost."
        )

    @contextmanager
    def connect(self) -> Iterator[Sequence[Probe]]:
        rates, advances = Rates(), {QUERY: LastAdvance()}
        with direct_session() as session:
            yield [Probe(lambda: self._check(session, rates, advances))]

    def _check(self, session: requests.Session, rates: Rates, advances: dict[str, LastAdvance]) -> Status:
        now = time.monotonic()
        queries: list[dict[str, Any]] = []
        stalled = []
        for query, last_advance in advances.items():
            progress = self._snapshot.progress.get(query)
            if progress is None:
                continue
            written = sum(offset + 1 for offset in progress.written.values())
            lag = self._lag(query)
            if written != last_advance.written or not lag:
                last_advance.written, last_advance.at = written, now
            elif now - last_advance.at > STALL_SECONDS:
                stalled.append(query)
            queries.append({"name": query, "lag": lag, "rate": rates.observe(query, written, now)})
        members = next((query for query in queries if query["name"] == QUERY), dict[str, Any]())
        try:
            application = self._read_application(session)
            state, error = State.UP, None
        except UnavailableError as unavailable:
            application = {}
            state, error = State.DOWN, str(unavailable)
            # The time until a stall counts from the restart.
            for last_advance in advances.values():
                last_advance.at = now
        if stalled and state == State.UP:
            state = State.DEGRADED
            error = f"Stalled: records are waiting, but {' and '.join(stalled)} wrote none for {STALL_SECONDS} seconds."
        impact = None if state == State.UP else self.impact("")
        if refusals := self._snapshot.refusals:
            if state == State.UP:
                state = State.DEGRADED
                impact = self.impact("") if self._topic in refusals else OTHER_STREAM_REFUSES
            messages = (f"The stream of {topic} refuses to start: {message}" for topic, message in refusals.items())
            error = " ".join([*([error] if error else []), *messages])
        day, last_batch = self._newest_batch()
        interactions = self._snapshot.interactions
        return Status(
            state,
            error,
            impact,
            rate=members.get("rate"),
            lag=members.get("lag"),
            facts=[
                *((f"Lag of {query['name']}", f"{query['lag']:,}") for query in queries if query["lag"] is not None),
                *([("Lag of interactions", f"{interactions.unread:,}")] if interactions.unread is not None else []),
                *([("Last batch", f"{last_batch:%Y-%m-%d %H:%M:%S} UTC")] if last_batch else []),
                *([("Day", day)] if day else []),
            ],
            detail={
                "application": application.get("name"),
                "started": application.get("started"),
                "queries": queries,
                "interactions": {"unread": interactions.unread, "as_of": interactions.as_of},
                "day": day,
                "last_batch": last_batch,
            },
        )

    def _lag(self, query: str) -> int | None:
        bounds = self._snapshot.bounds.get(self._topic)
        return None if bounds is None else sum(self._snapshot.count_unread(query, bounds).values())

    def _newest_batch(self) -> tuple[str | None, datetime | None]:
        progress = self._snapshot.progress
        day = progress[QUERY].analysis_date if QUERY in progress else None
        times = [query.updated_at for query in progress.values() if query.updated_at is not None]
        return day.isoformat() if day else None, max(times, default=None)

    def _read_application(self, session: requests.Session) -> dict[str, Any]:
        response = get(session, f"{self._url}/api/v1/applications")
        if response.status_code != HTTPStatus.OK:
            raise UnavailableError(f"The Spark UI responds with {response.status_code} {response.reason}.")
        try:
            (application, *_) = response.json()
            started = application["attempts"][0]["startTimeEpoch"] / 1000
        except (ValueError, LookupError, TypeError) as error:
            raise UnavailableError("The Spark UI lists no application yet.") from error
        return {"name": application["name"], "started": datetime.fromtimestamp(started, UTC)}
