"""Connections to the landing database."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import psycopg

from member_analyzer.landing.unreachable import unreachable_parameters
from member_analyzer.settings import LandingSettings

Connection = psycopg.Connection[tuple[Any, ...]]


# Rows per fetch of a server-side cursor.
ROWS_OF_A_STREAM = 10_000


@contextmanager
def connect_landing(settings: LandingSettings) -> Iterator[Connection]:
    """Open a connection in autocommit mode; use `with connection.transaction()` for transactions."""
    with psycopg.connect(**connection_parameters(settings)) as connection:
        yield connection


def connection_parameters(settings: LandingSettings) -> dict[str, Any]:
    """Return the connection parameters for psycopg."""
    return {
        "host": settings.host,
        "port": settings.port,
        "dbname": settings.database,
        "user": settings.username,
        "password": settings.password.get_secret_value(),
        "sslmode": settings.sslmode,
        "connect_timeout": settings.connect_timeout,
        "application_name": "member-analyzer",
        "autocommit": True,
        "options": f"-c idle_in_transaction_session_timeout={settings.idle_in_transaction_timeout}s",
        **unreachable_parameters(settings.unreachable_timeout),
    }


def stream_rows(connection: Connection, query: bytes) -> Iterator[Any]:
    """Yield the rows of a query from a server-side cursor, in constant memory."""
    with connection.transaction(), connection.cursor("stream") as cursor:
        cursor.itersize = ROWS_OF_A_STREAM
        yield from cursor.execute(query)
