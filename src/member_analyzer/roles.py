"""Cassandra's roles: one for each program, with just the rights that it needs."""

from collections.abc import Mapping

from cassandra.cluster import Session

RIGHTS = {"stream": ("SELECT", "MODIFY"), "reader": ("SELECT",)}


def make_roles(session: Session, passwords: Mapping[str, str]) -> None:
    """Make the roles, or write their passwords anew; `passwords` has one for each role of RIGHTS."""
    for role in RIGHTS:
        session.execute(f"CREATE ROLE IF NOT EXISTS {role}")
        session.execute(f"ALTER ROLE {role} WITH LOGIN = true AND PASSWORD = %s", [passwords[role]])


def grant_rights(session: Session, keyspace: str) -> None:
    """Give the roles their rights in the keyspace, which has to be there."""
    for role, rights in RIGHTS.items():
        for right in rights:
            session.execute(f"GRANT {right} ON KEYSPACE {keyspace} TO {role}")
