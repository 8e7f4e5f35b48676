"""The Kafka topics: how they are named, how long they keep, and how they are made where no operator makes them."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

from confluent_kafka import KafkaError, KafkaException
from confluent_kafka.admin import AdminClient, AlterConfigOpType, ConfigEntry, ConfigResource
from confluent_kafka.cimpl import NewTopic

from member_analyzer.kafka.client import client_options
from member_analyzer.settings import KafkaSettings, RejectedSettings

SET = AlterConfigOpType.SET
WEEK_IN_MILLISECONDS = 7 * 24 * 60 * 60 * 1000
DAY_IN_MILLISECONDS = 24 * 60 * 60 * 1000
LARGEST_MESSAGE_BYTES = 1_048_576
# What a record may be before it is compressed; the topics' limits are for what it is then.
LARGEST_UNCOMPRESSED_BYTES = 64 * LARGEST_MESSAGE_BYTES


@dataclass(frozen=True)
class Topic:
    """One topic: records of `name` are kept for `retention_milliseconds` and are `largest_message_bytes` at most."""

    name: str
    retention_milliseconds: int = WEEK_IN_MILLISECONDS
    largest_message_bytes: int = LARGEST_MESSAGE_BYTES


USERS = Topic("users")
# A rejected record is the original and headers that say why, so it may be larger. It holds what people sent, so that it
# is not kept for ever: how long is a setting (RejectedSettings).
USERS_REJECTED = Topic(
    "users_rejected",
    retention_milliseconds=30 * DAY_IN_MILLISECONDS,
    largest_message_bytes=2 * LARGEST_MESSAGE_BYTES,
)
TOPICS = (USERS, USERS_REJECTED)


def platform_topics(rejected: RejectedSettings) -> tuple[Topic, ...]:
    """The topics of the platform, as long as the settings keep them."""
    return USERS, replace(USERS_REJECTED, retention_milliseconds=rejected.retention_days * DAY_IN_MILLISECONDS)


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
