"""The analysis tables as the collector reads them: connected to when they are first asked for, anew after a fault."""

import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from datetime import date
from threading import Lock

from anyio import to_thread
from cassandra import DriverException
from cassandra.cluster import NoHostAvailable
from cassandra.connection import ConnectionException

from member_analyzer.analysis import Distribution
from member_analyzer.member import MEMBER
from member_analyzer.settings import CassandraSettings
from member_analyzer.tables import AnalysisTables, connect_cassandra

SECONDS_OF_REST = 2
# Also before the tables are made, and before this program's role has its rights.
AWAY = (NoHostAvailable, DriverException, ConnectionException)


class TablesAwayError(Exception):
    """Raised when Cassandra does not answer as it should."""


class AnalysisReader:
    """Reads days of the analysis tables; any number of threads may."""

    def __init__(self, settings: CassandraSettings) -> None:
        self._settings = settings
        self._stack = ExitStack()
        self._tables: AnalysisTables | None = None
        self._lock = Lock()
        self._away_until = 0.0

    def read(self, table: str, day: date | None) -> tuple[date, Distribution] | None:
        """One table of a day, of the newest one unless given; None where there is none. Raises TablesAwayError."""
        with self._connected() as tables:
            read = day or tables.read_progress().analysis_date
            if read is None:
                return None
            distribution = tables.read_distribution(table, read)
        # A day that everybody has been erased from is still a day.
        if day is not None and not distribution.buckets and not distribution.total:
            return None
        return read, distribution

    async def read_in_thread(self, table: str, day: date | None) -> tuple[date, Distribution] | None:
        """The same as `read`, for the event loop."""
        return await to_thread.run_sync(self.read, table, day)

    def close(self) -> None:
        """End the connections."""
        with self._lock:
            self._tables = None
            self._stack.close()

    @contextmanager
    def _connected(self) -> Iterator[AnalysisTables]:
        try:
            yield self._connect()
        except AWAY as error:
            # The driver tries again by itself, but in the end only every ten minutes.
            self.close()
            self._away_until = time.monotonic() + SECONDS_OF_REST
            raise TablesAwayError(type(error).__name__) from error

    def _connect(self) -> AnalysisTables:
        with self._lock:
            if self._tables is None:
                if time.monotonic() < self._away_until:
                    raise TablesAwayError("Cassandra did not answer a moment ago.")
                session = self._stack.enter_context(connect_cassandra(self._settings))
                self._tables = AnalysisTables(session, self._settings.keyspace, MEMBER.name)
            return self._tables
