"""Cassandra roles: one for each program, with least privilege."""

from collections.abc import Iterable, Mapping
from enum import Enum, auto

from cassandra.cluster import Session

from member_analyzer.analysis.keyspace import PROGRESS_TABLES
from member_analyzer.streams.definition import StreamDefinition


class Scope(Enum):
    """The resources of a permission."""

    KEYSPACE = auto()
    ANALYSIS = auto()
    """The analysis tables and the progress of the streams, without the records."""


# The permissions of each role, with their scope.
RIGHTS: Mapping[str, Mapping[str, Scope]] = {
    "stream": {"SELECT": Scope.KEYSPACE, "MODIFY": Scope.KEYSPACE},
    "collector": {"SELECT": Scope.ANALYSIS},
    "console": {"SELECT": Scope.ANALYSIS},
    "reader": {"SELECT": Scope.KEYSPACE},
}


def make_roles(session: Session, passwords: Mapping[str, str]) -> None:
    """Create the roles, or update their passwords; `passwords` has one for each role of RIGHTS."""
    for role in RIGHTS:
        session.execute(f"CREATE ROLE IF NOT EXISTS {role}")
        session.execute(f"ALTER ROLE {role} WITH LOGIN = true AND PASSWORD = %s", [passwords[role]])


def grant_rights(session: Session, keyspace: str, definitions: Iterable[StreamDefinition]) -> None:
    """Grant the roles their permissions; the keyspace and the tables must exist."""
    tables = [*PROGRESS_TABLES, *(table for definition in definitions for table in definition.tables)]
    resources = {
        Scope.KEYSPACE: [f"KEYSPACE {keyspace}"],
        Scope.ANALYSIS: [f"TABLE {keyspace}.{table}" for table in tables],
    }
    for role, rights in RIGHTS.items():
        for right, scope in rights.items():
            for resource in resources[scope]:
                session.execute(f"GRANT {right} ON {resource} TO {role}")
