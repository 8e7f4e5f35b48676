"""Draws the age, gender, country and city distributions of the latest day as PNG files."""

from datetime import timedelta

from airflow.sdk import dag, task

from member_analyzer.operations.schedule import timetable
from member_analyzer.settings import ScheduleSettings


@dag(
    schedule=timetable(ScheduleSettings().generate_graphs),
    catchup=False,
    # Not 1: a run with a future logical date is active while it waits for that date, and would block the others.
    max_active_runs=16,
    dagrun_timeout=timedelta(days=1),
    default_args={"retries": 3, "retry_delay": timedelta(seconds=30), "execution_timeout": timedelta(hours=1)},
    tags=["members"],
    doc_md=__doc__,
)
def generate_graphs() -> None:
    @task(max_active_tis_per_dag=1)
    def draw() -> list[str]:
        from member_analyzer.graphs.latest import draw_newest_day
        from member_analyzer.settings import CassandraSettings, GraphSettings

        return [str(path) for path in draw_newest_day(CassandraSettings(), GraphSettings())]

    draw()


generate_graphs()
