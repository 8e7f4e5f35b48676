"""Takes members from the user API into PostgreSQL, and publishes them to Kafka."""

from datetime import timedelta

from airflow.exceptions import AirflowFailException
from airflow.providers.standard.operators.empty import EmptyOperator
from airflow.sdk import Param, dag, get_current_context, task

from member_analyzer.operations.schedule import timetable
from member_analyzer.settings import ScheduleSettings


@dag(
    schedule=timetable(ScheduleSettings().user_create),
    catchup=False,
    # Not one: a run with a logical date in the future is active, and waits, until then or until it times out.
    max_active_runs=16,
    dagrun_timeout=timedelta(days=1),
    # The first pause is short, for a server that comes back at once; then they grow.
    default_args={
        "retry_delay": timedelta(seconds=5),
        "retry_exponential_backoff": True,
        "execution_timeout": timedelta(hours=1),
    },
    params={
        "count": Param(5000, type="integer", minimum=1, maximum=1_000_000, description="How many members to take."),
        "page_size": Param(5000, type="integer", minimum=1, maximum=5000, description="Members of one request."),
        "seed": Param(
            "",
            type="string",
            maxLength=200,
            description="The same seed gives the same members; an empty one is the run's id, so that a retry "
            "takes the same members and a new run takes others.",
        ),
    },
    tags=["members"],
    doc_md=__doc__,
)
def user_create() -> None:
    # Within each attempt the API is asked again and again already.
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
                # JSON has one kind of number: 5000.0 is an integer to Airflow's check of the parameters.
                count=int(params["count"]),
                page_size=int(params["page_size"]),
                seed=params["seed"] or str(context["run_id"]),
            )
        except UserApiError as error:
            if error.may_pass:
                raise
            raise AirflowFailException(str(error)) from error
        return asdict(landed)

    # What is accepted is owed: ten minutes of a broker that is away are sat out, before the next run has to go on.
    # Also what landed before a page could not be had.
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

    # A run is judged by its last task: this one is not reached where one before it failed.
    landed, published = fetch_and_land(), publish()
    landed >> published
    [landed, published] >> EmptyOperator(task_id="complete")


user_create()
