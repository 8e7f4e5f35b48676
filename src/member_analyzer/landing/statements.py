"""SQL statements for the landing tables of a stream."""

from dataclasses import asdict
from functools import cache
from typing import LiteralString

from psycopg.sql import SQL, Identifier

from member_analyzer.streams.definition import LandingTables


@cache
def statement(tables: LandingTables, text: LiteralString) -> bytes:
    """Fill in {records}, {outbox}, {rejected} and {unpublishable} with the tables of a stream."""
    return SQL(text).format(**{role: Identifier("landing", name) for role, name in asdict(tables).items()}).as_bytes()
