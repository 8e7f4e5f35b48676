"""Cassandra roles: one for each program, with least privilege."""

from collections.abc import Iterable, Mapping, Sequence
from enum import Enum, auto

from cassandra.cluster import Session

from member_analyzer.analysis.keyspace import PROGRESS_TABLES
from member_analyzer.streams.definition import StreamDefinition


class Scope(Enum):
    """The resources of a permission."""

    KEYSPACE = auto()
    ANALYSIS = auto()
    """The analysis tables and the progress of the streams, without the records."""
    INTERACTION_COUNTS = auto()
    """The counts of the interactions, and who was active."""
    PEOPLE = auto()
    """What each person did."""


INTERACTION_COUNTS = (
    "interaction_days",
    "interaction_counts",
    "interaction_minutes",
    "interaction_active",
    "interaction_members",
    "interaction_sources",
    "interaction_lag",
)
PEOPLE = ("interaction_timeline", "interaction_sessions_by_person", "interaction_visitors")

# The permissions of each role, with their scopes.
RIGHTS: Mapping[str, Mapping[str, Sequence[Scope]]] = {
    "stream": {"SELECT": [Scope.KEYSPACE], "MODIFY": [Scope.KEYSPACE]},
    "collector": {"SELECT": [Scope.ANALYSIS, Scope.INTERACTION_COUNTS, Scope.PEOPLE]},
    "console": {"SELECT": [Scope.ANALYSIS, Scope.INTERACTION_COUNTS]},
    "reader": {"SELECT": [Scope.KEYSPACE]},
}


def make_roles(session: Session, passwords: Mapping[str, str]) -> None:
    """Create the roles, or update their passwords; `passwords` has one for each role of RIGHTS."""
    for role in RIGHTS:
        session.execute(f"CREATE ROLE IF NOT EXISTS {role}")
        session.execute(f"ALTER ROLE {role} WITH LOGIN = true AND PASSWORD = %s", [passwords[role]])


def grant_rights(session: Session, keyspace: str, definitions: Iterable[StreamDefinition]) -> None:
    """Grant the roles their permissions; the keyspace and the tables must exist."""
    analysis = [*PROGRESS_TABLES, *(table for definition in definitions for table in definition.tables)]
    tables = {Scope.ANALYSIS: analysis, Scope.INTERACTION_COUNTS: INTERACTION_COUNTS, Scope.PEOPLE: PEOPLE}
    resources = {scope: [f"TABLE {keyspace}.{table}" for table in names] for scope, names in tables.items()}
    resources[Scope.KEYSPACE] = [f"KEYSPACE {keyspace}"]
    for role, rights in RIGHTS.items():
        for right, scopes in rights.items():
            for resource in (one for scope in scopes for one in resources[scope]):
                session.execute(f"GRANT {right} ON {resource} TO {role}")
