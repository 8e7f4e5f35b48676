"""Airflow: its components, and the newest runs of the three DAGs."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager

from member_analyzer.console.board import Look, State
from member_analyzer.console.sightings import Sightings
from member_analyzer.console.watch import Glance
from member_analyzer.operations.airflow import AirflowClient, AirflowError, RunTimes
from member_analyzer.settings import AirflowSettings

DAGS = ("user_create", "user_analysis", "generate_graphs")
RUNS = 5
TIMEOUT = 5


class AirflowSource:
    """What fetches members, recounts them and draws the graphs."""

    name = "airflow"
    away: tuple[type[Exception], ...] = (AirflowError,)

    def __init__(self, settings: AirflowSettings, sightings: Sightings) -> None:
        self._settings = settings.model_copy(update={"timeout": min(settings.timeout, TIMEOUT)})
        self._sightings = sightings

    def means(self, since: str) -> str:
        """Nothing is fetched; what has landed goes on."""
        return (
            "user_create fetches no new members, nothing is recounted and no graphs are drawn until it is back. "
            "What is on its way already is published by the collector and counted by the stream."
        )

    @contextmanager
    def connect(self) -> Iterator[Sequence[Glance]]:
        """One look, as whoever the settings name."""
        with AirflowClient.log_in(self._settings) as airflow:
            yield [Glance(lambda: self._look(airflow), rest=5)]

    def _look(self, airflow: AirflowClient) -> Look:
        health = {name: status for name, status in airflow.read_health().items() if status is not None}
        runs = {dag: airflow.list_runs(dag, RUNS) for dag in DAGS}
        self._sightings.runs = runs
        ill = [name for name, status in health.items() if status != "healthy"]
        return Look(
            State.DEGRADED if ill else State.UP,
            f"{' and '.join(ill)} of it does not do well." if ill else None,
            self.means("") if ill else None,
            facts=[(f"Last {dag}", _describe(runs[dag])) for dag in DAGS],
            detail={
                "components": [{"name": name, "status": status} for name, status in health.items()],
                "runs": [
                    {
                        "dag": dag,
                        "run": one.run.run,
                        "state": one.run.state,
                        "started": one.started,
                        "ended": one.ended,
                    }
                    for dag in DAGS
                    for one in runs[dag]
                ],
            },
        )


def _describe(runs: Sequence[RunTimes]) -> str:
    if not runs:
        return "has not run yet"
    newest = runs[0]
    return newest.run.state + (f", {newest.started:%Y-%m-%d %H:%M} UTC" if newest.started else "")
