"""Recounts the members, compares the result with the live analysis tables, records and repairs the differences."""

from datetime import timedelta

from airflow.sdk import dag, task

from member_analyzer.operations.schedule import timetable
from member_analyzer.settings import ScheduleSettings, SparkSubmitSettings


@dag(
    schedule=timetable(ScheduleSettings().user_analysis),
    catchup=False,
    # Not 1: a run with a future logical date is active while it waits for that date, and would block the others.
    max_active_runs=16,
    dagrun_timeout=timedelta(days=1),
    default_args={"retries": 3, "retry_delay": timedelta(seconds=30), "execution_timeout": timedelta(hours=1)},
    tags=["members"],
    doc_md=__doc__,
)
def user_analysis() -> None:
    if (manifest := SparkSubmitSettings().manifest) is not None:
        # Imported here because it is slow to import, each time this file is parsed.
        from airflow.providers.cncf.kubernetes.operators.spark_kubernetes import SparkKubernetesOperator

        from member_analyzer.spark.submission import read_application

        application = read_application(manifest)
        SparkKubernetesOperator(
            task_id="recount",
            template_spec=application,
            namespace=application["metadata"]["namespace"],
            in_cluster=True,
            max_active_tis_per_dag=1,
        )
        return

    @task(max_active_tis_per_dag=1)
    def recount() -> None:
        from member_analyzer.spark.submission import submit_job

        submit_job("recount", "members")

    recount()


user_analysis()
