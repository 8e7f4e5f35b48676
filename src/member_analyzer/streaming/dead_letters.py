"""Writes dead letters without Spark: of small batches, and of records that Spark fails to process."""

from collections.abc import Callable, Iterable
from datetime import UTC, datetime
from typing import Any, NamedTuple

import structlog
from confluent_kafka import KafkaError, KafkaException, Message, Producer

from member_analyzer.kafka.client import client_options
from member_analyzer.kafka.topics import LARGEST_UNCOMPRESSED_BYTES
from member_analyzer.records.rejection import Rejection, rejection_header
from member_analyzer.settings import KafkaSettings
from member_analyzer.streams.definition import Topic

log = structlog.get_logger(__name__)

FLUSH_SECONDS = 60


class SourceRecord(NamedTuple):
    """A Kafka record."""

    key: bytes | None
    value: bytes | None
    headers: list[tuple[str, bytes | None]]
    topic: str
    partition: int
    offset: int

    @classmethod
    def of(cls, message: Message) -> "SourceRecord":
        """Create it from a consumed message, without headers if the client cannot decode their names."""
        try:
            headers: list[Any] = list(message.headers() or [])
        except (UnicodeDecodeError, SystemError):
            headers = []
        return cls(
            message.key(),
            message.value(),
            headers,
            str(message.topic()),
            message.partition() or 0,
            message.offset() or 0,
        )

    @classmethod
    def of_row(cls, row: Any) -> "SourceRecord":
        """Create it from a row of Spark's Kafka source."""
        headers = [(one["key"], _bytes(one["value"])) for one in row["headers"] or []]
        return cls(_bytes(row["key"]), _bytes(row["value"]), headers, row["topic"], row["partition"], row["offset"])


def _bytes(value: bytearray | None) -> bytes | None:
    return None if value is None else bytes(value)


class DeadLetterError(RuntimeError):
    """Raised when Kafka did not acknowledge a dead letter."""


class DeadLetterProducer:
    """Produces to one dead letter topic and waits for acknowledgement."""

    def __init__(self, kafka: KafkaSettings, topic: Topic) -> None:
        self._topic = topic
        self._producer = Producer(
            client_options(kafka)
            | {
                "acks": "all",
                "compression.type": "zstd",
                # The larger window finds repetitions that the original producer's compression may have found.
                "compression.level": 12,
                "message.max.bytes": LARGEST_UNCOMPRESSED_BYTES,
                "queue.buffering.max.kbytes": LARGEST_UNCOMPRESSED_BYTES // 1024,
            }
        )

    def produce(self, rejected: Iterable[tuple[SourceRecord, Rejection]]) -> None:
        """Write the original records with rejection headers. Raises DeadLetterError.

        If a record exceeds the size limit of the topic, its value is dropped, and an error is logged.
        """
        too_large: list[tuple[SourceRecord, Rejection]] = []
        failures: list[KafkaError] = []

        def note(record: SourceRecord, rejection: Rejection, error: KafkaError | None) -> None:
            if error is None:
                return
            if error.code() == KafkaError.MSG_SIZE_TOO_LARGE and record.value is not None:
                too_large.append((record, rejection))
            else:
                failures.append(error)

        for record, rejection in rejected:
            headers = [*record.headers, *_rejection_headers(record, rejection)]
            self._produce(record, headers, lambda error, _, one=record, why=rejection: note(one, why, error))
        if self._producer.flush(FLUSH_SECONDS):
            raise DeadLetterError(f"Kafka did not respond for {self._topic.name} in {FLUSH_SECONDS} seconds.")
        if failures:
            raise DeadLetterError(f"Kafka did not accept a record for {self._topic.name}: {failures[0].str()}.")
        if too_large:
            for record, _ in too_large:
                log.error(
                    "dead_letter.value_left_out",
                    topic=record.topic,
                    partition=record.partition,
                    offset=record.offset,
                    bytes=len(record.value or b""),
                )
            self.produce((record._replace(value=None), rejection) for record, rejection in too_large)

    def _produce(self, record: SourceRecord, headers: list[tuple[str, Any]], note: Callable[..., None]) -> None:
        while True:
            try:
                self._producer.produce(
                    self._topic.name, key=record.key, value=record.value, headers=headers, on_delivery=note
                )
                return
            except BufferError:
                self._producer.poll(0.1)
            except KafkaException as error:
                # It exceeds the producer's own limit.
                note(error.args[0], None)
                return


def _rejection_headers(record: SourceRecord, rejection: Rejection) -> list[tuple[str, bytes]]:
    """Return the headers in the order of `records.rejection.REJECTION_HEADERS`."""
    values = {
        "reason": rejection.reason.value,
        "message": rejection.message,
        "topic": record.topic,
        "partition": str(record.partition),
        "offset": str(record.offset),
        "at": datetime.now(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z"),
    }
    return [(rejection_header(name), value.encode()) for name, value in values.items()]
