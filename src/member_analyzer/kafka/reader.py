"""Reads the current records of a topic, up to its end offsets at the start."""

import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from datetime import datetime

from confluent_kafka import Consumer, KafkaError, KafkaException, Message, TopicCollection, TopicPartition
from confluent_kafka.admin import AdminClient

from member_analyzer.kafka.client import client_options
from member_analyzer.kafka.topics import TopicError
from member_analyzer.settings import KafkaSettings
from member_analyzer.streams.definition import Topic

SECONDS_WITHOUT_A_RECORD = 30
RECORDS_AT_ONCE = 5000


class TopicReader:
    """Reads topics without a consumer group's committed offsets."""

    def __init__(self, consumer: Consumer, admin: AdminClient, timeout: float = 30) -> None:
        self._consumer = consumer
        self._admin = admin
        self._timeout = timeout

    def topic_id(self, topic: Topic) -> str:
        """Return the topic id, which changes when a topic is deleted and recreated. Raises TopicError."""
        described = self._admin.describe_topics(TopicCollection([topic.name]), request_timeout=self._timeout)
        try:
            return str(described[topic.name].result().topic_id)
        except KafkaException as error:
            raise TopicError(f"The topic {topic.name} cannot be described: {error.args[0].str()}.") from error

    def end_offsets(self, topic: Topic) -> Mapping[int, int]:
        """Return the end offset of each partition. Raises TopicError if the topic does not exist."""
        return {partition: end for partition, (_, end) in self.bounds(topic).items()}

    def begin_offsets(self, topic: Topic) -> Mapping[int, int]:
        """Return the oldest offset of each partition. Raises TopicError if the topic does not exist."""
        return {partition: begin for partition, (begin, _) in self.bounds(topic).items()}

    def read(self, topic: Topic) -> Iterator[Message]:
        """Yield every committed record up to the end offsets at the start, in order within a partition.

        Raises TopicError if Kafka does not return them.
        """
        bounds = self.bounds(topic)
        waiting = {partition: end for partition, (begin, end) in bounds.items() if begin < end}
        self._consumer.assign(
            [TopicPartition(topic.name, partition, bounds[partition][0]) for partition in sorted(waiting)]
        )
        try:
            heard_at = time.monotonic()
            while waiting:
                # It waits for the full number of messages, even at the end of the topic.
                messages = self._consumer.consume(RECORDS_AT_ONCE, timeout=0.2)
                if messages:
                    heard_at = time.monotonic()
                elif time.monotonic() - heard_at > SECONDS_WITHOUT_A_RECORD:
                    raise TopicError(
                        f"Kafka returned no record of {topic.name} for {SECONDS_WITHOUT_A_RECORD} seconds."
                    )
                for message in messages:
                    is_end = _is_end(message, topic)
                    partition, offset = message.partition(), message.offset()
                    if partition is None or offset is None:
                        continue
                    if is_end or offset >= bounds[partition][1]:
                        waiting.pop(partition, None)
                        continue
                    yield message
                    if offset + 1 >= bounds[partition][1]:
                        waiting.pop(partition, None)
        finally:
            self._consumer.unassign()

    def read_ranges(self, topic: Topic, ranges: Mapping[int, range], *, seconds: float) -> Iterator[Message]:
        """Yield the records in these offset ranges of each partition, for at most `seconds`.

        The ranges must be within the bounds. Raises TopicError if Kafka does not return them.
        """
        deadline = time.monotonic() + seconds
        waiting = {partition: offsets for partition, offsets in ranges.items() if offsets}
        self._consumer.assign(
            [TopicPartition(topic.name, partition, offsets.start) for partition, offsets in sorted(waiting.items())]
        )
        try:
            while waiting and time.monotonic() < deadline:
                for message in self._consumer.consume(RECORDS_AT_ONCE, timeout=0.05):
                    is_end = _is_end(message, topic)
                    partition, offset = message.partition(), message.offset()
                    if partition is None or offset is None or partition not in waiting:
                        continue
                    if is_end:
                        del waiting[partition]
                        continue
                    last = waiting[partition][-1]
                    if offset >= last:
                        del waiting[partition]
                    if offset <= last:
                        yield message
        finally:
            self._consumer.unassign()

    def find_offsets(self, topic: Topic, moment: datetime) -> dict[int, int]:
        """Return the first offset of each partition at or after a time, or else its end offset."""
        bounds = self.bounds(topic)
        milliseconds = int(moment.timestamp() * 1000)
        try:
            found = self._consumer.offsets_for_times(
                [TopicPartition(topic.name, partition, milliseconds) for partition in bounds], timeout=self._timeout
            )
        except KafkaException as error:
            raise TopicError(f"The offsets of {topic.name} cannot be read: {error.args[0].str()}.") from error
        return {one.partition: one.offset if one.offset >= 0 else bounds[one.partition][1] for one in found}

    def bounds(self, topic: Topic) -> dict[int, tuple[int, int]]:
        """Return the oldest and the end offset of each partition. Raises TopicError if the topic does not exist."""
        try:
            found = self._consumer.list_topics(topic.name, timeout=self._timeout).topics[topic.name]
            if found.error is not None or not found.partitions:
                raise TopicError(f"The topic {topic.name} does not exist: create it with `member-analyzer provision`.")
            return {
                partition: self._consumer.get_watermark_offsets(
                    TopicPartition(topic.name, partition), timeout=self._timeout
                )
                for partition in found.partitions
            }
        except KafkaException as error:
            raise TopicError(f"The offsets of {topic.name} cannot be read: {error.args[0].str()}.") from error


def _is_end(message: Message, topic: Topic) -> bool:
    """Whether a message is the end of its partition. Raises TopicError if it is any other error.

    The end of a transaction also has an offset, but is no record: the offsets alone do not show that all were read.
    """
    error = message.error()
    if error is not None and error.code() != KafkaError._PARTITION_EOF:
        raise TopicError(f"{topic.name} cannot be read: {error.str()}.")
    return error is not None


@contextmanager
def open_topic_reader(
    settings: KafkaSettings, *, timeout: float = 30, group: str = "member-analyzer-reader"
) -> Iterator[TopicReader]:
    """Open a topic reader; `timeout` limits metadata requests, in seconds.

    The user needs the right to the group, which Kafka checks although no offset is committed.
    """
    # Errors are raised; without this the library also logs its retries.
    options = client_options(settings) | {"log_level": 0}
    consumer = Consumer(
        options
        | {
            "group.id": group,
            "enable.auto.commit": False,
            "auto.offset.reset": "error",
            "enable.partition.eof": True,
        }
    )
    try:
        yield TopicReader(consumer, AdminClient(options), timeout)
    finally:
        consumer.close()
