"""Lands members as the task of `user_create` does, but without a user API."""

from collections.abc import Iterable
from datetime import UTC, datetime

from member_analyzer.landing.acceptance import Landed, land_records, read_records
from member_analyzer.landing.connection import Connection
from member_analyzer.streams.members.definition import MEMBERS
from member_analyzer.streams.members.forms import from_random_user


def land_users(connection: Connection, users: Iterable[object], *, source: str) -> Landed:
    """Accept users in randomuser.me's form; `source` says where they came from. Commits all of them or none."""
    records, rejected = read_records(MEMBERS, users, datetime.now(UTC), from_random_user)
    return land_records(connection, MEMBERS, records, rejected, source=source)
