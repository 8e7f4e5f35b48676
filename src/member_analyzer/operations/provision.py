"""Idempotent provisioning of what the programs require: landing tables, topics, schemas, Cassandra tables, roles.

It requires administrator rights, which the programs do not have.
"""

from collections.abc import Callable, Collection, Mapping
from enum import StrEnum

import httpx2
import psycopg
import structlog
from cassandra import DriverException
from cassandra.cluster import NoHostAvailable
from confluent_kafka import KafkaException
from confluent_kafka.schema_registry.error import SchemaRegistryError
from tenacity import RetryCallState, Retrying, retry_if_exception_type, stop_after_delay, wait_fixed

from member_analyzer.analysis.connection import connect_cassandra
from member_analyzer.analysis.interactions.retention import set_retention
from member_analyzer.analysis.keyspace import create_tables as create_cassandra_tables
from member_analyzer.analysis.roles import grant_rights, make_roles
from member_analyzer.kafka.registry import register_schema, registry_client
from member_analyzer.kafka.topics import create_topics, stream_topics
from member_analyzer.landing import roles as landing_roles
from member_analyzer.landing.connection import connect_landing
from member_analyzer.landing.schema import create_tables as create_landing_tables
from member_analyzer.settings import (
    CassandraRolesSettings,
    CassandraSettings,
    InteractionSettings,
    KafkaSettings,
    LandingRolesSettings,
    LandingSettings,
    RegistrySettings,
    RejectedSettings,
)
from member_analyzer.streams.definition import StreamDefinition, TopicDefinition

log = structlog.get_logger(__name__)

SECONDS_BETWEEN_ATTEMPTS = 3

# What the clients raise while a server is unavailable or still starting.
CONNECTION_ERRORS: tuple[type[Exception], ...] = (
    *(psycopg.OperationalError, NoHostAvailable, DriverException),
    *(KafkaException, httpx2.HTTPError, SchemaRegistryError),
)

Environment = Mapping[str, str]
Definitions = Collection[TopicDefinition]


class Step(StrEnum):
    """A provisioning step; on Kubernetes, for example, Kafka's operator creates the topics instead."""

    LANDING_ROLES = "landing-roles"
    LANDING = "landing"
    TOPICS = "topics"
    SCHEMAS = "schemas"
    TABLES = "tables"
    ROLES = "roles"


def select_streams(definitions: Definitions) -> list[StreamDefinition]:
    """Return those that have landing and analysis tables."""
    return [one for one in definitions if isinstance(one, StreamDefinition)]


# For environments that create the roles separately.
WITHOUT_ROLES = (Step.LANDING, Step.TOPICS, Step.SCHEMAS, Step.TABLES)


def provision_landing_roles(environment: Environment, _: Definitions) -> None:
    """Create the programs' PostgreSQL roles, with their passwords."""
    settings, roles = LandingSettings.of(environment), LandingRolesSettings.of(environment)
    if roles.administrator is not None and roles.administrator_password is not None:
        login = {"username": roles.administrator, "password": roles.administrator_password}
        settings = settings.model_copy(update=login)
    with connect_landing(settings) as connection:
        landing_roles.make_roles(connection, roles.passwords)


def provision_landing(environment: Environment, definitions: Definitions) -> None:
    """Create missing landing tables, and grant the programs' roles their rights."""
    with connect_landing(LandingSettings.of(environment)) as connection:
        create_landing_tables(connection, select_streams(definitions))
        landing_roles.grant_rights(connection, select_streams(definitions))


def provision_topics(environment: Environment, definitions: Definitions) -> None:
    """Create missing topics, and set their retention."""
    create_topics(KafkaSettings.of(environment), stream_topics(definitions, RejectedSettings.of(environment)))


def provision_schemas(environment: Environment, definitions: Definitions) -> None:
    """Register the Avro schemas."""
    client = registry_client(RegistrySettings.of(environment))
    for definition in definitions:
        register_schema(client, definition.subject, definition.schema)


def provision_tables(environment: Environment, definitions: Definitions) -> None:
    """Create the keyspace and its tables if they do not exist, and set their retention."""
    settings = CassandraSettings.of(environment)
    with connect_cassandra(settings) as session:
        create_cassandra_tables(session, settings, select_streams(definitions))
        set_retention(session, settings.keyspace, InteractionSettings.of(environment))


def provision_roles(environment: Environment, definitions: Definitions) -> None:
    """Create the programs' Cassandra roles, with their passwords and rights; the keyspace must exist."""
    settings, roles = CassandraSettings.of(environment), CassandraRolesSettings.of(environment)
    with connect_cassandra(settings) as session:
        make_roles(session, roles.passwords)
        grant_rights(session, settings.keyspace, select_streams(definitions))


STEPS: Mapping[Step, Callable[[Environment, Definitions], None]] = {
    Step.LANDING_ROLES: provision_landing_roles,
    Step.LANDING: provision_landing,
    Step.TOPICS: provision_topics,
    Step.SCHEMAS: provision_schemas,
    Step.TABLES: provision_tables,
    Step.ROLES: provision_roles,
}


def provision(
    environment: Environment,
    definitions: Definitions,
    steps: Collection[Step] = WITHOUT_ROLES,
    *,
    wait: float = 0,
) -> None:
    """Run the steps for these streams, in their order, with an administrator's settings.

    For up to `wait` seconds in total, a step that cannot connect is retried, because its server may still be starting.
    """
    stop = stop_after_delay(wait)
    for step in (one for one in Step if one in steps):

        def log_wait(state: RetryCallState, step: Step = step) -> None:
            outcome = state.outcome.exception() if state.outcome else None
            log.warning("provision.waits", step=step.value, error=" ".join(str(outcome).split())[:300])

        Retrying(
            stop=stop,
            wait=wait_fixed(SECONDS_BETWEEN_ATTEMPTS),
            retry=retry_if_exception_type(CONNECTION_ERRORS),
            before_sleep=log_wait,
            reraise=True,
        )(STEPS[step], environment, definitions)
        log.info("provision.done", step=step.value)
