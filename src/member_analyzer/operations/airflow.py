"""Client of Airflow's REST API: starts DAG runs and tells how they end."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from http import HTTPStatus
from typing import Any, NamedTuple, Self

import requests
from tenacity import (
    RetryError,
    Retrying,
    retry_if_exception_type,
    retry_if_result,
    stop_after_delay,
    wait_fixed,
)

from member_analyzer.http.sessions import direct_session
from member_analyzer.settings import AirflowSettings
from member_analyzer.stopwatch import stop_after_waiting

ENDED = ("success", "failed")


class AirflowError(RuntimeError):
    """Raised when Airflow does not do what it was asked for."""


class AirflowUnavailableError(AirflowError):
    """Raised when Airflow cannot answer now; asking again may help."""


@dataclass(frozen=True)
class DagRun:
    """One run of a DAG: its state is queued, running, success or failed."""

    dag: str
    run: str
    state: str


@dataclass(frozen=True)
class RunTimes:
    """A run of a DAG, and when it began and ended."""

    run: DagRun
    started: datetime | None
    ended: datetime | None


TASK_TIMES = ("queued_when", "start_date", "end_date")


class TaskTimes(NamedTuple):
    """When a task was handed to the executor, when its program began, and when it ended."""

    queued: datetime
    began: datetime
    ended: datetime


class AirflowClient:
    """A logged-in user of one Airflow."""

    def __init__(self, settings: AirflowSettings, session: requests.Session) -> None:
        self._url = settings.url.rstrip("/")
        self._timeout = settings.timeout
        self._session = session
        token = self._ask(
            "POST",
            "/auth/token",
            {"username": settings.username, "password": settings.password.get_secret_value()},
        )["access_token"]
        session.headers["Authorization"] = f"Bearer {token}"

    @classmethod
    @contextmanager
    def log_in(cls, settings: AirflowSettings) -> Iterator[Self]:
        """A client, until the end of the block. Raises AirflowError when Airflow refuses the login."""
        with direct_session() as session:
            yield cls(settings, session)

    def start_run(
        self, dag: str, parameters: Mapping[str, Any] | None = None, logical_date: datetime | None = None
    ) -> DagRun:
        """Start a run of a DAG with these parameters, now; the tasks of one with a logical date wait for that."""
        date = logical_date.isoformat() if logical_date else None
        run = self._ask("POST", f"/api/v2/dags/{dag}/dagRuns", {"logical_date": date, "conf": dict(parameters or {})})
        return DagRun(dag, run["dag_run_id"], run["state"])

    def pause_dag(self, dag: str, *, paused: bool) -> None:
        """Pause a DAG, or unpause it."""
        self._ask("PATCH", f"/api/v2/dags/{dag}", {"is_paused": paused})

    def list_paused(self, *dags: str) -> list[str]:
        """Those of the DAGs that are paused: a run of them would wait until somebody unpauses them."""
        return [dag for dag in dags if self._ask("GET", f"/api/v2/dags/{dag}")["is_paused"]]

    def read_run(self, dag: str, run: str) -> DagRun:
        """A run as it is now."""
        return DagRun(dag, run, self._ask("GET", f"/api/v2/dags/{dag}/dagRuns/{run}")["state"])

    def end_run(self, run: DagRun) -> None:
        """End a run, as failed."""
        self._ask("PATCH", f"/api/v2/dags/{run.dag}/dagRuns/{run.run}", {"state": "failed"})

    def list_runs(self, dag: str, limit: int) -> list[RunTimes]:
        """The newest runs of a DAG, the newest first."""
        runs = self._ask("GET", f"/api/v2/dags/{dag}/dagRuns?limit={limit}&order_by=-run_after")["dag_runs"]
        return [
            RunTimes(
                DagRun(dag, one["dag_run_id"], one["state"]),
                *(_read_time(one[name]) if one[name] else None for name in ("start_date", "end_date")),
            )
            for one in runs
        ]

    def read_health(self) -> dict[str, str | None]:
        """How each component does (`healthy` or not), by name; none for one that is not there."""
        return {name: one["status"] for name, one in self._ask("GET", "/api/v2/monitor/health").items()}

    def wait_for_run(self, started: DagRun, *, seconds: float) -> DagRun:
        """Wait until a run has ended. Raises AirflowError for one that failed, or goes on after so many seconds."""
        retrying = Retrying(
            stop=stop_after_waiting(seconds),
            wait=wait_fixed(0.3),
            # A server that is unavailable for a while, as after the machine has slept, does not end the run.
            retry=retry_if_result(lambda run: run.state not in ENDED)
            | retry_if_exception_type(AirflowUnavailableError),
        )
        named = f"The run {started.run} of {started.dag}"
        try:
            ended: DagRun = retrying(self.read_run, started.dag, started.run)
        except RetryError as error:
            last = error.last_attempt.exception()
            cause = f" {last}" if last else ""
            raise AirflowError(f"{named} did not end in {seconds:.0f} seconds.{cause}") from None
        if ended.state == "failed":
            raise AirflowError(f"{named} failed; Airflow's UI shows why.")
        return ended

    def wait_for_dags(self, *dags: str, seconds: float) -> None:
        """Wait until Airflow has read these DAGs. Raises AirflowError when one is unknown after so many seconds."""

        def missing() -> set[str]:
            return set(dags) - {dag["dag_id"] for dag in self._ask("GET", "/api/v2/dags?limit=100")["dags"]}

        try:
            Retrying(stop=stop_after_delay(seconds), wait=wait_fixed(0.3), retry=retry_if_result(bool))(missing)
        except RetryError:
            raise AirflowError(
                f"Airflow does not know {', '.join(sorted(missing()))} after {seconds:.0f} seconds: "
                "see the import errors on its start page."
            ) from None

    def task_times(self, run: DagRun) -> dict[str, TaskTimes]:
        """When each task of an ended run was queued, began and ended, by its name."""
        instances = self._ask("GET", f"/api/v2/dags/{run.dag}/dagRuns/{run.run}/taskInstances")["task_instances"]
        return {
            one["task_id"]: TaskTimes(*(_read_time(one[name]) for name in TASK_TIMES))
            for one in instances
            if all(one[name] for name in TASK_TIMES)
        }

    def task_result(self, run: DagRun, task: str) -> Any:
        """What a task of a run returned."""
        entry = self._ask(
            "GET", f"/api/v2/dags/{run.dag}/dagRuns/{run.run}/taskInstances/{task}/xcomEntries/return_value"
        )
        return entry["value"]

    def _ask(self, method: str, path: str, body: object = None) -> Any:
        try:
            answer = self._session.request(method, f"{self._url}{path}", json=body, timeout=self._timeout)
        except requests.RequestException as error:
            raise AirflowUnavailableError(f"Airflow at {self._url} does not answer: {error}") from error
        if not answer.ok:
            unavailable = answer.status_code >= HTTPStatus.INTERNAL_SERVER_ERROR
            raise (AirflowUnavailableError if unavailable else AirflowError)(
                f"Airflow answered {method} {path} with status {answer.status_code}: {answer.text[:300]}"
            )
        return answer.json()


def _read_time(text: str) -> datetime:
    return datetime.fromisoformat(text).astimezone(UTC)
