"""The analysis tables as the collector reads them: over one session that all readers share.

A slow read fails alone. The session is only replaced when it is broken, and nobody waits for it without a limit.
"""

import time
from contextlib import AbstractContextManager, suppress
from dataclasses import dataclass
from datetime import date
from threading import Lock

import anyio
from anyio import CapacityLimiter, to_thread
from cassandra import DriverException
from cassandra.cluster import NoHostAvailable, Session
from cassandra.connection import ConnectionException

from member_analyzer.analysis.connection import connect_cassandra
from member_analyzer.analysis.counts import Distribution
from member_analyzer.analysis.tables import AnalysisTables
from member_analyzer.settings import CassandraSettings
from member_analyzer.streams.members.record import MEMBER

SECONDS_OF_A_STATEMENT = 5
SECONDS_FOR_A_SESSION = 5
SECONDS_FOR_AN_ANSWER = 15
READS_AT_ONCE = 8
SECONDS_OF_REST = 2
# Also before the tables are made, and before this program's role has its rights.
AWAY = (NoHostAvailable, DriverException, ConnectionException)


class TablesAwayError(Exception):
    """Raised when Cassandra does not answer as it should."""


@dataclass(frozen=True)
class _Connection:
    """An open session, the tables over it, and what closes it."""

    session: Session
    tables: AnalysisTables
    opened: AbstractContextManager[Session]

    @property
    def is_broken(self) -> bool:
        """Whether nothing can be read over it any more; the driver finds a single node again by itself."""
        return self.session.is_shutdown or not any(
            # It is None before a node was heard of.
            host.is_up is not False
            for host in self.session.cluster.metadata.all_hosts()
        )

    def close(self) -> None:
        """End the session; what fails in that is of no use to anybody."""
        with suppress(*AWAY, OSError):
            self.opened.__exit__(None, None, None)


class AnalysisReader:
    """Reads days of the analysis tables; any number of threads may."""

    def __init__(self, settings: CassandraSettings) -> None:
        self._settings = settings
        self._connection: _Connection | None = None
        self._lock = Lock()
        self._limiter: CapacityLimiter | None = None
        self._away_until = 0.0

    def read(self, table: str, day: date | None) -> tuple[date, Distribution] | None:
        """One table of a day, of the newest one unless given; None where there is none. Raises TablesAwayError."""
        connection = self._connect()
        try:
            return _read(connection.tables, table, day)
        except AWAY as error:
            # Others may be reading over it: one read that was slow says nothing of theirs.
            if connection.is_broken:
                self._discard(connection)
            raise TablesAwayError(type(error).__name__) from error

    async def read_in_thread(self, table: str, day: date | None) -> tuple[date, Distribution] | None:
        """The same as `read`, for the event loop. Raises TablesAwayError also when it takes too long."""
        if self._limiter is None:
            self._limiter = CapacityLimiter(READS_AT_ONCE)
        try:
            with anyio.fail_after(SECONDS_FOR_AN_ANSWER):
                return await to_thread.run_sync(self.read, table, day, abandon_on_cancel=True, limiter=self._limiter)
        except TimeoutError as error:
            raise TablesAwayError(f"No answer within {SECONDS_FOR_AN_ANSWER} seconds.") from error

    def close(self) -> None:
        """End the session."""
        if self._connection is not None:
            self._discard(self._connection)

    def _connect(self) -> _Connection:
        # Without the lock, which a connecting reader holds: most readers find an open session.
        connection = self._connection
        if connection is not None:
            return connection
        if not self._lock.acquire(timeout=SECONDS_FOR_A_SESSION):
            raise TablesAwayError(f"There is no session after {SECONDS_FOR_A_SESSION} seconds.")
        try:
            if self._connection is None:
                if time.monotonic() < self._away_until:
                    raise TablesAwayError("Cassandra did not answer a moment ago.")
                self._connection = self._open()
            return self._connection
        finally:
            self._lock.release()

    def _open(self) -> _Connection:
        opened = connect_cassandra(self._settings, request_timeout=SECONDS_OF_A_STATEMENT)
        try:
            session = opened.__enter__()
            try:
                tables = AnalysisTables(session, self._settings.keyspace, MEMBER.name)
            except BaseException:
                opened.__exit__(None, None, None)
                raise
        except AWAY as error:
            self._away_until = time.monotonic() + SECONDS_OF_REST
            raise TablesAwayError(type(error).__name__) from error
        return _Connection(session, tables, opened)

    def _discard(self, connection: _Connection) -> None:
        """Close a session once, and never a newer one that took its place."""
        with self._lock:
            if self._connection is not connection:
                return
            self._connection = None
        connection.close()


def _read(tables: AnalysisTables, table: str, day: date | None) -> tuple[date, Distribution] | None:
    read = day or tables.read_progress().analysis_date
    if read is None:
        return None
    distribution = tables.read_distribution(table, read)
    # A day that everybody has been erased from is still a day.
    if day is not None and not distribution.buckets and not distribution.total:
        return None
    return read, distribution
