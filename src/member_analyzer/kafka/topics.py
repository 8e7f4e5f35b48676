"""The Kafka topics: how they are named, how long they keep, and how they are made where no operator makes them."""

from collections.abc import Iterable, Sequence
from dataclasses import replace

from confluent_kafka import KafkaError, KafkaException
from confluent_kafka.admin import AdminClient, AlterConfigOpType, ConfigEntry, ConfigResource
from confluent_kafka.cimpl import NewTopic

from member_analyzer.kafka.client import client_options
from member_analyzer.settings import KafkaSettings, RejectedSettings
from member_analyzer.streams.definition import DAY_IN_MILLISECONDS, LARGEST_MESSAGE_BYTES, StreamDefinition, Topic

SET = AlterConfigOpType.SET
# What a record may be before it is compressed; the topics' limits are for what it is then.
LARGEST_UNCOMPRESSED_BYTES = 64 * LARGEST_MESSAGE_BYTES


def stream_topics(definitions: Iterable[StreamDefinition], rejected: RejectedSettings) -> list[Topic]:
    """The topics and dead letter topics of streams, kept as long as the settings say."""
    retention = rejected.retention_days * DAY_IN_MILLISECONDS
    return [
        topic
        for definition in definitions
        for topic in (definition.topic, replace(definition.dead_letter_topic, retention_milliseconds=retention))
    ]


class TopicError(RuntimeError):
    """Raised when a topic could not be made."""


def create_topics(settings: KafkaSettings, topics: Sequence[Topic]) -> list[str]:
    """Make the topics that are not there yet, and set the retention of the others; gives the names of those made.

    Raises TopicError.
    """
    admin = AdminClient(client_options(settings))
    futures = admin.create_topics(
        [
            NewTopic(
                topic.name,
                num_partitions=settings.partitions,
                replication_factor=settings.replication_factor,
                config={
                    "cleanup.policy": "delete",
                    "retention.ms": str(topic.retention_milliseconds),
                    # Only whole segments are forgotten.
                    "segment.ms": str(DAY_IN_MILLISECONDS),
                    "max.message.bytes": str(topic.largest_message_bytes),
                    "min.insync.replicas": str(max(1, settings.replication_factor - 1)),
                },
            )
            for topic in topics
        ],
        request_timeout=30,
    )
    created = []
    for name, future in futures.items():
        try:
            future.result()
        except KafkaException as error:
            if error.args[0].code() != KafkaError.TOPIC_ALREADY_EXISTS:
                raise TopicError(f"The topic {name} could not be made: {error.args[0].str()}.") from error
        else:
            created.append(name)
    set_retention(admin, [topic for topic in topics if topic.name not in created])
    return created


def set_retention(admin: AdminClient, topics: Sequence[Topic]) -> None:
    """Have topics that are there already keep their records as long as they are to. Raises TopicError."""
    if not topics:
        return
    changes = [
        ConfigResource(
            ConfigResource.Type.TOPIC,
            topic.name,
            incremental_configs=[
                ConfigEntry("retention.ms", str(topic.retention_milliseconds), incremental_operation=SET)
            ],
        )
        for topic in topics
    ]
    for resource, future in admin.incremental_alter_configs(changes, request_timeout=30).items():
        try:
            future.result()
        except KafkaException as error:
            raise TopicError(f"The retention of {resource.name} could not be set: {error.args[0].str()}.") from error
