"""Reads the analysis tables and the interactions over one Cassandra session that all requests share.

A slow read fails only its own request. The session is replaced only when it is broken, and every wait for it is
bounded.
"""

import time
from collections.abc import Callable
from contextlib import AbstractContextManager, suppress
from dataclasses import dataclass
from datetime import date
from functools import partial
from threading import Lock
from typing import TypeVar

import anyio
from anyio import CapacityLimiter, to_thread
from cassandra import DriverException
from cassandra.cluster import NoHostAvailable, Session
from cassandra.connection import ConnectionException

from member_analyzer.analysis.connection import connect_cassandra
from member_analyzer.analysis.counts import Distribution
from member_analyzer.analysis.interactions.reader import InteractionReader
from member_analyzer.analysis.tables import AnalysisTables
from member_analyzer.settings import CassandraSettings
from member_analyzer.streams.definition import StreamDefinition

STATEMENT_TIMEOUT_SECONDS = 5
CONNECT_TIMEOUT_SECONDS = 5
READ_TIMEOUT_SECONDS = 15
MAX_CONCURRENT_READS = 8
RECONNECT_DELAY_SECONDS = 2
# These also occur before the tables exist, and before this program's role has its permissions.
CASSANDRA_ERRORS = (NoHostAvailable, DriverException, ConnectionException)

T = TypeVar("T")


class AnalysisUnavailableError(Exception):
    """Raised when Cassandra is unavailable or fails a read."""


@dataclass(frozen=True)
class _Connection:
    """An open session, what is read over it, and the context manager that closes it."""

    session: Session
    tables: AnalysisTables
    interactions: InteractionReader
    opened: AbstractContextManager[Session]

    @property
    def is_broken(self) -> bool:
        """Whether no node can be reached; the driver reconnects to single nodes itself."""
        return self.session.is_shutdown or not any(
            # It is None until the driver knows the node's state.
            host.is_up is not False
            for host in self.session.cluster.metadata.all_hosts()
        )

    def close(self) -> None:
        with suppress(*CASSANDRA_ERRORS, OSError):
            self.opened.__exit__(None, None, None)


class AnalysisReader:
    """Reads days of the analysis tables, and the interactions; thread-safe."""

    def __init__(self, settings: CassandraSettings, definition: StreamDefinition) -> None:
        self._settings = settings
        self._definition = definition
        self._connection: _Connection | None = None
        self._lock = Lock()
        self._limiter: CapacityLimiter | None = None
        self._unavailable_until = 0.0

    def read(self, table: str, day: date | None) -> tuple[date, Distribution] | None:
        """A table on a day, by default the latest; None if there is none. Raises AnalysisUnavailableError."""
        return self._run(lambda connection: _read(connection.tables, table, day))

    async def read_in_thread(self, table: str, day: date | None) -> tuple[date, Distribution] | None:
        """Like `read`, for the event loop. Also raises AnalysisUnavailableError on a timeout."""
        return await self._run_in_thread(partial(self.read, table, day))

    def read_interactions(self, read: Callable[[InteractionReader], T]) -> T:
        """What `read` returns of the interactions. Raises AnalysisUnavailableError."""
        return self._run(lambda connection: read(connection.interactions))

    async def read_interactions_in_thread(self, read: Callable[[InteractionReader], T]) -> T:
        """Like `read_interactions`, for the event loop. Also raises AnalysisUnavailableError on a timeout."""
        return await self._run_in_thread(partial(self.read_interactions, read))

    def close(self) -> None:
        if self._connection is not None:
            self._discard(self._connection)

    def _run(self, read: Callable[[_Connection], T]) -> T:
        connection = self._connect()
        try:
            return read(connection)
        except CASSANDRA_ERRORS as error:
            # Other requests may be reading over this session: one slow read does not make it unusable.
            if connection.is_broken:
                self._discard(connection)
            raise AnalysisUnavailableError(type(error).__name__) from error

    async def _run_in_thread(self, read: Callable[[], T]) -> T:
        if self._limiter is None:
            self._limiter = CapacityLimiter(MAX_CONCURRENT_READS)
        try:
            with anyio.fail_after(READ_TIMEOUT_SECONDS):
                return await to_thread.run_sync(read, abandon_on_cancel=True, limiter=self._limiter)
        except TimeoutError as error:
            raise AnalysisUnavailableError(f"No response within {READ_TIMEOUT_SECONDS} seconds.") from error

    def _connect(self) -> _Connection:
        # Without the lock, which a connecting thread holds: usually the session is open.
        connection = self._connection
        if connection is not None:
            return connection
        if not self._lock.acquire(timeout=CONNECT_TIMEOUT_SECONDS):
            raise AnalysisUnavailableError(f"No session after {CONNECT_TIMEOUT_SECONDS} seconds.")
        try:
            if self._connection is None:
                if time.monotonic() < self._unavailable_until:
                    raise AnalysisUnavailableError("Cassandra was unavailable a moment ago.")
                self._connection = self._open()
            return self._connection
        finally:
            self._lock.release()

    def _open(self) -> _Connection:
        opened = connect_cassandra(self._settings, request_timeout=STATEMENT_TIMEOUT_SECONDS)
        try:
            session = opened.__enter__()
            try:
                tables = AnalysisTables(session, self._settings.keyspace, self._definition)
                interactions = InteractionReader(session, self._settings.keyspace)
            except BaseException:
                opened.__exit__(None, None, None)
                raise
        except CASSANDRA_ERRORS as error:
            self._unavailable_until = time.monotonic() + RECONNECT_DELAY_SECONDS
            raise AnalysisUnavailableError(type(error).__name__) from error
        return _Connection(session, tables, interactions, opened)

    def _discard(self, connection: _Connection) -> None:
        """Close a session once, and never a newer one that replaced it."""
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
    # A day on which every member has since been erased still exists.
    if day is not None and not distribution.buckets and not distribution.total:
        return None
    return read, distribution
