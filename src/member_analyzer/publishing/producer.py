"""Produces records to Kafka and waits for their acknowledgement."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field

from confluent_kafka import KafkaError, KafkaException, Message, Producer

from member_analyzer.kafka.client import client_options
from member_analyzer.kafka.topics import LARGEST_UNCOMPRESSED_BYTES
from member_analyzer.settings import KafkaSettings
from member_analyzer.streams.definition import Topic

FLUSH_SECONDS = 90
# Twice the publisher's batch: one batch can queue while another is in flight.
MAX_QUEUED_RECORDS = 20_000


# Errors of a single record that a retry cannot fix.
PERMANENT = frozenset({KafkaError.MSG_SIZE_TOO_LARGE, KafkaError.INVALID_MSG, KafkaError.INVALID_RECORD})


class PublishError(RuntimeError):
    """Raised when Kafka did not acknowledge a batch; its records stay unpublished."""


Headers = list[tuple[str, str | bytes | None]]


@dataclass(frozen=True)
class OutgoingRecord:
    """A record to produce."""

    key: bytes | None
    value: bytes | None
    headers: Headers = field(default_factory=list)


Reject = Callable[[OutgoingRecord, KafkaError], None]


class RecordProducer:
    """Produces records to one topic and waits for their acknowledgement."""

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
        """Send records and wait for all acknowledgements. Raises PublishError; some records may have been written then.

        `reject` is called for records with a permanent error; without it such a record raises PublishError.
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
            cause = failures[0].str() if failures else f"no response in {FLUSH_SECONDS} seconds"
            raise PublishError(
                f"Kafka did not acknowledge {unsent + len(failures)} of {sent} records: {cause}. "
                "They stay unpublished; the next run sends them again."
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
                    raise PublishError(f"Kafka does not accept records: {error.args[0].str()}.") from error
                note(record, error.args[0])
                return
            else:
                return
