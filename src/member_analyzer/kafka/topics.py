"""Kafka topics: which there are, and their creation where no operator creates them."""

from collections.abc import Iterable, Sequence
from dataclasses import replace

from confluent_kafka import KafkaError, KafkaException
from confluent_kafka.admin import AdminClient, AlterConfigOpType, ConfigEntry, ConfigResource
from confluent_kafka.cimpl import NewTopic

from member_analyzer.kafka.client import client_options
from member_analyzer.settings import KafkaSettings, RejectedSettings
from member_analyzer.streams.definition import DAY_IN_MILLISECONDS, LARGEST_MESSAGE_BYTES, Topic, TopicDefinition

SET = AlterConfigOpType.SET
# The producer's limit before compression; the topics' limits apply after it.
LARGEST_UNCOMPRESSED_BYTES = 64 * LARGEST_MESSAGE_BYTES


def stream_topics(definitions: Iterable[TopicDefinition], rejected: RejectedSettings) -> list[Topic]:
    """Return the topics and dead letter topics of streams, with the configured retention."""
    retention = rejected.retention_days * DAY_IN_MILLISECONDS
    return [
        topic
        for definition in definitions
        for topic in (definition.topic, replace(definition.dead_letter_topic, retention_milliseconds=retention))
    ]


class TopicError(RuntimeError):
    """Raised when an operation on a topic fails."""


def create_topics(settings: KafkaSettings, topics: Sequence[Topic]) -> list[str]:
    """Create missing topics and set the retention of the others; return the names of the created ones.

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
                    # Kafka only deletes whole segments.
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
                raise TopicError(f"The topic {name} could not be created: {error.args[0].str()}.") from error
        else:
            created.append(name)
    set_retention(admin, [topic for topic in topics if topic.name not in created])
    return created


def set_retention(admin: AdminClient, topics: Sequence[Topic]) -> None:
    """Set the retention of existing topics. Raises TopicError."""
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
