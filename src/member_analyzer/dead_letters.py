"""Writes records to the dead letter topic without Spark: those that Spark itself fails at."""

from collections.abc import Iterable
from datetime import UTC, datetime
from typing import Any

import structlog
from confluent_kafka import KafkaError, Message, Producer

from member_analyzer.kafka import client_options
from member_analyzer.record import Rejection, rejection_header
from member_analyzer.settings import KafkaSettings
from member_analyzer.topics import LARGEST_UNCOMPRESSED_BYTES, Topic

log = structlog.get_logger(__name__)

FLUSH_SECONDS = 60


class DeadLetterError(RuntimeError):
    """Raised when Kafka did not acknowledge a dead letter."""


class DeadLetterProducer:
    """Produces to one dead letter topic; what it returned from, the brokers have."""

    def __init__(self, kafka: KafkaSettings, topic: Topic) -> None:
        self._topic = topic
        self._producer = Producer(
            client_options(kafka)
            | {
                "acks": "all",
                "compression.type": "zstd",
                # With its larger window it finds what the record's own producer may have found.
                "compression.level": 12,
                "message.max.bytes": LARGEST_UNCOMPRESSED_BYTES,
                "queue.buffering.max.kbytes": LARGEST_UNCOMPRESSED_BYTES // 1024,
            }
        )

    def produce(self, rejected: Iterable[tuple[Message, Rejection]]) -> None:
        """Write records as they came, with the headers that describe the rejection. Raises DeadLetterError.

        Of a record that is larger than the topic takes the value is left out, and logged as lost: nothing can hold it.
        """
        for message, rejection in rejected:
            headers = [*(message.headers() or []), *_rejection_headers(message, rejection)]
            self._send(message.key(), message.value(), headers)

    def _send(self, key: bytes | None, value: bytes | None, headers: list[tuple[str, Any]]) -> None:
        failures: list[KafkaError] = []

        def note(error: KafkaError | None, _: Message) -> None:
            if error is not None:
                failures.append(error)

        self._producer.produce(self._topic.name, key=key, value=value, headers=headers, on_delivery=note)
        if self._producer.flush(FLUSH_SECONDS):
            raise DeadLetterError(f"Kafka did not answer for {self._topic.name} in {FLUSH_SECONDS} seconds.")
        if failures and failures[0].code() == KafkaError.MSG_SIZE_TOO_LARGE and value is not None:
            log.error("dead_letter.value_left_out", topic=self._topic.name, bytes=len(value), cause=failures[0].str())
            self._send(key, None, headers)
        elif failures:
            raise DeadLetterError(f"Kafka did not take a record of {self._topic.name}: {failures[0].str()}.")


def _rejection_headers(message: Message, rejection: Rejection) -> list[tuple[str, bytes]]:
    """In the order of `record.REJECTION_HEADERS`."""
    values = {
        "reason": rejection.reason.value,
        "sentence": rejection.sentence,
        "topic": str(message.topic()),
        "partition": str(message.partition()),
        "offset": str(message.offset()),
        "at": datetime.now(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z"),
    }
    return [(rejection_header(name), value.encode()) for name, value in values.items()]
