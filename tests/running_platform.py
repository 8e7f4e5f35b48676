"""The running platform as the tests use it: its commands, its servers, and the members that were sent through it."""

import subprocess
import sys
from collections.abc import Mapping
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import requests
from cassandra.cluster import Session

from landed_members import land_users
from member_analyzer.analysis.connection import connect_cassandra
from member_analyzer.analysis.tables import AnalysisTables
from member_analyzer.landing.connection import Connection, connect_landing
from member_analyzer.local.environment import Program, airflow_api_environment, program_environment
from member_analyzer.local.home import Home
from member_analyzer.operations.airflow import AirflowClient, DagRun
from member_analyzer.publishing.publisher import EventProducer, publish_unpublished
from member_analyzer.settings import (
    AirflowSettings,
    CassandraSettings,
    KafkaSettings,
    LandingSettings,
    RegistrySettings,
)
from member_analyzer.streams.members.definition import MEMBERS
from member_count import MemberCount
from patience import DEADLINE
from source import Source


class Platform(MemberCount):
    """The running platform, and the members that the tests sent through it."""

    def __init__(self, home: Home, environment: Mapping[str, str], source: Source) -> None:
        super().__init__()
        self.home = home
        self.source = source
        self._environment = environment
        self._stack = ExitStack()

    def command(self, *arguments: str, check: bool = True) -> subprocess.CompletedProcess[str]:
        """Run `member-analyzer` as a person does."""
        program = Path(sys.executable).with_name("member-analyzer")
        return subprocess.run(
            [program, *arguments],
            env=dict(self._environment),
            capture_output=True,
            text=True,
            check=check,
            timeout=2 * DEADLINE,
        )

    def environment(self, program: Program) -> dict[str, str]:
        return program_environment(program, self.home)

    def connect(self) -> None:
        """Open the connections that the tests share; again after the platform was down."""
        self._stack.close()
        cassandra = CassandraSettings.of(self.environment("admin"))
        self.session: Session = self._stack.enter_context(connect_cassandra(cassandra))
        self.landing: Connection = self._stack.enter_context(
            connect_landing(LandingSettings.of(self.environment("admin")))
        )
        airflow = AirflowSettings.of(airflow_api_environment(self.home))
        self.airflow: AirflowClient = self._stack.enter_context(AirflowClient.log_in(airflow))
        self.tables = AnalysisTables(self.session, cassandra.keyspace, MEMBERS)
        self.airflow.wait_for_dags("user_create", "user_analysis", "generate_graphs", seconds=DEADLINE)

    def users(self, seed: str, results: int, page: int) -> list[dict[str, Any]]:
        """A page of the source that the platform of the tests asks."""
        parameters: dict[str, str | int] = {"results": results, "page": page, "seed": seed}
        users: list[dict[str, Any]] = requests.get(self.source.url, params=parameters, timeout=DEADLINE).json()[
            "results"
        ]
        return users

    def disconnect(self) -> None:
        self._stack.close()

    def run(self, dag: str, **parameters: Any) -> DagRun:
        """Let Airflow run a DAG to its end."""
        return self.airflow.wait_for_run(self.airflow.start_run(dag, parameters), seconds=DEADLINE)

    def take(self, seed: str, count: int) -> None:
        """Land and publish members as `user_create` does, but without Airflow, for tests that are not about it."""
        users = self.users(seed, count, 1)
        land_users(self.landing, users, source=seed)
        environment = self.environment("airflow")
        producer = EventProducer(MEMBERS, KafkaSettings.of(environment), RegistrySettings.of(environment))
        publish_unpublished(self.landing, producer)
        self.expect(users)

    def create(self, seed: str, count: int, page_size: int = 1000) -> DagRun:
        """Take members through `user_create`, and remember them as the API gives them."""
        run = self.run("user_create", seed=seed, count=count, page_size=page_size)
        self.remember(seed, count, page_size)
        return run
