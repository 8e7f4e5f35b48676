"""PostgreSQL's roles: one for each program that uses the landing database, with just the rights that it needs.

The owner of the database makes its tables and grants the rights; no program that serves or runs tasks logs in as it.
"""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import LiteralString

from psycopg import errors, sql

from member_analyzer.landing.connection import Connection
from member_analyzer.streams.definition import StreamDefinition

# What a program does in the tables of each stream, as what it takes: statements of GRANT without their end.
LAND = ("SELECT, INSERT ON {records}", "INSERT ON {outbox}", "SELECT, INSERT ON {rejected}")
# FOR UPDATE asks for the right to update some column; nobody can change that of an identity.
PUBLISH = (
    "SELECT, UPDATE (record) ON {records}",
    "SELECT, DELETE, UPDATE (position) ON {outbox}",
    "SELECT, INSERT, UPDATE ON {unpublishable}",
)
PRUNE = ("SELECT, DELETE ON {rejected}",)
ERASE = (
    "SELECT, UPDATE (record, erased_at) ON {records}",
    "INSERT ON {outbox}",
    "SELECT, DELETE ON {rejected}",
    "SELECT, DELETE ON {unpublishable}",
)
REPLAY = ("SELECT, DELETE, UPDATE (rejected_at) ON {rejected}", "SELECT, DELETE ON {unpublishable}", *LAND, *PUBLISH)
AUDIT = (
    "SELECT (id, accepted_at, erased_at) ON {records}",
    "SELECT (position, id) ON {outbox}",
    "SELECT (fingerprint, reason) ON {rejected}",
    "SELECT ON {unpublishable}",
)

# The same in the tables that the streams share.
READ_COUNTERS = ("SELECT ON landing.count_changes",)
PRUNE_REPLAYED = ("SELECT, DELETE ON landing.replayed",)
MARK_REPLAYED = ("SELECT, INSERT, DELETE ON landing.replayed",)
READ_REPLAYED = ("SELECT ON landing.replayed",)
GIVE_IDS = ("SELECT, INSERT, UPDATE, DELETE ON landing.given_ids",)
CHECK_KEYS = ("SELECT ON landing.api_keys",)
MANAGE_KEYS = ("SELECT, INSERT, UPDATE (revoked_at) ON landing.api_keys",)
KEEP_ANSWERS = ("SELECT, INSERT, UPDATE, DELETE ON landing.requests",)


@dataclass(frozen=True)
class Rights:
    """What a role may do in the tables of each stream, and in those that the streams share."""

    stream: Sequence[LiteralString]
    shared: Sequence[LiteralString]


# The operator runs the administrative commands; the reader runs the audit and changes nothing.
RIGHTS: Mapping[str, Rights] = {
    "landing_airflow": Rights((*LAND, *PUBLISH, *PRUNE), (*READ_COUNTERS, *PRUNE_REPLAYED)),
    "landing_collector": Rights(
        (*LAND, *PUBLISH, *ERASE, *PRUNE),
        (*READ_COUNTERS, *PRUNE_REPLAYED, *CHECK_KEYS, *KEEP_ANSWERS, *GIVE_IDS),
    ),
    "landing_console": Rights((*AUDIT, *REPLAY), (*READ_COUNTERS, *MARK_REPLAYED)),
    "landing_operator": Rights((*AUDIT, *REPLAY, *ERASE), (*READ_COUNTERS, *MARK_REPLAYED, *MANAGE_KEYS)),
    "landing_reader": Rights(AUDIT, (*READ_COUNTERS, *READ_REPLAYED)),
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


def grant_rights(connection: Connection, definitions: Collection[StreamDefinition]) -> None:
    """Give each role its rights in the tables of these streams, and no other one, as the owner of the tables.

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
            for right in rights.shared:
                connection.execute(sql.SQL("GRANT {} TO {}").format(sql.SQL(right), name))
            for definition in definitions:
                tables = {one: sql.Identifier("landing", table) for one, table in asdict(definition.landing).items()}
                for right in rights.stream:
                    connection.execute(sql.SQL("GRANT {} TO {}").format(sql.SQL(right).format(**tables), name))


def _existing_roles(connection: Connection) -> set[str]:
    rows = connection.execute("SELECT rolname FROM pg_roles WHERE rolname = ANY(%s)", (list(RIGHTS),))
    return {row[0] for row in rows}


def _wait_for_others(connection: Connection) -> None:
    """Two programs that set up at once must not change the same rights."""
    connection.execute("SELECT pg_advisory_xact_lock(hashtext('member-analyzer landing roles'))")
