"""When a DAG runs by itself."""

from datetime import timedelta

from airflow.sdk import CronTriggerTimetable

NEVER = "never"


def timetable(expression: str) -> CronTriggerTimetable | None:
    """The timetable of a cron expression in UTC; None for `never`, where only people start the DAG.

    A platform that is new waits for the next moment. Airflow would make up for one that is just over, so that whoever
    installs in the first hours of a day would find members that nobody asked for.
    """
    if expression == NEVER:
        return None
    return CronTriggerTimetable(expression, timezone="UTC", run_immediately=timedelta(0))
