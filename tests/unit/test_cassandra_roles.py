"""The tables of the interactions, and the Cassandra roles that may read them."""

import re
from dataclasses import dataclass, field
from typing import Any

from member_analyzer.analysis.keyspace import INTERACTION_TABLES, create_tables, interaction_tables
from member_analyzer.analysis.roles import grant_rights
from member_analyzer.settings import CassandraSettings
from member_analyzer.streams.members.definition import MEMBERS


@dataclass
class Session:
    """A fake session that keeps the statements."""

    statements: list[str] = field(default_factory=list)

    def execute(self, statement: str) -> None:
        self.statements.append(statement)


def granted(role: str) -> dict[str, set[str]]:
    """The permissions of a role on the resources of the keyspace `k`."""
    session: Any = Session()
    grant_rights(session, "k", [MEMBERS])
    permissions: dict[str, set[str]] = {}
    for statement in session.statements:
        parts = re.fullmatch(r"GRANT (\w+) ON (?:TABLE |KEYSPACE )(\S+) TO (\w+)", statement)
        assert parts is not None, statement
        if parts[3] == role:
            permissions.setdefault(parts[1], set()).add(parts[2])
    return permissions


def tables(*names: str) -> set[str]:
    return {f"k.interaction_{name}" for name in names}


COUNTS = tables("days", "counts", "minutes", "active", "members", "sources", "lag")
MEMBER_COUNTS = {f"k.{one}" for one in ("age", "gender", "country", "city", "stream_progress", "stream_generations")}


def test_the_interactions_have_these_tables_and_no_others() -> None:
    created = [re.match(r"CREATE TABLE IF NOT EXISTS k\.(\w+)", one) for one in interaction_tables("k")]
    assert tuple(one and one[1] for one in created) == INTERACTION_TABLES


def test_the_tables_of_the_interactions_are_created_without_their_definition() -> None:
    session: Any = Session()
    create_tables(session, CassandraSettings.of({"CASSANDRA_USERNAME": "a", "CASSANDRA_PASSWORD": "b"}), [])
    for table in INTERACTION_TABLES:
        assert any(f"EXISTS spark_streams.{table} (" in one for one in session.statements)
    assert not any("{keyspace}" in one or one.startswith("--") for one in session.statements)


def test_the_console_reads_counts_and_no_persons_timeline_or_sessions() -> None:
    permissions = granted("console")
    assert permissions.keys() == {"SELECT"}
    assert {one for one in permissions["SELECT"] if "interaction" in one} == COUNTS
    assert permissions["SELECT"] >= MEMBER_COUNTS


def test_the_collector_also_reads_what_a_person_did() -> None:
    permissions = granted("collector")
    assert permissions.keys() == {"SELECT"}
    assert permissions["SELECT"] == granted("console")["SELECT"] | tables("timeline", "sessions_by_person", "visitors")


def test_only_the_stream_writes() -> None:
    assert granted("stream") == {"SELECT": {"k"}, "MODIFY": {"k"}}
    assert granted("reader") == {"SELECT": {"k"}}
