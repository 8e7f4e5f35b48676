"""A new landing database for each test."""

import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from member_analyzer.landing.connection import Connection, connect_landing
from member_analyzer.landing.schema import create_tables
from member_analyzer.local.postgres import Postgres
from member_analyzer.settings import LandingSettings
from member_analyzer.streams.members.definition import MEMBERS
from postgres_server import landing_settings, running_postgres


@pytest.fixture(scope="session")
def postgres() -> Iterator[Postgres]:
    """The server that the tests share."""
    # Not pytest's directory, which only its owner can enter: PostgreSQL does not run as root.
    with tempfile.TemporaryDirectory() as folder, running_postgres(Path(folder)) as (server, _):
        server.provision()
        yield server


@pytest.fixture
def settings(postgres: Postgres) -> LandingSettings:
    """A landing database with empty tables."""
    settings = landing_settings(postgres)
    with connect_landing(settings) as connection:
        connection.execute("DROP SCHEMA IF EXISTS landing CASCADE")
        create_tables(connection, [MEMBERS])
    return settings


@pytest.fixture
def landing(settings: LandingSettings) -> Iterator[Connection]:
    with connect_landing(settings) as connection:
        yield connection
