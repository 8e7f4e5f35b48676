"""Client of Airflow's REST API: starts DAG runs and waits for them."""

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
    """A request to Airflow failed."""


class AirflowUnavailableError(AirflowError):
    """Airflow is unavailable; a retry may succeed."""


@dataclass(frozen=True)
class DagRun:
    """A run of a DAG; its state is queued, running, success or failed."""

    dag: str
    run: str
    state: str


@dataclass(frozen=True)
class RunTimes:
    """A run of a DAG, with its start and end."""

    run: DagRun
    started: datetime | None
    ended: datetime | None


TASK_TIMES = ("queued_when", "start_date", "end_date")


class TaskTimes(NamedTuple):
    """When a task was queued in the executor, started and ended."""

    queued: datetime
    started: datetime
    ended: datetime


class AirflowClient:
    """An authenticated session of one Airflow."""

    def __init__(self, settings: AirflowSettings, session: requests.Session) -> None:
        self._url = settings.url.rstrip("/")
        self._timeout = settings.timeout
        self._session = session
        token = self._request(
            "POST",
            "/auth/token",
            {"username": settings.username, "password": settings.password.get_secret_value()},
        )["access_token"]
        session.headers["Authorization"] = f"Bearer {token}"

    @classmethod
    @contextmanager
    def log_in(cls, settings: AirflowSettings) -> Iterator[Self]:
        """Log in and yield a client. Raises AirflowError if the login fails."""
        with direct_session() as session:
            yield cls(settings, session)

    def start_run(
        self, dag: str, parameters: Mapping[str, Any] | None = None, logical_date: datetime | None = None
    ) -> DagRun:
        """Start a run of a DAG now; with a logical date its tasks wait until then."""
        date = logical_date.isoformat() if logical_date else None
        body = {"logical_date": date, "conf": dict(parameters or {})}
        run = self._request("POST", f"/api/v2/dags/{dag}/dagRuns", body)
        return DagRun(dag, run["dag_run_id"], run["state"])

    def pause_dag(self, dag: str, *, paused: bool) -> None:
        """Pause or unpause a DAG."""
        self._request("PATCH", f"/api/v2/dags/{dag}", {"is_paused": paused})

    def list_paused(self, *dags: str) -> list[str]:
        """List those of the DAGs that are paused: their runs stay queued until the DAG is unpaused."""
        return [dag for dag in dags if self._request("GET", f"/api/v2/dags/{dag}")["is_paused"]]

    def read_run(self, dag: str, run: str) -> DagRun:
        """Read the current state of a run."""
        return DagRun(dag, run, self._request("GET", f"/api/v2/dags/{dag}/dagRuns/{run}")["state"])

    def end_run(self, run: DagRun) -> None:
        """Mark a run as failed."""
        self._request("PATCH", f"/api/v2/dags/{run.dag}/dagRuns/{run.run}", {"state": "failed"})

    def list_runs(self, dag: str, limit: int) -> list[RunTimes]:
        """List the newest runs of a DAG, the newest first."""
        runs = self._request("GET", f"/api/v2/dags/{dag}/dagRuns?limit={limit}&order_by=-run_after")["dag_runs"]
        return [
            RunTimes(
                DagRun(dag, one["dag_run_id"], one["state"]),
                *(_read_time(one[name]) if one[name] else None for name in ("start_date", "end_date")),
            )
            for one in runs
        ]

    def read_health(self) -> dict[str, str | None]:
        """Read the health of each component (`healthy` or not); None for one that is not deployed."""
        return {name: one["status"] for name, one in self._request("GET", "/api/v2/monitor/health").items()}

    def wait_for_run(self, started: DagRun, *, seconds: float) -> DagRun:
        """Wait until a run has ended. Raises AirflowError if it fails or takes longer than `seconds`."""
        retrying = Retrying(
            stop=stop_after_waiting(seconds),
            wait=wait_fixed(0.3),
            # A server that is temporarily unavailable, as after a suspend of the machine, does not end the run.
            retry=retry_if_result(lambda run: run.state not in ENDED)
            | retry_if_exception_type(AirflowUnavailableError),
        )
        name = f"The run {started.run} of {started.dag}"
        try:
            ended: DagRun = retrying(self.read_run, started.dag, started.run)
        except RetryError as error:
            last = error.last_attempt.exception()
            cause = f" {last}" if last else ""
            raise AirflowError(f"{name} did not end in {seconds:.0f} seconds.{cause}") from None
        if ended.state == "failed":
            raise AirflowError(f"{name} failed; see Airflow's UI.")
        return ended

    def wait_for_dags(self, *dags: str, seconds: float) -> None:
        """Wait until Airflow has parsed these DAGs. Raises AirflowError if one is still missing after `seconds`."""

        def missing() -> set[str]:
            return set(dags) - {dag["dag_id"] for dag in self._request("GET", "/api/v2/dags?limit=100")["dags"]}

        try:
            Retrying(stop=stop_after_delay(seconds), wait=wait_fixed(0.3), retry=retry_if_result(bool))(missing)
        except RetryError:
            raise AirflowError(
                f"Airflow has not parsed {', '.join(sorted(missing()))} in {seconds:.0f} seconds: "
                "see the import errors on its start page."
            ) from None

    def task_times(self, run: DagRun) -> dict[str, TaskTimes]:
        """Read when each task of a run was queued, started and ended, by task id."""
        instances = self._request("GET", f"/api/v2/dags/{run.dag}/dagRuns/{run.run}/taskInstances")["task_instances"]
        return {
            one["task_id"]: TaskTimes(*(_read_time(one[name]) for name in TASK_TIMES))
            for one in instances
            if all(one[name] for name in TASK_TIMES)
        }

    def task_result(self, run: DagRun, task: str) -> Any:
        """Read the return value of a task."""
        entry = self._request(
            "GET", f"/api/v2/dags/{run.dag}/dagRuns/{run.run}/taskInstances/{task}/xcomEntries/return_value"
        )
        return entry["value"]

    def _request(self, method: str, path: str, body: object = None) -> Any:
        try:
            response = self._session.request(method, f"{self._url}{path}", json=body, timeout=self._timeout)
        except requests.RequestException as error:
            raise AirflowUnavailableError(f"Airflow at {self._url} does not respond: {error}") from error
        if not response.ok:
            unavailable = response.status_code >= HTTPStatus.INTERNAL_SERVER_ERROR
            raise (AirflowUnavailableError if unavailable else AirflowError)(
                f"Airflow returned status {response.status_code} for {method} {path}: {response.text[:300]}"
            )
        return response.json()


def _read_time(text: str) -> datetime:
    return datetime.fromisoformat(text).astimezone(UTC)
