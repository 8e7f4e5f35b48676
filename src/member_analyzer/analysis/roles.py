"""Cassandra's roles: one for each program, with just the rights that it needs."""

from collections.abc import Mapping, Sequence

from cassandra.cluster import Session

# What the web programs show; neither reads the members' rows.
ANALYSIS = ("age", "gender", "country", "city", "stream_progress", "stream_generations")

# By role, each right with the tables that it is for; none means the whole keyspace.
RIGHTS: Mapping[str, Mapping[str, Sequence[str]]] = {
    "stream": {"SELECT": (), "MODIFY": ()},
    "collector": {"SELECT": ANALYSIS},
    "console": {"SELECT": ANALYSIS},
    "reader": {"SELECT": ()},
}


def make_roles(session: Session, passwords: Mapping[str, str]) -> None:
    """Make the roles, or write their passwords anew; `passwords` has one for each role of RIGHTS."""
    for role in RIGHTS:
        session.execute(f"CREATE ROLE IF NOT EXISTS {role}")
        session.execute(f"ALTER ROLE {role} WITH LOGIN = true AND PASSWORD = %s", [passwords[role]])


def grant_rights(session: Session, keyspace: str) -> None:
    """Give the roles their rights in the keyspace, which has to be there."""
    for role, rights in RIGHTS.items():
        for right, tables in rights.items():
            for resource in [f"TABLE {keyspace}.{table}" for table in tables] or [f"KEYSPACE {keyspace}"]:
                session.execute(f"GRANT {right} ON {resource} TO {role}")
