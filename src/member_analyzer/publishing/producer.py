"""Produces records to Kafka, and waits until the brokers have them."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field

from confluent_kafka import KafkaError, KafkaException, Message, Producer

from member_analyzer.kafka.client import client_options
from member_analyzer.kafka.topics import LARGEST_UNCOMPRESSED_BYTES
from member_analyzer.settings import KafkaSettings
from member_analyzer.streams.definition import Topic

FLUSH_SECONDS = 90
# As many as the publisher claims at once wait here while as many are on their way.
MAX_QUEUED_RECORDS = 20_000


# What Kafka says of one record, and would say again however often it is sent.
PERMANENT = frozenset({KafkaError.MSG_SIZE_TOO_LARGE, KafkaError.INVALID_MSG, KafkaError.INVALID_RECORD})


class PublishError(RuntimeError):
    """Raised when Kafka did not take a batch; what it did not acknowledge stays unpublished."""


@dataclass(frozen=True)
class OutgoingRecord:
    """What is produced to a topic."""

    key: bytes | None
    value: bytes | None
    headers: list[tuple[str, str | bytes | None]] = field(default_factory=list)


Reject = Callable[[OutgoingRecord, KafkaError], None]


class RecordProducer:
    """Produces records to one topic; once it returns, the brokers have them."""

    def __init__(self, kafka: KafkaSettings, topic: Topic) -> None:
        self._topic = topic
        self._producer = Producer(
            client_options(kafka)
            | {
                "enable.idempotence": True,
                "acks": "all",
                "compression.type": "lz4",
                "linger.ms": 20,
                "delivery.timeout.ms": 60_000,
                "message.max.bytes": LARGEST_UNCOMPRESSED_BYTES,
                "queue.buffering.max.messages": MAX_QUEUED_RECORDS,
                "queue.buffering.max.kbytes": LARGEST_UNCOMPRESSED_BYTES // 1024,
            }
        )

    def produce(self, records: Iterable[OutgoingRecord], reject: Reject | None = None) -> None:
        """Send records and wait until the brokers have all of them. Raises PublishError; some may have arrived then.

        `reject` gets the records that Kafka can never take; where it is not given, such a record raises PublishError.
        """
        failures: list[KafkaError] = []

        def note(record: OutgoingRecord, error: KafkaError) -> None:
            if reject is not None and error.code() in PERMANENT:
                reject(record, error)
            else:
                failures.append(error)

        sent = 0
        for record in records:
            sent += 1
            self._send(record, note)
        unsent = self._producer.flush(FLUSH_SECONDS)
        if unsent or failures:
            cause = failures[0].str() if failures else f"no answer in {FLUSH_SECONDS} seconds"
            raise PublishError(
                f"Kafka did not acknowledge {unsent + len(failures)} of {sent} records: {cause}. "
                "They count as unpublished and are sent again by the next run."
            )

    def _send(self, record: OutgoingRecord, note: Reject) -> None:
        def note_delivery(error: KafkaError | None, _: Message) -> None:
            if error is not None:
                note(record, error)

        while True:
            try:
                self._producer.produce(
                    self._topic.name,
                    key=record.key,
                    value=record.value,
                    headers=record.headers,
                    on_delivery=note_delivery,
                )
            except BufferError:
                self._producer.poll(0.1)
            except KafkaException as error:
                if error.args[0].code() not in PERMANENT:
                    raise PublishError(f"Kafka does not take records: {error.args[0].str()}.") from error
                note(record, error.args[0])
                return
            else:
                return
