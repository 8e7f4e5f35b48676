"""The running platform as the tests use it: its commands, its servers, and an independent count of its members."""

import subprocess
import sys
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Set
from contextlib import ExitStack
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any

import pytest
import requests
from cassandra.cluster import Session
from tenacity import RetryError, Retrying, retry_if_not_result, stop_after_delay, wait_fixed

from member_analyzer.airflow_api import AirflowClient, DagRun
from member_analyzer.landing import Connection, connect_landing
from member_analyzer.local.environment import Program, airflow_api_environment, program_environment
from member_analyzer.local.home import Home
from member_analyzer.settings import AirflowSettings, CassandraSettings, LandingSettings
from member_analyzer.tables import ANALYSIS_QUERY, MEMBERS_QUERY, AnalysisTables, connect_cassandra
from source import Source

Tables = dict[str, dict[tuple[str, ...], int]]


class Platform:
    """The running platform, and the members that the tests sent through it."""

    def __init__(self, home: Home, environment: Mapping[str, str], source: Source) -> None:
        self.home = home
        self.source = source
        self.taken: dict[str, dict[str, Any]] = {}
        self._environment = environment
        self._stack = ExitStack()

    def command(self, *arguments: str, check: bool = True) -> subprocess.CompletedProcess[str]:
        """Run `member-analyzer` as a person does."""
        program = Path(sys.executable).with_name("member-analyzer")
        return subprocess.run(
            [program, *arguments], env=dict(self._environment), capture_output=True, text=True, check=check, timeout=400
        )

    def environment(self, program: Program) -> dict[str, str]:
        return program_environment(program, self.home)

    def connect(self) -> None:
        """Open the connections that the tests share; again after the platform was down."""
        self._stack.close()
        cassandra = CassandraSettings.of(self.environment("admin"))
        self.session: Session = self._stack.enter_context(connect_cassandra(cassandra))
        self.landing: Connection = self._stack.enter_context(
            connect_landing(LandingSettings.of(self.environment("airflow")))
        )
        airflow = AirflowSettings.of(airflow_api_environment(self.home))
        self.airflow: AirflowClient = self._stack.enter_context(AirflowClient.log_in(airflow))
        self.tables = AnalysisTables(self.session, cassandra.keyspace, "users")
        self.airflow.wait_for_dags("user_create", "user_analysis", "generate_graphs", seconds=60)

    def disconnect(self) -> None:
        self._stack.close()

    def run(self, dag: str, **parameters: Any) -> DagRun:
        """Let Airflow run a DAG to its end."""
        return self.airflow.wait_for_run(self.airflow.start_run(dag, parameters), seconds=300)

    def create(self, seed: str, count: int, page_size: int = 1000) -> DagRun:
        """Take members through `user_create`, and remember them as the API gives them."""
        run = self.run("user_create", seed=seed, count=count, page_size=page_size)
        self.remember(seed, count, page_size)
        return run

    def remember(self, seed: str, count: int, page_size: int = 1000) -> None:
        size = min(page_size, count)
        for page in range(1, -(-count // size) + 1):
            parameters: dict[str, str | int] = {"results": size, "page": page, "seed": seed}
            users = requests.get(self.source.url, params=parameters, timeout=30).json()["results"]
            self.expect(users[: count - (page - 1) * size])

    def expect(self, users: Iterable[dict[str, Any]]) -> None:
        """Count these users of the API among those that must arrive; of each only what it is counted by is kept."""
        for user in users:
            kept = {name: user[name] for name in ("login", "gender", "dob")}
            place = {name: user["location"][name] for name in ("country", "city")}
            self.taken.setdefault(user["login"]["uuid"], kept | {"location": place})

    @property
    def today(self) -> date:
        day = self.tables.read_progress(ANALYSIS_QUERY).analysis_date
        assert day is not None, "the stream has not counted anybody yet"
        return day

    def expected(self) -> Tables:
        """The tables as they must be, counted in plain Python from what the API gave."""
        day = datetime.now(UTC).date()
        users = list(self.taken.values())
        return {
            "age": Counter((expected_group(user, day),) for user in users),
            "gender": Counter((user["gender"],) for user in users),
            "country": Counter((user["location"]["country"],) for user in users),
            "city": Counter((user["location"]["country"], user["location"]["city"]) for user in users),
        }

    def actual(self) -> Tables:
        """The tables as Cassandra holds them, buckets without a member left out."""
        day = datetime.now(UTC).date()
        read = {name: self.tables.read_distribution(name, day) for name in ("age", "gender", "country", "city")}
        return {name: {bucket: n for bucket, n in one.buckets.items() if n} for name, one in read.items()}

    def totals(self) -> set[int]:
        day = datetime.now(UTC).date()
        return {self.tables.read_distribution(name, day).total for name in ("age", "gender", "country", "city")}

    def created_users(self) -> dict[str, Any]:
        return {row["id"]: row for row in self.tables.read_created_users()}

    def created_user(self, key: str) -> Any:
        """One whole row of `created_users`."""
        return self.session.execute("SELECT * FROM spark_streams.created_users WHERE id = %s", (key,)).one()

    def wait_until_counted(self, seconds: float = 60) -> None:
        """Wait until the tables are what they must be; otherwise show how they differ."""
        expected = self.expected()
        if not holds(lambda: self.actual() == expected, seconds):
            pytest.fail(f"After {seconds} seconds the tables still differ:\n{self.differences()}")
        assert self.totals() == {len(self.taken)}
        if not holds(lambda: self.created_users().keys() == self.taken.keys(), 30):
            pytest.fail(f"After 30 seconds created_users still differs:\n{self.differences()}")

    def differences(self) -> str:
        """Where the tables are not what they must be, and how far the stream came."""
        actual, expected, stored = self.actual(), self.expected(), self.created_users().keys()
        lines = [f"created_users: {len(stored)}, {len(self.taken)} expected"]
        lines += [f"  {sorted(ids)[:3]} {what}" for what, ids in self._strays(stored).items() if ids]
        for table, buckets in expected.items():
            lines.append(f"{table}: {sum(actual[table].values())}, {sum(buckets.values())} expected")
            wrong = [bucket for bucket in buckets | actual[table] if actual[table].get(bucket, 0) != buckets[bucket]]
            lines += [f"  {bucket}: {actual[table].get(bucket, 0)}, {buckets[bucket]} expected" for bucket in wrong[:3]]
        lines += [f"{query}: {self.tables.read_progress(query)}" for query in (MEMBERS_QUERY, ANALYSIS_QUERY)]
        return "\n".join(lines)

    def _strays(self, stored: Set[str]) -> dict[str, Set[str]]:
        return {"only here": stored - self.taken.keys(), "missing here": self.taken.keys() - stored}


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


def holds(condition: Callable[[], bool], seconds: float) -> bool:
    """Whether a condition comes true within so many seconds."""
    try:
        Retrying(stop=stop_after_delay(seconds), wait=wait_fixed(0.3), retry=retry_if_not_result(bool))(condition)
    except RetryError:
        return False
    return True
