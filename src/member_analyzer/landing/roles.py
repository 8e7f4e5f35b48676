"""PostgreSQL roles: one for each program that uses the landing database, with least privilege.

The database owner creates the tables and grants the rights; no long-running program logs in as the owner.
"""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import LiteralString

from psycopg import errors, sql

from member_analyzer.landing.connection import Connection
from member_analyzer.landing.statements import identifiers
from member_analyzer.streams.definition import StreamDefinition

# Privileges on the tables of each stream, as GRANT statements without the grantee.
LAND = ("SELECT, INSERT ON {records}", "INSERT ON {outbox}", "SELECT, INSERT ON {rejected}")
# FOR UPDATE requires UPDATE on some column; an identity column cannot actually be changed.
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

# The shared tables, and privileges on them.
SHARED_TABLES = ("count_changes", "replayed", "given_ids", "api_keys", "sources", "imports", "requests")
READ_COUNTERS = ("SELECT ON landing.count_changes",)
PRUNE_REPLAYED = ("SELECT, DELETE ON landing.replayed",)
MARK_REPLAYED = ("SELECT, INSERT, DELETE ON landing.replayed",)
READ_REPLAYED = ("SELECT ON landing.replayed",)
GIVE_IDS = ("SELECT, INSERT, UPDATE, DELETE ON landing.given_ids",)
CHECK_KEYS = ("SELECT ON landing.api_keys",)
MANAGE_KEYS = ("SELECT, INSERT, UPDATE (revoked_at) ON landing.api_keys",)
CHECK_SOURCES = ("SELECT ON landing.sources",)
IMPORT = ("SELECT, INSERT, UPDATE ON landing.imports",)
MANAGE_SOURCES = ("SELECT, INSERT, UPDATE (hash, revoked_at) ON landing.sources",)
KEEP_ANSWERS = ("SELECT, INSERT, UPDATE, DELETE ON landing.requests",)


@dataclass(frozen=True)
class Rights:
    """The privileges of a role on the tables of each stream and on the shared tables."""

    stream: Sequence[LiteralString]
    shared: Sequence[LiteralString]


# landing_operator runs the administrative commands; landing_reader runs the audit, read-only.
RIGHTS: Mapping[str, Rights] = {
    "landing_airflow": Rights((*LAND, *PUBLISH, *PRUNE), (*READ_COUNTERS, *PRUNE_REPLAYED, *CHECK_SOURCES, *IMPORT)),
    "landing_collector": Rights(
        (*LAND, *PUBLISH, *ERASE, *PRUNE),
        (*READ_COUNTERS, *PRUNE_REPLAYED, *CHECK_KEYS, *CHECK_SOURCES, *KEEP_ANSWERS, *GIVE_IDS),
    ),
    "landing_console": Rights((*AUDIT, *REPLAY), (*READ_COUNTERS, *MARK_REPLAYED)),
    "landing_operator": Rights(
        (*AUDIT, *REPLAY, *ERASE), (*READ_COUNTERS, *MARK_REPLAYED, *MANAGE_KEYS, *MANAGE_SOURCES)
    ),
    "landing_reader": Rights(AUDIT, (*READ_COUNTERS, *READ_REPLAYED)),
}


class LandingRolesError(RuntimeError):
    """Raised when the roles of the landing database are missing or cannot be created."""


def make_roles(connection: Connection, passwords: Mapping[str, str]) -> None:
    """Create the roles, or update their passwords; `passwords` has one for each role of RIGHTS.

    Raises LandingRolesError if the connection's role lacks CREATEROLE.
    """
    with connection.transaction():
        _wait_for_others(connection)
        existing = _existing_roles(connection)
        for role in RIGHTS:
            statement = "ALTER ROLE {} LOGIN PASSWORD {}" if role in existing else "CREATE ROLE {} LOGIN PASSWORD {}"
            # Hashed by the client, so that the server's log contains no password.
            verifier = connection.pgconn.encrypt_password(passwords[role].encode(), role.encode(), b"scram-sha-256")
            try:
                connection.execute(sql.SQL(statement).format(sql.Identifier(role), sql.Literal(verifier.decode())))
            except errors.InsufficientPrivilege as error:
                raise LandingRolesError(
                    f"{connection.info.user} cannot create or alter the PostgreSQL role {role}: grant it CREATEROLE, "
                    f"or have an administrator create the roles {', '.join(RIGHTS)}."
                ) from error


def grant_rights(connection: Connection, definitions: Collection[StreamDefinition]) -> None:
    """Grant each role exactly its rights on the shared tables and on those of these streams.

    The rights on the tables of other streams do not change. Requires the owner of the tables. Raises LandingRolesError
    if a role is missing.
    """
    with connection.transaction():
        _wait_for_others(connection)
        if missing := RIGHTS.keys() - _existing_roles(connection):
            raise LandingRolesError(
                f"PostgreSQL lacks the roles {', '.join(sorted(missing))}: create them with "
                "`member-analyzer provision landing-roles`, or have an administrator create them."
            )
        database = sql.Identifier(connection.info.dbname)
        streams = [identifiers(definition.landing) for definition in definitions]
        shared = [sql.Identifier("landing", table) for table in SHARED_TABLES]
        tables = sql.SQL(", ").join([*shared, *(table for stream in streams for table in stream.values())])
        for role, rights in RIGHTS.items():
            name = sql.Identifier(role)
            connection.execute(sql.SQL("REVOKE ALL ON DATABASE {} FROM {}").format(database, name))
            connection.execute(sql.SQL("REVOKE ALL ON SCHEMA landing FROM {}").format(name))
            connection.execute(sql.SQL("REVOKE ALL ON {} FROM {}").format(tables, name))
            connection.execute(sql.SQL("GRANT CONNECT ON DATABASE {} TO {}").format(database, name))
            connection.execute(sql.SQL("GRANT USAGE ON SCHEMA landing TO {}").format(name))
            for right in rights.shared:
                connection.execute(sql.SQL("GRANT {} TO {}").format(sql.SQL(right), name))
            for stream in streams:
                for right in rights.stream:
                    connection.execute(sql.SQL("GRANT {} TO {}").format(sql.SQL(right).format(**stream), name))


def _existing_roles(connection: Connection) -> set[str]:
    rows = connection.execute("SELECT rolname FROM pg_roles WHERE rolname = ANY(%s)", (list(RIGHTS),))
    return {row[0] for row in rows}


def _wait_for_others(connection: Connection) -> None:
    """Serialize concurrent provisioning."""
    connection.execute("SELECT pg_advisory_xact_lock(hashtext('member-analyzer landing roles'))")
