"""The servers of the platform that a command operates on.

That is the platform in the given Kubernetes namespace, otherwise the servers and passwords in the environment,
otherwise the local platform.
"""

import os
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from functools import cached_property

import typer

from member_analyzer.analysis.connection import connect_cassandra
from member_analyzer.analysis.interactions.tables import InteractionTables
from member_analyzer.analysis.tables import AnalysisTables
from member_analyzer.deadletters.replay import ReplayServers
from member_analyzer.kafka.reader import TopicReader, open_topic_reader
from member_analyzer.kafka.registry import registry_client, value_reader
from member_analyzer.landing.connection import Connection, connect_landing
from member_analyzer.local.environment import program_environment
from member_analyzer.local.home import open_home
from member_analyzer.local.isolation import isolate
from member_analyzer.operations.audit import Sources
from member_analyzer.publishing.producer import RecordProducer
from member_analyzer.publishing.publisher import EventProducer, publish_unpublished
from member_analyzer.records.wire import ValueReader
from member_analyzer.settings import (
    CassandraSettings,
    ClusterSettings,
    KafkaSettings,
    LandingSettings,
    RegistrySettings,
)
from member_analyzer.streams.definition import StreamDefinition, TopicDefinition
from member_analyzer.streams.interactions.definition import INTERACTIONS
from member_analyzer.streams.members.definition import MEMBERS


@dataclass
class Servers:
    """The platform's servers, connected lazily."""

    environment: Mapping[str, str]
    stack: ExitStack
    definition: StreamDefinition = MEMBERS

    @cached_property
    def landing(self) -> Connection:
        return self.stack.enter_context(connect_landing(LandingSettings.of(self.environment)))

    @cached_property
    def topics(self) -> TopicReader:
        return self.stack.enter_context(open_topic_reader(KafkaSettings.of(self.environment)))

    @cached_property
    def producer(self) -> RecordProducer:
        return self.make_producer(self.definition)

    def make_producer(self, definition: TopicDefinition) -> RecordProducer:
        """Return a producer of the topic of a definition."""
        return RecordProducer(KafkaSettings.of(self.environment), definition.topic)

    @cached_property
    def tables(self) -> AnalysisTables:
        settings = CassandraSettings.of(self.environment)
        session = self.stack.enter_context(connect_cassandra(settings))
        return AnalysisTables(session, settings.keyspace, self.definition)

    @cached_property
    def interaction_tables(self) -> InteractionTables:
        settings = CassandraSettings.of(self.environment)
        session = self.stack.enter_context(connect_cassandra(settings))
        return InteractionTables(session, settings.keyspace, INTERACTIONS, MEMBERS)

    @property
    def values(self) -> ValueReader:
        return self.read_values(self.definition)

    def read_values(self, definition: TopicDefinition) -> ValueReader:
        """Return a reader of the topic's values, with the registry's current schemas."""
        return value_reader(registry_client(RegistrySettings.of(self.environment)), definition)

    @property
    def sources(self) -> Sources:
        return Sources(self.landing, self.topics, self.tables, self.values)

    @property
    def replay_servers(self) -> ReplayServers:
        return ReplayServers(self.topics, self.landing, self.definition, self.producer, self.values, self.publish)

    def publish(self) -> int:
        """Publish what has landed; return the number of events."""
        kafka, registry = KafkaSettings.of(self.environment), RegistrySettings.of(self.environment)
        return publish_unpublished(self.landing, EventProducer(self.definition, kafka, registry))


def cluster_settings(context: typer.Context) -> ClusterSettings:
    """The cluster selected on the command line; its namespace is None for the local platform."""
    return context.find_object(ClusterSettings) or ClusterSettings()


def is_local(context: typer.Context, password: str = "LANDING_PASSWORD") -> bool:  # noqa: S107
    """Whether the command uses the local platform: neither a namespace nor the environment specifies another one."""
    return cluster_settings(context).namespace is None and password not in os.environ


def remote_environment(context: typer.Context, stack: ExitStack) -> Mapping[str, str]:
    """The variables of the platform in the selected namespace, otherwise this process's environment."""
    cluster = cluster_settings(context)
    if cluster.namespace is None:
        return os.environ
    # Imported here because the Kubernetes client takes half a second to import.
    from member_analyzer.cluster.connection import connect_cluster
    from member_analyzer.cluster.environment import ClusterEnvironment

    return ClusterEnvironment(connect_cluster(cluster, cluster.namespace), stack)


@contextmanager
def servers(context: typer.Context) -> Iterator[Servers]:
    """The servers of the selected platform."""
    with ExitStack() as stack:
        if is_local(context):
            isolate(os.environ)
            environment: Mapping[str, str] = program_environment("operator", open_home())
        else:
            environment = remote_environment(context, stack)
        yield Servers(environment, stack)
