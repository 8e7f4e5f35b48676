"""An independent count of the members that tests have sent, and its comparison with a platform's tables."""

from collections import Counter
from collections.abc import Iterable, Set
from datetime import UTC, date, datetime
from typing import Any

import pytest
from cassandra.cluster import Session

from member_analyzer.analysis.tables import AnalysisTables
from patience import DEADLINE, holds

Tables = dict[str, dict[tuple[str, ...], int]]


class MemberCount:
    """The members that the tests have sent through a platform, and the counts in its tables."""

    session: Session
    tables: AnalysisTables

    def __init__(self) -> None:
        self.taken: dict[str, dict[str, Any]] = {}
        self.seeds: set[str] = set()

    def users(self, seed: str, results: int, page: int) -> list[dict[str, Any]]:
        """A page of the platform's user API."""
        raise NotImplementedError

    def remember(self, seed: str, count: int, page_size: int = 1000) -> None:
        size = min(page_size, count)
        for page in range(1, -(-count // size) + 1):
            self.expect(self.users(seed, size, page)[: count - (page - 1) * size])

    def expect(self, users: Iterable[dict[str, Any]]) -> None:
        """Add users to those that must be counted; only their counted fields are kept."""
        for user in users:
            kept = {name: user[name] for name in ("login", "gender", "dob")}
            place = {name: user["location"][name] for name in ("country", "city")}
            self.taken.setdefault(user["login"]["uuid"], kept | {"location": place})

    @property
    def today(self) -> date:
        day = self.tables.read_progress().analysis_date
        assert day is not None, "the stream has not counted any member yet"
        return day

    def expected(self) -> Tables:
        """The expected tables, counted in plain Python."""
        day = datetime.now(UTC).date()
        users = list(self.taken.values())
        return {
            "age": Counter((expected_group(user, day),) for user in users),
            "gender": Counter((user["gender"],) for user in users),
            "country": Counter((user["location"]["country"],) for user in users),
            "city": Counter((user["location"]["country"], user["location"]["city"]) for user in users),
        }

    def actual(self) -> Tables:
        """The tables in Cassandra, without empty buckets."""
        day = datetime.now(UTC).date()
        read = {name: self.tables.read_distribution(name, day) for name in ("age", "gender", "country", "city")}
        return {name: {bucket: n for bucket, n in one.buckets.items() if n} for name, one in read.items()}

    def totals(self) -> set[int]:
        day = datetime.now(UTC).date()
        return {self.tables.read_distribution(name, day).total for name in ("age", "gender", "country", "city")}

    def created_users(self) -> dict[str, Any]:
        return {row["id"]: row for row in self.tables.read_rows()}

    def created_user(self, key: str) -> Any:
        """A row of `created_users`."""
        return self.session.execute("SELECT * FROM spark_streams.created_users WHERE id = %s", (key,)).one()

    def wait_until_counted(self, seconds: float = DEADLINE, rows_seconds: float = DEADLINE) -> None:
        """Wait until the tables and then the rows are as expected; on timeout, fail with the differences."""
        # Expected anew in each attempt: a member's age group may change at midnight.
        if not holds(lambda: self.actual() == self.expected(), seconds):
            pytest.fail(f"After {seconds} seconds the tables still differ:\n{self.differences()}")
        assert self.totals() == {len(self.taken)}
        if not holds(lambda: self.created_users().keys() == self.taken.keys(), rows_seconds):
            pytest.fail(f"After {rows_seconds} seconds created_users still differs:\n{self.differences()}")

    def differences(self) -> str:
        """The differences from the expected tables, and the stream's progress."""
        actual, expected, stored = self.actual(), self.expected(), self.created_users().keys()
        lines = [f"created_users: {len(stored)}, {len(self.taken)} expected"]
        lines += [f"  {sorted(ids)[:3]} {what}" for what, ids in self._differing_ids(stored).items() if ids]
        for table, buckets in expected.items():
            lines.append(f"{table}: {sum(actual[table].values())}, {sum(buckets.values())} expected")
            different = [
                bucket for bucket in buckets | actual[table] if actual[table].get(bucket, 0) != buckets[bucket]
            ]
            lines += [
                f"  {bucket}: {actual[table].get(bucket, 0)}, {buckets[bucket]} expected" for bucket in different[:3]
            ]
        lines.append(f"progress: {self.tables.read_progress()}")
        return "\n".join(lines)

    def _differing_ids(self, stored: Set[str]) -> dict[str, Set[str]]:
        return {"unexpected": stored - self.taken.keys(), "missing": self.taken.keys() - stored}


def expected_group(user: dict[str, Any], day: date) -> str:
    born = date.fromisoformat(user["dob"]["date"][:10])
    age = day.year - born.year - (1 if (born.month, born.day) > (day.month, day.day) else 0)
    if age <= 15:
        return "0-15"
    if age <= 30:
        return "16-30"
    if age <= 45:
        return "31-45"
    return "46-60" if age <= 60 else "61+"
