"""Recounts the members, compares them with the live analysis tables, keeps what it found, and repairs what differs."""

from datetime import timedelta

from airflow.sdk import dag, task


@dag(
    schedule="15 0 * * *",
    catchup=False,
    max_active_runs=1,
    default_args={"retries": 3, "retry_delay": timedelta(seconds=30), "execution_timeout": timedelta(hours=1)},
    tags=["members"],
    doc_md=__doc__,
)
def user_analysis() -> None:
    @task
    def recount() -> None:
        from member_analyzer.spark_submit import submit_job

        submit_job("recount_members")

    recount()


user_analysis()
