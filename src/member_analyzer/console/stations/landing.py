"""Landing: how many members PostgreSQL holds, and how many wait for Kafka."""

import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

import psycopg

from member_analyzer.console.board import Look, State
from member_analyzer.console.rate import Rate
from member_analyzer.console.watch import Glance
from member_analyzer.landing.connection import Connection, connection_parameters
from member_analyzer.landing.counters import count_landed
from member_analyzer.settings import LandingSettings

TIMEOUT = 5


@contextmanager
def connect_patiently(settings: LandingSettings) -> Iterator[Connection]:
    """A connection that notices within seconds when its server hangs or has vanished."""
    parameters = connection_parameters(settings) | {
        "connect_timeout": min(settings.connect_timeout, TIMEOUT),
        "options": f"-c statement_timeout={TIMEOUT}s",
    }
    with psycopg.connect(**parameters) as connection:
        yield connection


class LandingSource:
    """Where accepted members are first."""

    name = "landing"
    away: tuple[type[Exception], ...] = (psycopg.Error,)

    def __init__(self, settings: LandingSettings) -> None:
        self._settings = settings

    def means(self, since: str) -> str:
        """Nothing is accepted."""
        return (
            f"Nothing is accepted until it is back: the collector answers 503, and user_create is repeated. "
            f"What was accepted before is safe; its numbers here are those of {since}."
        )

    @contextmanager
    def connect(self) -> Iterator[Sequence[Glance]]:
        """One look."""
        rate = Rate()
        with connect_patiently(self._settings) as connection:
            yield [Glance(lambda: self._look(connection, rate))]

    def _look(self, connection: Connection, rate: Rate) -> Look:
        counts = count_landed(connection)
        # An erased member was accepted too: the sum never falls.
        rate.note(counts.accepted + counts.erased, time.monotonic())
        stuck = counts.unpublishable
        return Look(
            State.DEGRADED if stuck else State.UP,
            f"{stuck:,} accepted members cannot be published; `member-analyzer rejected list` shows why."
            if stuck
            else None,
            "They are not counted until the cause is fixed and they are replayed." if stuck else None,
            rate=rate.per_second,
            lag=counts.unpublished,
            facts=[
                ("Accepted", f"{counts.accepted:,}"),
                ("To be published", f"{counts.unpublished:,}"),
                ("Rejected before landing", f"{counts.rejected:,}"),
                ("Erased", f"{counts.erased:,}"),
                ("Cannot be published", f"{counts.unpublishable:,}"),
            ],
            detail={
                "accepted": counts.accepted,
                "unpublished": counts.unpublished,
                "rejected": counts.rejected,
                "erased": counts.erased,
                "unpublishable": counts.unpublishable,
            },
        )
