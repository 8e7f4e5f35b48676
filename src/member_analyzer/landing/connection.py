"""Connections to the landing database."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import psycopg

from member_analyzer.landing.unreachable import unreachable_parameters
from member_analyzer.settings import LandingSettings

Connection = psycopg.Connection[tuple[Any, ...]]


# Read at once of what is too much to hold.
ROWS_OF_A_STREAM = 10_000


@contextmanager
def connect_landing(settings: LandingSettings) -> Iterator[Connection]:
    """A connection to the landing database; nothing is committed but by `with connection.transaction()`."""
    with psycopg.connect(**connection_parameters(settings)) as connection:
        yield connection


def connection_parameters(settings: LandingSettings) -> dict[str, Any]:
    """How psycopg connects to the landing database."""
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
    """The rows of a query by a cursor of the server, so that memory does not grow with them."""
    with connection.transaction(), connection.cursor("stream") as cursor:
        cursor.itersize = ROWS_OF_A_STREAM
        yield from cursor.execute(query)
