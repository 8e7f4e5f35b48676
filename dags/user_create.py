"""Takes members from the user API into PostgreSQL, and publishes them to Kafka."""

from datetime import timedelta

from airflow.sdk import Param, dag, get_current_context, task


@dag(
    schedule="@daily",
    catchup=False,
    max_active_runs=1,
    default_args={
        "retries": 3,
        "retry_delay": timedelta(seconds=30),
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
    @task
    def fetch_and_land() -> dict[str, int]:
        from dataclasses import asdict

        from member_analyzer.intake import fetch_and_land
        from member_analyzer.settings import LandingSettings, UserApiSettings

        context = get_current_context()
        params = context["params"]
        landed = fetch_and_land(
            UserApiSettings(),
            LandingSettings(),
            count=params["count"],
            page_size=params["page_size"],
            seed=params["seed"] or str(context["run_id"]),
        )
        return asdict(landed)

    @task
    def publish() -> int:
        from member_analyzer.landing import connect_landing
        from member_analyzer.publisher import MemberProducer, publish_unpublished
        from member_analyzer.settings import KafkaSettings, LandingSettings, RegistrySettings

        with connect_landing(LandingSettings()) as connection:
            return publish_unpublished(connection, MemberProducer(KafkaSettings(), RegistrySettings()))

    fetch_and_land() >> publish()


user_create()
