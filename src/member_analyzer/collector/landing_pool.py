"""The collector's PostgreSQL connection pool, with a deadline for each request.

The deadline also holds when PostgreSQL hangs without closing its connections: the connection in use is then shut down,
so that its thread ends and the pool replaces it.
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

CONNECT_TIMEOUT_SECONDS = 2
REQUEST_TIMEOUT_SECONDS = 15
# After PostgreSQL was found to be unavailable, requests fail fast for this long.
FAIL_FAST_SECONDS = 1
STATEMENT_LIMITS = "-c statement_timeout=10s -c lock_timeout=5s -c idle_in_transaction_session_timeout=60s"


class LandingUnavailableError(Exception):
    """Raised when PostgreSQL did not respond in time; whether it committed is unknown."""


@dataclass
class Lease:
    """The connection that a request is using, if any; another thread can revoke it at the request's deadline."""

    lock: Lock = field(default_factory=Lock)
    connection: Connection | None = None
    is_revoked: bool = False

    @contextmanager
    def hold(self, connection: Connection) -> Iterator[None]:
        """Use a connection within the block. Raises LandingUnavailableError after the deadline."""
        with self.lock:
            if self.is_revoked:
                raise LandingUnavailableError("The request's deadline has passed.")
            self.connection = connection
        try:
            yield
        finally:
            with self.lock:
                self.connection = None

    def revoke(self) -> None:
        """Shut down the connection in use, which ends every wait on it."""
        with self.lock:
            self.is_revoked = True
            if self.connection is not None:
                shut_down(self.connection)


def shut_down(connection: Connection) -> None:
    """Shut down the connection's socket, which is safe from any thread; closing the connection itself is not."""
    with suppress(psycopg.Error, OSError), socket.socket(fileno=os.dup(connection.fileno())) as own:
        own.shutdown(socket.SHUT_RDWR)


_lease: ContextVar[Lease | None] = ContextVar("lease", default=None)


class LandingPool:
    """Connections to the landing database, and the threads that use them."""

    def __init__(self, settings: LandingSettings, connections: int) -> None:
        # It would log every attempt to reach an unavailable server.
        logging.getLogger("psycopg.pool").setLevel(logging.ERROR)
        self._pool: ConnectionPool[Connection] = ConnectionPool(
            kwargs=connection_parameters(settings) | {"options": STATEMENT_LIMITS, "connect_timeout": 2},
            min_size=min(2, connections),
            max_size=connections,
            timeout=CONNECT_TIMEOUT_SECONDS,
            reconnect_timeout=4,
            open=False,
            name="landing",
        )
        self._threads = connections
        self._limiter: CapacityLimiter | None = None
        self._unavailable_until = 0.0

    def open(self) -> None:
        """Start to connect, without waiting. Call it inside the event loop."""
        self._limiter = CapacityLimiter(self._threads)
        self._pool.open()

    def close(self) -> None:
        self._pool.close(timeout=2)

    @contextmanager
    def connection(self) -> Iterator[Connection]:
        """A pooled connection. Raises LandingUnavailableError, also for connection failures inside the block."""
        if time.monotonic() < self._unavailable_until:
            raise LandingUnavailableError("PostgreSQL was unavailable a moment ago.")
        try:
            lease = _lease.get() or Lease()
            with self._pool.connection() as connection:
                try:
                    with lease.hold(connection):
                        yield connection
                finally:
                    if connection.broken:
                        # The other connections are probably broken too. Checking them might hang.
                        self._pool.drain()
        except PoolTimeout as error:
            self._unavailable_until = time.monotonic() + FAIL_FAST_SECONDS
            raise LandingUnavailableError(str(error)) from error
        except (psycopg.errors.UndefinedTable, psycopg.errors.InvalidSchemaName) as error:
            raise LandingUnavailableError("The tables do not exist yet: run `member-analyzer provision`.") from error
        except psycopg.errors.InsufficientPrivilege as error:
            raise LandingUnavailableError("Privileges are missing: run `member-analyzer provision landing`.") from error
        except (psycopg.OperationalError, psycopg.InterfaceError) as error:
            raise LandingUnavailableError(type(error).__name__) from error

    async def run(self, work: Callable[Concatenate[Connection, P], T], *args: P.args, **kwargs: P.kwargs) -> T:
        """Call `work` with a connection, in a thread. Raises LandingUnavailableError."""

        def work_connected() -> T:
            with self.connection() as connection:
                return work(connection, *args, **kwargs)

        return await self.run_in_thread(work_connected)

    async def run_in_thread(self, work: Callable[[], T]) -> T:
        """Call `work` in one of as many threads as there are connections. Raises LandingUnavailableError on timeout."""
        lease = Lease()
        # The thread runs in a copy of this context.
        _lease.set(lease)
        try:
            with anyio.fail_after(REQUEST_TIMEOUT_SECONDS):
                return await to_thread.run_sync(work, abandon_on_cancel=True, limiter=self._limiter)
        except TimeoutError as error:
            lease.revoke()
            self._unavailable_until = time.monotonic() + FAIL_FAST_SECONDS
            raise LandingUnavailableError(f"No response within {REQUEST_TIMEOUT_SECONDS} seconds.") from error
