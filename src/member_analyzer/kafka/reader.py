"""Reads a topic as it stands: every record that it holds now, and nothing that comes later."""

import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from datetime import datetime

from confluent_kafka import Consumer, KafkaException, Message, TopicCollection, TopicPartition
from confluent_kafka.admin import AdminClient

from member_analyzer.kafka.client import client_options
from member_analyzer.kafka.topics import TopicError
from member_analyzer.settings import KafkaSettings
from member_analyzer.streams.definition import Topic

SECONDS_WITHOUT_A_RECORD = 30
RECORDS_AT_ONCE = 5000


class TopicReader:
    """Reads topics without belonging to a group, so that nobody's position is moved."""

    def __init__(self, consumer: Consumer, admin: AdminClient, timeout: float = 30) -> None:
        self._consumer = consumer
        self._admin = admin
        self._timeout = timeout

    def topic_id(self, topic: Topic) -> str:
        """Kafka's id of the topic, which one that is deleted and made again has not. Raises TopicError."""
        described = self._admin.describe_topics(TopicCollection([topic.name]), request_timeout=self._timeout)
        try:
            return str(described[topic.name].result().topic_id)
        except KafkaException as error:
            raise TopicError(f"Kafka does not describe {topic.name}: {error.args[0].str()}.") from error

    def end_offsets(self, topic: Topic) -> Mapping[int, int]:
        """The next offset of each partition. Raises TopicError where there is no such topic."""
        return {partition: end for partition, (_, end) in self.bounds(topic).items()}

    def begin_offsets(self, topic: Topic) -> Mapping[int, int]:
        """The oldest offset that each partition still holds. Raises TopicError where there is no such topic."""
        return {partition: begin for partition, (begin, _) in self.bounds(topic).items()}

    def read(self, topic: Topic) -> Iterator[Message]:
        """Every record from the oldest one to the newest that is there when this begins, in order by partition.

        Raises TopicError when Kafka does not give them.
        """
        bounds = self.bounds(topic)
        waiting = {partition: end for partition, (begin, end) in bounds.items() if begin < end}
        self._consumer.assign(
            [TopicPartition(topic.name, partition, bounds[partition][0]) for partition in sorted(waiting)]
        )
        try:
            heard_at = time.monotonic()
            while waiting:
                # It waits for all that it was asked for, also where there are no more.
                messages = self._consumer.consume(RECORDS_AT_ONCE, timeout=0.2)
                if messages:
                    heard_at = time.monotonic()
                elif time.monotonic() - heard_at > SECONDS_WITHOUT_A_RECORD:
                    raise TopicError(f"Kafka gave no record of {topic.name} for {SECONDS_WITHOUT_A_RECORD} seconds.")
                for message in messages:
                    if (error := message.error()) is not None:
                        raise TopicError(f"{topic.name} cannot be read: {error.str()}.")
                    partition, offset = message.partition(), message.offset()
                    if partition is None or offset is None or offset >= bounds[partition][1]:
                        continue
                    yield message
                    if offset + 1 >= bounds[partition][1]:
                        waiting.pop(partition, None)
        finally:
            self._consumer.unassign()

    def read_ranges(self, topic: Topic, ranges: Mapping[int, range], *, seconds: float) -> Iterator[Message]:
        """The records at these offsets of each partition, as they come, for so many seconds at most.

        The ranges lie within the bounds. Raises TopicError when Kafka does not give them.
        """
        deadline = time.monotonic() + seconds
        waiting = {partition: offsets for partition, offsets in ranges.items() if offsets}
        self._consumer.assign(
            [TopicPartition(topic.name, partition, offsets.start) for partition, offsets in sorted(waiting.items())]
        )
        try:
            while waiting and time.monotonic() < deadline:
                for message in self._consumer.consume(RECORDS_AT_ONCE, timeout=0.05):
                    if (error := message.error()) is not None:
                        raise TopicError(f"{topic.name} cannot be read: {error.str()}.")
                    partition, offset = message.partition(), message.offset()
                    if partition is None or offset is None or partition not in waiting:
                        continue
                    last = waiting[partition][-1]
                    if offset >= last:
                        del waiting[partition]
                    if offset <= last:
                        yield message
        finally:
            self._consumer.unassign()

    def find_offsets(self, topic: Topic, moment: datetime) -> dict[int, int]:
        """The first offset of each partition at or after a moment; the next one where there is none so late."""
        bounds = self.bounds(topic)
        milliseconds = int(moment.timestamp() * 1000)
        try:
            found = self._consumer.offsets_for_times(
                [TopicPartition(topic.name, partition, milliseconds) for partition in bounds], timeout=self._timeout
            )
        except KafkaException as error:
            raise TopicError(f"Kafka does not tell of {topic.name}: {error.args[0].str()}.") from error
        return {one.partition: one.offset if one.offset >= 0 else bounds[one.partition][1] for one in found}

    def bounds(self, topic: Topic) -> dict[int, tuple[int, int]]:
        """The oldest and the next offset of each partition. Raises TopicError where there is no such topic."""
        try:
            found = self._consumer.list_topics(topic.name, timeout=self._timeout).topics[topic.name]
            if found.error is not None or not found.partitions:
                raise TopicError(f"There is no topic {topic.name}: make it with `member-analyzer provision`.")
            return {
                partition: self._consumer.get_watermark_offsets(
                    TopicPartition(topic.name, partition), timeout=self._timeout
                )
                for partition in found.partitions
            }
        except KafkaException as error:
            raise TopicError(f"Kafka does not tell of {topic.name}: {error.args[0].str()}.") from error


@contextmanager
def open_topic_reader(
    settings: KafkaSettings, *, timeout: float = 30, group: str = "member-analyzer-reader"
) -> Iterator[TopicReader]:
    """A reader of the topics that this user may read; Kafka has so many seconds for what it tells of them.

    The user needs the right to the group, which is asked for although no position is kept in it.
    """
    # What fails is raised; besides, the library prints what it tries again.
    options = client_options(settings) | {"log_level": 0}
    consumer = Consumer(
        options
        | {
            "group.id": group,
            "enable.auto.commit": False,
            "auto.offset.reset": "error",
        }
    )
    try:
        yield TopicReader(consumer, AdminClient(options), timeout)
    finally:
        consumer.close()
