"""From landing to Kafka: claims what is unpublished, produces it, and commits the claim once the brokers have it.

A crash between the acknowledgement and the commit publishes an event again; the stream counts each id once. An event
that can never be published is set aside with its reason, so that it does not hold up the others.
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
    """Produces the events of one stream, in Avro with the registry's schema, by their key."""

    def __init__(self, definition: StreamDefinition, kafka: KafkaSettings, registry: RegistrySettings) -> None:
        self.definition = definition
        self._producer = RecordProducer(kafka, definition.topic)
        schema_id = find_schema_id(registry_client(registry), definition.subject, definition.schema)
        self._writer = ValueWriter(schema_id, definition.schema)

    def produce(self, claimed: Iterable[Claimed]) -> dict[str, Rejection]:
        """Send what was claimed and wait until the brokers have it; gives what can never be published, with why.

        Raises PublishError where Kafka did not take something for now.
        """
        unpublishable: dict[str, Rejection] = {}

        def encode() -> Iterator[OutgoingRecord]:
            for one in claimed:
                # Anything may be in a row, and whatever it is raises: an error here would hold up all other records.
                try:
                    event = orjson.loads(one.record or "null")
                    value = self._writer.write(to_avro(self.definition.record_type, event))
                    yield OutgoingRecord(one.key.encode(), value)
                except Exception as error:
                    unpublishable[one.key] = explain_unencodable(self.definition, one, error)

        def reject(record: OutgoingRecord, error: KafkaError) -> None:
            message = f"Kafka rejects the event for good: {error.name()}, with {len(record.value or b''):,} bytes."
            unpublishable[(record.key or b"").decode()] = Rejection(Reason.UNPROCESSABLE, message)

        self._producer.produce(encode(), reject)
        return unpublishable


def explain_unencodable(definition: StreamDefinition, claimed: Claimed, error: Exception) -> Rejection:
    """Why a row cannot be encoded, without anything that it holds."""
    cause = f"its encoding fails with {type(error).__name__}"
    try:
        event = from_json(definition.record_type, orjson.loads(claimed.record or "null"))
        if (broken := broken_rule(definition.record_type, event)) is not None:
            cause = broken.message
    except RecordRejectedError as rejected:
        cause = rejected.rejection.message
    except Exception as unreadable:
        cause = f"it is no record ({type(unreadable).__name__})"
    table = f"landing.{definition.landing.records}"
    return Rejection(Reason.UNPROCESSABLE, f"The row in {table} cannot be encoded: {cause.rstrip('.')}.")


def publish_unpublished(connection: Connection, producer: EventProducer, *, batch: int = BATCH) -> int:
    """Publish until nothing is left to claim; gives the number of events. Any number of these may run at once.

    What can never be published is set aside. Raises PublishError when Kafka did not take a batch: those before it are
    published, it is not.
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
    """Log what was set aside, by cause."""
    for message, events in Counter(one.message for one in rejections).items():
        log.error(
            "events.unpublishable",
            stream=definition.name,
            events=events,
            cause=message,
            see="member-analyzer rejected list",
        )
