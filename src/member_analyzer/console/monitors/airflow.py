"""Airflow: health of its components, and the newest runs of the DAGs."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager

from member_analyzer.console.monitoring import Probe
from member_analyzer.console.snapshot import Snapshot
from member_analyzer.console.status import State, Status
from member_analyzer.operations.airflow import AirflowClient, AirflowError, RunTimes
from member_analyzer.settings import AirflowSettings

DAGS = ("user_create", "user_analysis", "generate_graphs")
RUNS = 5
TIMEOUT = 5


class AirflowMonitor:
    """Reads Airflow's REST API."""

    name = "airflow"
    unavailable_errors: tuple[type[Exception], ...] = (AirflowError,)

    def __init__(self, settings: AirflowSettings, snapshot: Snapshot) -> None:
        self._settings = settings.model_copy(update={"timeout": min(settings.timeout, TIMEOUT)})
        self._snapshot = snapshot

    def impact(self, last_seen: str) -> str:
        return (
            "user_create fetches no new members, and no recounts or graphs run until Airflow is back. "
            "Accepted members are still published by the collector and counted by the stream."
        )

    @contextmanager
    def connect(self) -> Iterator[Sequence[Probe]]:
        with AirflowClient.log_in(self._settings) as airflow:
            yield [Probe(lambda: self._check(airflow), pause=5)]

    def _check(self, airflow: AirflowClient) -> Status:
        health = {name: status for name, status in airflow.read_health().items() if status is not None}
        runs = {dag: airflow.list_runs(dag, RUNS) for dag in DAGS}
        self._snapshot.runs = runs
        unhealthy = [name for name, status in health.items() if status != "healthy"]
        return Status(
            State.DEGRADED if unhealthy else State.UP,
            f"Unhealthy components: {', '.join(unhealthy)}." if unhealthy else None,
            self.impact("") if unhealthy else None,
            facts=[(f"Last {dag}", _describe_newest(runs[dag])) for dag in DAGS],
            detail={
                "components": [{"name": name, "status": status} for name, status in health.items()],
                "runs": [
                    {
                        "dag": dag,
                        "run": times.run.run,
                        "state": times.run.state,
                        "started": times.started,
                        "ended": times.ended,
                    }
                    for dag in DAGS
                    for times in runs[dag]
                ],
            },
        )


def _describe_newest(runs: Sequence[RunTimes]) -> str:
    if not runs:
        return "no runs yet"
    newest = runs[0]
    return newest.run.state + (f", {newest.started:%Y-%m-%d %H:%M} UTC" if newest.started else "")
