"""SQL statements for the landing tables of a stream."""

from collections.abc import Mapping
from dataclasses import asdict
from functools import cache
from typing import LiteralString

from psycopg.sql import SQL, Identifier

from member_analyzer.streams.definition import LandingTables


@cache
def identifiers(tables: LandingTables) -> Mapping[str, Identifier]:
    """Return the qualified names of a stream's tables by role: records, outbox, rejected, unpublishable."""
    return {role: Identifier("landing", name) for role, name in asdict(tables).items()}


@cache
def statement(tables: LandingTables, text: LiteralString) -> bytes:
    """Fill in {records}, {outbox}, {rejected} and {unpublishable} with the tables of a stream."""
    return SQL(text).format(**identifiers(tables)).as_bytes()
