"""The Kafka topics: how they are named, how long they keep, and how they are made where no operator makes them."""

from collections.abc import Sequence
from dataclasses import dataclass

from confluent_kafka import KafkaError, KafkaException
from confluent_kafka.admin import AdminClient
from confluent_kafka.cimpl import NewTopic

from member_analyzer.kafka import client_options
from member_analyzer.settings import KafkaSettings

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
# A rejected record is the original and headers that say why, so it may be larger; it is kept until it was looked into.
USERS_REJECTED = Topic("users_rejected", retention_milliseconds=-1, largest_message_bytes=2 * LARGEST_MESSAGE_BYTES)
TOPICS = (USERS, USERS_REJECTED)


class TopicError(RuntimeError):
    """Raised when a topic could not be made."""


def create_topics(settings: KafkaSettings, topics: Sequence[Topic] = TOPICS) -> list[str]:
    """Make the topics that are not there yet; gives the names of those that were made. Raises TopicError."""
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
    return created
