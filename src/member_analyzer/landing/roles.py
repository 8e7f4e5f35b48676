"""PostgreSQL's roles: one for each program that uses the landing database, with just the rights that it needs.

The owner of the database makes its tables and grants the rights; no program that serves or runs tasks logs in as it.
"""

from collections.abc import Mapping, Sequence

from psycopg import errors, sql

from member_analyzer.landing.connection import Connection

# What a program does in the landing database, as what it takes: statements of GRANT without their end.
LAND = (
    "SELECT, INSERT ON landing.users",
    "INSERT ON landing.unpublished",
    "SELECT, INSERT ON landing.rejected",
)
# FOR UPDATE asks for the right to update some column; nobody can change that of an identity.
PUBLISH = (
    "SELECT, UPDATE (record) ON landing.users",
    "SELECT, DELETE, UPDATE (position) ON landing.unpublished",
    "SELECT ON landing.count_changes",
    "SELECT, INSERT, UPDATE ON landing.unpublishable",
)
PRUNE = (
    "SELECT, DELETE ON landing.rejected",
    "SELECT, DELETE ON landing.replayed",
)
GIVE_IDS = ("SELECT, INSERT, UPDATE, DELETE ON landing.given_ids",)
ERASE = (
    "SELECT, UPDATE (record, erased_at) ON landing.users",
    "INSERT ON landing.unpublished",
    "SELECT, DELETE ON landing.rejected",
    "SELECT, DELETE ON landing.unpublishable",
)
REPLAY = (
    "SELECT, INSERT, DELETE ON landing.replayed",
    "SELECT, DELETE, UPDATE (rejected_at) ON landing.rejected",
    "SELECT, DELETE ON landing.unpublishable",
    *LAND,
    *PUBLISH,
)
AUDIT = (
    "SELECT (id, accepted_at, erased_at) ON landing.users",
    "SELECT (position, id) ON landing.unpublished",
    "SELECT (fingerprint, reason) ON landing.rejected",
    "SELECT ON landing.replayed",
    "SELECT ON landing.count_changes",
    "SELECT ON landing.unpublishable",
)
CHECK_KEYS = ("SELECT ON landing.api_keys",)
MANAGE_KEYS = ("SELECT, INSERT, UPDATE (revoked_at) ON landing.api_keys",)
KEEP_ANSWERS = ("SELECT, INSERT, UPDATE, DELETE ON landing.requests",)

# By role. The operator runs the administrative commands; the reader runs the audit and changes nothing.
RIGHTS: Mapping[str, Sequence[str]] = {
    "landing_airflow": (*LAND, *PUBLISH, *PRUNE),
    "landing_collector": (*LAND, *PUBLISH, *ERASE, *PRUNE, *CHECK_KEYS, *KEEP_ANSWERS, *GIVE_IDS),
    "landing_console": (*AUDIT, *REPLAY),
    "landing_operator": (*AUDIT, *REPLAY, *ERASE, *MANAGE_KEYS),
    "landing_reader": AUDIT,
}


class LandingRolesError(RuntimeError):
    """Raised when the roles of the landing database are missing, or could not be made."""


def make_roles(connection: Connection, passwords: Mapping[str, str]) -> None:
    """Make the roles, or write their passwords anew; `passwords` has one for each role of RIGHTS.

    Raises LandingRolesError where the connection's role may not make roles.
    """
    with connection.transaction():
        _wait_for_others(connection)
        existing = _existing_roles(connection)
        for role in RIGHTS:
            statement = "ALTER ROLE {} LOGIN PASSWORD {}" if role in existing else "CREATE ROLE {} LOGIN PASSWORD {}"
            # Encrypted here, so that no password is in a log of the server.
            verifier = connection.pgconn.encrypt_password(passwords[role].encode(), role.encode(), b"scram-sha-256")
            try:
                connection.execute(sql.SQL(statement).format(sql.Identifier(role), sql.Literal(verifier.decode())))
            except errors.InsufficientPrivilege as error:
                raise LandingRolesError(
                    f"{connection.info.user} may not make or change the role {role} in PostgreSQL: give it CREATEROLE, "
                    f"or have an administrator make the roles {', '.join(RIGHTS)}."
                ) from error


def grant_rights(connection: Connection) -> None:
    """Give each role its rights in the landing tables and take back any other one, as the owner of these tables.

    Raises LandingRolesError where a role is missing.
    """
    with connection.transaction():
        _wait_for_others(connection)
        if missing := RIGHTS.keys() - _existing_roles(connection):
            raise LandingRolesError(
                f"PostgreSQL lacks the roles {', '.join(sorted(missing))}: make them with "
                "`member-analyzer provision landing-roles`, or have an administrator make them."
            )
        database = sql.Identifier(connection.info.dbname)
        for role, rights in RIGHTS.items():
            name = sql.Identifier(role)
            connection.execute(sql.SQL("REVOKE ALL ON DATABASE {} FROM {}").format(database, name))
            connection.execute(sql.SQL("REVOKE ALL ON SCHEMA landing FROM {}").format(name))
            connection.execute(sql.SQL("REVOKE ALL ON ALL TABLES IN SCHEMA landing FROM {}").format(name))
            connection.execute(sql.SQL("GRANT CONNECT ON DATABASE {} TO {}").format(database, name))
            connection.execute(sql.SQL("GRANT USAGE ON SCHEMA landing TO {}").format(name))
            for right in rights:
                connection.execute(sql.SQL("GRANT {} TO {}").format(sql.SQL(right), name))


def _existing_roles(connection: Connection) -> set[str]:
    rows = connection.execute("SELECT rolname FROM pg_roles WHERE rolname = ANY(%s)", (list(RIGHTS),))
    return {row[0] for row in rows}


def _wait_for_others(connection: Connection) -> None:
    """Two programs that set up at once must not change the same rights."""
    connection.execute("SELECT pg_advisory_xact_lock(hashtext('member-analyzer landing roles'))")
