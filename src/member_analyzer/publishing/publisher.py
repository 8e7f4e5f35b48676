"""Publishes the outbox to Kafka: claims entries, produces them, and commits the claim once they are acknowledged.

A crash between acknowledgement and commit publishes an event twice; the stream counts each id once. An event that can
never be published is set aside with its reason, so that it does not block the others.
"""

from collections import Counter
from collections.abc import Collection, Iterable, Iterator

import orjson
import structlog
from confluent_kafka import KafkaError

from member_analyzer.kafka.registry import find_schema_id, registry_client
from member_analyzer.landing.connection import Connection
from member_analyzer.landing.counters import fold_counts
from member_analyzer.landing.outbox import Claimed, claim_unpublished, forget_erased, set_aside
from member_analyzer.publishing.producer import OutgoingRecord, RecordProducer
from member_analyzer.records.codec import from_json, to_avro
from member_analyzer.records.rejection import Reason, RecordRejectedError, Rejection
from member_analyzer.records.rules import broken_rule
from member_analyzer.records.wire import ValueWriter
from member_analyzer.settings import KafkaSettings, RegistrySettings
from member_analyzer.streams.definition import StreamDefinition

log = structlog.get_logger(__name__)

BATCH = 10_000


class EventProducer:
    """Produces the events of one stream, encoded in Avro with the registered schema."""

    def __init__(self, definition: StreamDefinition, kafka: KafkaSettings, registry: RegistrySettings) -> None:
        self.definition = definition
        self._producer = RecordProducer(kafka, definition.topic)
        schema_id = find_schema_id(registry_client(registry), definition.subject, definition.schema)
        self._writer = ValueWriter(schema_id, definition.schema)

    def produce(self, claimed: Iterable[Claimed]) -> dict[str, Rejection]:
        """Send claimed entries and wait for acknowledgement; return the rejections of unpublishable ones, by key.

        Raises PublishError for a temporary failure.
        """
        unpublishable: dict[str, Rejection] = {}

        def encode() -> Iterator[OutgoingRecord]:
            for one in claimed:
                # Any exception of a malformed row is caught: it must not block the other records.
                try:
                    event = orjson.loads(one.record or "null")
                    value = self._writer.write(to_avro(self.definition.record_type, event))
                    yield OutgoingRecord(one.key.encode(), value)
                except Exception as error:
                    unpublishable[one.key] = explain_unencodable(self.definition, one, error)

        def reject(record: OutgoingRecord, error: KafkaError) -> None:
            message = f"Kafka permanently rejects the event ({error.name()}, {len(record.value or b''):,} bytes)."
            unpublishable[(record.key or b"").decode()] = Rejection(Reason.UNPROCESSABLE, message)

        self._producer.produce(encode(), reject)
        return unpublishable


def explain_unencodable(definition: StreamDefinition, claimed: Claimed, error: Exception) -> Rejection:
    """Return why a row cannot be encoded, without its contents."""
    cause = f"encoding fails with {type(error).__name__}"
    try:
        event = from_json(definition.record_type, orjson.loads(claimed.record or "null"))
        if (broken := broken_rule(definition.record_type, event)) is not None:
            cause = broken.message
    except RecordRejectedError as rejected:
        cause = rejected.rejection.message
    except Exception as unreadable:
        cause = f"it is not a record ({type(unreadable).__name__})"
    table = f"landing.{definition.landing.records}"
    return Rejection(Reason.UNPROCESSABLE, f"The row in {table} cannot be encoded: {cause.rstrip('.')}.")


def publish_unpublished(connection: Connection, producer: EventProducer, *, batch: int = BATCH) -> int:
    """Publish until the outbox is empty; return the number of events. Publishers may run concurrently.

    Unpublishable events are set aside. Raises PublishError if a batch fails; the batches before it are published.
    """
    published = 0
    for size in _publish_batches(connection, producer, batch):
        published += size
        log.info("events.published", stream=producer.definition.name, batch=size, total=published)
    return published


def _publish_batches(connection: Connection, producer: EventProducer, batch: int) -> Iterator[int]:
    definition = producer.definition
    while True:
        with connection.transaction():
            claimed = claim_unpublished(connection, definition, batch)
            outgoing = [one for one in claimed if one.record is not None]
            unpublishable = producer.produce(outgoing) if outgoing else {}
            if unpublishable:
                set_aside(connection, definition, unpublishable)
            published = [one for one in outgoing if one.key not in unpublishable]
            forget_erased(connection, definition, published)
        log_unpublishable(definition, unpublishable.values())
        if claimed:
            fold_counts(connection)
            yield len(published)
        if len(claimed) < batch:
            return


def log_unpublishable(definition: StreamDefinition, rejections: Collection[Rejection]) -> None:
    """Log the events that were set aside, grouped by cause."""
    for message, events in Counter(one.message for one in rejections).items():
        log.error(
            "events.unpublishable",
            stream=definition.name,
            events=events,
            cause=message,
            see="member-analyzer rejected list",
        )
