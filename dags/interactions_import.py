"""Imports a file of interactions into Kafka: a web log, NDJSON or CSV.

A run continues where an earlier run of the same file ended, and importing a file again adds nothing.
"""

from datetime import timedelta

from airflow.exceptions import AirflowFailException
from airflow.sdk import Param, dag, get_current_context, task


@dag(
    schedule=None,
    catchup=False,
    max_active_runs=16,
    dagrun_timeout=timedelta(days=1),
    params={
        "file": Param("", type="string", maxLength=1000, description="Path below the directory of imports."),
        "source": Param("", type="string", maxLength=40, description="Name of the source of the interactions."),
        "format": Param("web_log", enum=["web_log", "ndjson", "csv"], description="Format of the file."),
        "site": Param(
            "", type="string", maxLength=300, description="Origin of the paths in a web log, as https://shop.example."
        ),
    },
    tags=["interactions"],
    doc_md=__doc__,
)
def interactions_import() -> None:
    # One at a time, because all of them have the same transactional id.
    @task(
        retries=10,
        retry_delay=timedelta(seconds=5),
        retry_exponential_backoff=True,
        max_retry_delay=timedelta(minutes=1),
        max_active_tis_per_dag=1,
    )
    def import_file() -> dict[str, int]:
        from dataclasses import asdict

        from member_analyzer.kafka.registry import find_schema_id, registry_client
        from member_analyzer.landing.connection import connect_landing
        from member_analyzer.operations.interaction_import import (
            TRANSACTIONAL_ID,
            FileFormat,
            ImportFile,
            ImportFileError,
            find_active_source,
            find_file,
            import_file,
        )
        from member_analyzer.publishing.topic_encoder import TopicEncoder
        from member_analyzer.publishing.transactions import TransactionalWriter
        from member_analyzer.settings import ImportSettings, KafkaSettings, LandingSettings, RegistrySettings
        from member_analyzer.streams.interactions.definition import INTERACTIONS

        params = get_current_context()["params"]
        registry = registry_client(RegistrySettings())
        writer = TransactionalWriter(KafkaSettings(), TRANSACTIONAL_ID)
        writer.start()
        try:
            with connect_landing(LandingSettings()) as connection:
                path = find_file(ImportSettings().directory, params["file"])
                source = find_active_source(connection, params["source"])
                file = ImportFile(path, FileFormat(params["format"]), source, params["site"] or None)
                schema_id = find_schema_id(registry, INTERACTIONS.subject, INTERACTIONS.schema)
                return asdict(import_file(file, connection, writer, TopicEncoder(INTERACTIONS, schema_id)))
        except ImportFileError as error:
            raise AirflowFailException(str(error)) from error
        finally:
            writer.stop(10)

    import_file()


interactions_import()
