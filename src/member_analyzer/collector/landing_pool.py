"""The collector's connections to PostgreSQL: kept open, shared by its threads, and given up soon where it hangs.

Each request has a deadline, also where PostgreSQL stands still without closing its connections: what is still under way
then loses its connection, so that its thread ends and the pool makes a new one.
"""

import logging
import os
import socket
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from contextvars import ContextVar
from dataclasses import dataclass, field
from threading import Lock
from typing import Concatenate, ParamSpec, TypeVar

import anyio
import psycopg
from anyio import CapacityLimiter, to_thread
from psycopg_pool import ConnectionPool, PoolTimeout

from member_analyzer.landing.connection import Connection, connection_parameters
from member_analyzer.settings import LandingSettings

P = ParamSpec("P")
T = TypeVar("T")

SECONDS_FOR_A_CONNECTION = 2
SECONDS_FOR_AN_ANSWER = 15
# So long after it was found away nobody waits for it anew.
SECONDS_OF_REST = 1
STATEMENT_LIMITS = "-c statement_timeout=10s -c lock_timeout=5s -c idle_in_transaction_session_timeout=60s"


class LandingAwayError(Exception):
    """Raised when PostgreSQL did not answer in time; nothing is known of what it was asked to commit."""


@dataclass
class Lease:
    """The connection that one request uses now, if any; the request's deadline can end it from another thread."""

    lock: Lock = field(default_factory=Lock)
    connection: Connection | None = None
    is_over: bool = False

    @contextmanager
    def hold(self, connection: Connection) -> Iterator[None]:
        """Use a connection until the block ends. Raises LandingAwayError after the deadline."""
        with self.lock:
            if self.is_over:
                raise LandingAwayError("The request's deadline has passed.")
            self.connection = connection
        try:
            yield
        finally:
            with self.lock:
                self.connection = None

    def end(self) -> None:
        """The deadline has passed: whoever waits for an answer on the connection finds it closed."""
        with self.lock:
            self.is_over = True
            if self.connection is not None:
                shut_down(self.connection)


def shut_down(connection: Connection) -> None:
    """Close the connection's socket for both directions, which any thread may do; the connection itself it may not."""
    with suppress(psycopg.Error, OSError), socket.socket(fileno=os.dup(connection.fileno())) as own:
        own.shutdown(socket.SHUT_RDWR)


_lease: ContextVar[Lease | None] = ContextVar("lease", default=None)


class LandingPool:
    """Connections to the landing database, and the threads that use them."""

    def __init__(self, settings: LandingSettings, connections: int) -> None:
        # It would log a line for every attempt to reach a server that is away.
        logging.getLogger("psycopg.pool").setLevel(logging.ERROR)
        self._pool: ConnectionPool[Connection] = ConnectionPool(
            kwargs=connection_parameters(settings) | {"options": STATEMENT_LIMITS, "connect_timeout": 2},
            min_size=min(2, connections),
            max_size=connections,
            timeout=SECONDS_FOR_A_CONNECTION,
            reconnect_timeout=4,
            open=False,
            name="landing",
        )
        self._threads = connections
        self._limiter: CapacityLimiter | None = None
        self._away_until = 0.0

    def open(self) -> None:
        """Begin to connect; does not wait for it. Call it inside the event loop."""
        self._limiter = CapacityLimiter(self._threads)
        self._pool.open()

    def close(self) -> None:
        """Close every connection."""
        self._pool.close(timeout=2)

    @contextmanager
    def connection(self) -> Iterator[Connection]:
        """One of the connections. Raises LandingAwayError, also for what goes wrong with the connection meanwhile."""
        if time.monotonic() < self._away_until:
            raise LandingAwayError("PostgreSQL did not answer a moment ago.")
        try:
            lease = _lease.get() or Lease()
            with self._pool.connection() as connection:
                try:
                    with lease.hold(connection):
                        yield connection
                finally:
                    if connection.broken:
                        # Where one connection has ended, the others may have too. They are not asked: that might hang.
                        self._pool.drain()
        except PoolTimeout as error:
            self._away_until = time.monotonic() + SECONDS_OF_REST
            raise LandingAwayError(str(error)) from error
        except (psycopg.errors.UndefinedTable, psycopg.errors.InvalidSchemaName) as error:
            raise LandingAwayError("The tables are not made yet: `member-analyzer provision` makes them.") from error
        except psycopg.errors.InsufficientPrivilege as error:
            raise LandingAwayError("Rights are missing: `member-analyzer provision landing` gives them.") from error
        except (psycopg.OperationalError, psycopg.InterfaceError) as error:
            raise LandingAwayError(type(error).__name__) from error

    async def run(self, work: Callable[Concatenate[Connection, P], T], *args: P.args, **kwargs: P.kwargs) -> T:
        """Do work that needs a connection, in a thread. Raises LandingAwayError."""

        def work_connected() -> T:
            with self.connection() as connection:
                return work(connection, *args, **kwargs)

        return await self.run_in_thread(work_connected)

    async def run_in_thread(self, work: Callable[[], T]) -> T:
        """Do work in one of as many threads as there are connections. LandingAwayError when it takes too long."""
        lease = Lease()
        # The thread works in a copy of this context.
        _lease.set(lease)
        try:
            with anyio.fail_after(SECONDS_FOR_AN_ANSWER):
                return await to_thread.run_sync(work, abandon_on_cancel=True, limiter=self._limiter)
        except TimeoutError as error:
            lease.end()
            self._away_until = time.monotonic() + SECONDS_OF_REST
            raise LandingAwayError(f"No answer within {SECONDS_FOR_AN_ANSWER} seconds.") from error
