"""Landing: the number of members in PostgreSQL, and of those that are still to be published."""

import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

import psycopg

from member_analyzer.console.monitoring import Probe
from member_analyzer.console.rate import Rate
from member_analyzer.console.status import State, Status
from member_analyzer.landing.connection import Connection, connection_parameters
from member_analyzer.landing.counters import count_landed
from member_analyzer.settings import LandingSettings
from member_analyzer.streams.definition import StreamDefinition

TIMEOUT = 5


@contextmanager
def connect_with_timeout(settings: LandingSettings) -> Iterator[Connection]:
    """A connection whose statements fail within seconds when the server hangs or has vanished."""
    parameters = connection_parameters(settings) | {
        "connect_timeout": min(settings.connect_timeout, TIMEOUT),
        "options": f"-c statement_timeout={TIMEOUT}s",
    }
    with psycopg.connect(**parameters) as connection:
        yield connection


class LandingMonitor:
    """Reads the counters of the landing tables."""

    name = "landing"
    unavailable_errors: tuple[type[Exception], ...] = (psycopg.Error,)

    def __init__(self, settings: LandingSettings, definition: StreamDefinition) -> None:
        self._settings = settings
        self._definition = definition

    def impact(self, last_seen: str) -> str:
        return (
            "No members are accepted until PostgreSQL is back: the collector answers 503, and user_create is retried. "
            f"Members accepted earlier are safe; the numbers below are as of {last_seen}."
        )

    @contextmanager
    def connect(self) -> Iterator[Sequence[Probe]]:
        rate = Rate()
        with connect_with_timeout(self._settings) as connection:
            yield [Probe(lambda: self._check(connection, rate))]

    def _check(self, connection: Connection, rate: Rate) -> Status:
        counts = count_landed(connection, self._definition)
        # Erased members are included, so that the sum never decreases.
        rate.observe(counts.accepted + counts.erased, time.monotonic())
        unpublishable = counts.unpublishable
        return Status(
            State.DEGRADED if unpublishable else State.UP,
            f"{unpublishable:,} accepted members cannot be published; `member-analyzer rejected list` shows why."
            if unpublishable
            else None,
            "They are not counted until the cause is fixed and they are replayed." if unpublishable else None,
            rate=rate.per_second,
            lag=counts.unpublished,
            facts=[
                ("Accepted", f"{counts.accepted:,}"),
                ("Unpublished", f"{counts.unpublished:,}"),
                ("Rejected before landing", f"{counts.rejected:,}"),
                ("Erased", f"{counts.erased:,}"),
                ("Unpublishable", f"{counts.unpublishable:,}"),
            ],
            detail={
                "accepted": counts.accepted,
                "unpublished": counts.unpublished,
                "rejected": counts.rejected,
                "erased": counts.erased,
                "unpublishable": counts.unpublishable,
            },
        )
