"""Fetches members from the user API into PostgreSQL, and publishes them to Kafka."""

from datetime import timedelta

from airflow.exceptions import AirflowFailException
from airflow.providers.standard.operators.empty import EmptyOperator
from airflow.sdk import Param, dag, get_current_context, task

from member_analyzer.operations.schedule import timetable
from member_analyzer.settings import ScheduleSettings


@dag(
    schedule=timetable(ScheduleSettings().user_create),
    catchup=False,
    # Not 1: a run with a future logical date is active while it waits for that date, and would block the others.
    max_active_runs=16,
    dagrun_timeout=timedelta(days=1),
    # The first delay is short, because most outages are; then it grows.
    default_args={
        "retry_delay": timedelta(seconds=5),
        "retry_exponential_backoff": True,
        "execution_timeout": timedelta(hours=1),
    },
    params={
        "count": Param(5000, type="integer", minimum=1, maximum=1_000_000, description="Number of members to fetch."),
        "page_size": Param(5000, type="integer", minimum=1, maximum=5000, description="Members per request."),
        "seed": Param(
            "",
            type="string",
            maxLength=200,
            description="The same seed gives the same members. Defaults to the run's id, so that a retry fetches the "
            "same members and a new run different ones.",
        ),
    },
    tags=["members"],
    doc_md=__doc__,
)
def user_create() -> None:
    # The client itself also retries within each attempt.
    @task(retries=5, max_retry_delay=timedelta(minutes=2), max_active_tis_per_dag=1)
    def fetch_and_land() -> dict[str, int]:
        from dataclasses import asdict

        from member_analyzer.landing.intake import fetch_and_land
        from member_analyzer.settings import LandingSettings, UserApiSettings
        from member_analyzer.sources.user_api import UserApiError
        from member_analyzer.streams.members.definition import MEMBERS
        from member_analyzer.streams.members.forms import from_random_user

        context = get_current_context()
        params = context["params"]
        try:
            landed = fetch_and_land(
                MEMBERS,
                from_random_user,
                UserApiSettings(),
                LandingSettings(),
                # Airflow's validation accepts 5000.0 as an integer.
                count=int(params["count"]),
                page_size=int(params["page_size"]),
                seed=params["seed"] or str(context["run_id"]),
            )
        except UserApiError as error:
            if error.is_transient:
                raise
            raise AirflowFailException(str(error)) from error
        return asdict(landed)

    # The retries cover an outage of the broker of ten minutes; after that, the next run publishes what is left.
    # It also runs if fetching failed, to publish the pages before the failed one.
    @task(retries=40, max_retry_delay=timedelta(seconds=15), trigger_rule="all_done")
    def publish() -> int:
        from member_analyzer.landing.connection import connect_landing
        from member_analyzer.landing.dead_letters import forget_rejected
        from member_analyzer.publishing.publisher import EventProducer, publish_unpublished
        from member_analyzer.settings import KafkaSettings, LandingSettings, RegistrySettings, RejectedSettings
        from member_analyzer.streams.members.definition import MEMBERS

        with connect_landing(LandingSettings()) as connection:
            producer = EventProducer(MEMBERS, KafkaSettings(), RegistrySettings())
            published = publish_unpublished(connection, producer)
            # Also where no collector runs, which does it every ten minutes.
            forget_rejected(connection, [MEMBERS], timedelta(days=RejectedSettings().retention_days))
            return published

    # Airflow takes the state of a run from its last tasks: this one does not run if an earlier one failed.
    landed, published = fetch_and_land(), publish()
    landed >> published
    [landed, published] >> EmptyOperator(task_id="complete")


user_create()
