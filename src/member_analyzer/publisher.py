"""From landing to Kafka: claims what is unpublished, produces it, and commits the claim once the brokers have it.

A crash between the acknowledgement and the commit publishes an event again; the stream counts each id once.
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from typing import Any

import structlog
from confluent_kafka import KafkaError, KafkaException, Message, Producer

from member_analyzer.kafka import client_options
from member_analyzer.landing import Connection, claim_unpublished, forget_erased
from member_analyzer.member import MEMBER, avro_schema
from member_analyzer.record import to_avro
from member_analyzer.registry import USERS_VALUE, find_schema_id, registry_client
from member_analyzer.settings import KafkaSettings, RegistrySettings
from member_analyzer.topics import LARGEST_UNCOMPRESSED_BYTES, USERS
from member_analyzer.wire import ValueWriter

log = structlog.get_logger(__name__)

BATCH = 10_000
FLUSH_SECONDS = 90


class PublishError(RuntimeError):
    """Raised when Kafka did not take a batch; what it did not acknowledge stays unpublished."""


@dataclass(frozen=True)
class OutgoingRecord:
    """What is produced to the topic `users`."""

    key: bytes | None
    value: bytes | None
    headers: list[tuple[str, str | bytes | None]] = field(default_factory=list)


class Outbox:
    """Produces records to the topic `users`; what it has given back, the brokers have."""

    def __init__(self, kafka: KafkaSettings) -> None:
        self._producer = Producer(
            client_options(kafka)
            | {
                "enable.idempotence": True,
                "acks": "all",
                "compression.type": "lz4",
                "linger.ms": 20,
                "delivery.timeout.ms": 60_000,
                "message.max.bytes": LARGEST_UNCOMPRESSED_BYTES,
                "queue.buffering.max.messages": 2 * BATCH,
                "queue.buffering.max.kbytes": LARGEST_UNCOMPRESSED_BYTES // 1024,
            }
        )

    def produce(self, records: Iterable[OutgoingRecord]) -> None:
        """Send records and wait until the brokers have all of them. Raises PublishError; some may have arrived then."""
        failures: list[KafkaError] = []

        def note(error: KafkaError | None, _: Message) -> None:
            if error is not None:
                failures.append(error)

        sent = 0
        for record in records:
            sent += 1
            while True:
                try:
                    self._producer.produce(
                        USERS.name, key=record.key, value=record.value, headers=record.headers, on_delivery=note
                    )
                    break
                except BufferError:
                    self._producer.poll(0.1)
                except KafkaException as error:
                    raise PublishError(f"Kafka does not take records: {error.args[0].str()}.") from error
        unsent = self._producer.flush(FLUSH_SECONDS)
        if unsent or failures:
            cause = failures[0].str() if failures else f"no answer in {FLUSH_SECONDS} seconds"
            raise PublishError(
                f"Kafka did not acknowledge {unsent + len(failures)} of {sent} records: {cause}. "
                "They count as unpublished and are sent again by the next run."
            )


class MemberProducer:
    """Produces what happened to members, in Avro with the registry's schema, keyed by id."""

    def __init__(self, kafka: KafkaSettings, registry: RegistrySettings) -> None:
        self._outbox = Outbox(kafka)
        self._writer = ValueWriter(find_schema_id(registry_client(registry), USERS_VALUE, avro_schema()), avro_schema())

    def produce(self, events: Iterable[dict[str, Any]]) -> None:
        """Send events, as JSON values, and wait until the brokers have all of them. Raises PublishError."""
        self._outbox.produce(
            OutgoingRecord(event[MEMBER.key].encode(), self._writer.write(to_avro(MEMBER, event))) for event in events
        )


def publish_unpublished(connection: Connection, producer: MemberProducer, *, batch: int = BATCH) -> int:
    """Publish until nothing is left to claim; gives the number of events. Any number of these may run at once.

    Raises PublishError when Kafka did not take a batch: those before it are published, it is not.
    """
    published = 0
    for size in _publish_batches(connection, producer, batch):
        published += size
        log.info("members.published", batch=size, total=published)
    return published


def _publish_batches(connection: Connection, producer: MemberProducer, batch: int) -> Iterator[int]:
    while True:
        with connection.transaction():
            claimed = claim_unpublished(connection, batch)
            events = [event for _, event in claimed if event is not None]
            if events:
                producer.produce(events)
                forget_erased(connection, events)
        if claimed:
            yield len(events)
        if len(claimed) < batch:
            return
