"""Timetables of the DAGs."""

from datetime import timedelta

from airflow.sdk import CronTriggerTimetable

NEVER = "never"


def timetable(expression: str) -> CronTriggerTimetable | None:
    """Return the timetable of a cron expression in UTC; None for `never`: the DAG is only started manually.

    A new platform waits for the next scheduled time. By default Airflow would also run for one that has just passed,
    and create members that nobody requested.
    """
    if expression == NEVER:
        return None
    return CronTriggerTimetable(expression, timezone="UTC", run_immediately=timedelta(0))
