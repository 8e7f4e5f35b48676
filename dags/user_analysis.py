"""Recounts the members, compares them with the live analysis tables, keeps what it found, and repairs what differs."""

from datetime import timedelta

from airflow.sdk import dag, task

from member_analyzer.operations.schedule import timetable
from member_analyzer.settings import ScheduleSettings, SparkSubmitSettings


@dag(
    schedule=timetable(ScheduleSettings().user_analysis),
    catchup=False,
    # Not one: a run with a logical date in the future is active, and waits, until then or until it times out.
    max_active_runs=16,
    dagrun_timeout=timedelta(days=1),
    default_args={"retries": 3, "retry_delay": timedelta(seconds=30), "execution_timeout": timedelta(hours=1)},
    tags=["members"],
    doc_md=__doc__,
)
def user_analysis() -> None:
    if (manifest := SparkSubmitSettings().manifest) is not None:
        # The client of Kubernetes takes a while to import, at every reading of this file.
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
