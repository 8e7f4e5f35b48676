"""One repeatable step that makes what the programs expect to find: landing tables, topics, schemas, Cassandra's tables.

It needs the rights of an administrator, which the programs themselves do not have.
"""

from collections.abc import Mapping

from member_analyzer.landing import connect_landing
from member_analyzer.landing import create_tables as create_landing_tables
from member_analyzer.member import avro_schema
from member_analyzer.registry import USERS_VALUE, register_schema, registry_client
from member_analyzer.settings import CassandraSettings, KafkaSettings, LandingSettings, RegistrySettings
from member_analyzer.tables import connect_cassandra
from member_analyzer.tables import create_tables as create_cassandra_tables
from member_analyzer.topics import create_topics


def provision_landing(settings: LandingSettings) -> None:
    """Make the landing tables where they are not there yet."""
    with connect_landing(settings) as connection:
        create_landing_tables(connection)


def provision_topics(settings: KafkaSettings) -> None:
    """Make the topics where they are not there yet."""
    create_topics(settings)


def provision_schemas(settings: RegistrySettings) -> None:
    """Register the Avro schemas, unless they are the newest versions already."""
    register_schema(registry_client(settings), USERS_VALUE, avro_schema())


def provision_tables(settings: CassandraSettings) -> None:
    """Make the keyspace and its tables where they are not there yet."""
    with connect_cassandra(settings) as session:
        create_cassandra_tables(session, settings)


def provision_everything(environment: Mapping[str, str]) -> None:
    """All of it, with the settings of an administrator's environment."""
    provision_landing(LandingSettings.of(environment))
    provision_topics(KafkaSettings.of(environment))
    provision_schemas(RegistrySettings.of(environment))
    provision_tables(CassandraSettings.of(environment))
