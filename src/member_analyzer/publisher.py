"""From landing to Kafka: claims what is unpublished, produces it, and commits the claim once the brokers have it.

A crash between the acknowledgement and the commit publishes an event again; the stream counts each id once. An event
that can never be published is set aside with its reason, so that it does not hold up the others.
"""

from collections import Counter
from collections.abc import Callable, Collection, Iterable, Iterator
from dataclasses import dataclass, field

import orjson
import structlog
from confluent_kafka import KafkaError, KafkaException, Message, Producer

from member_analyzer.kafka import client_options
from member_analyzer.landing import Claimed, Connection, claim_unpublished, fold_counts, forget_erased, set_aside
from member_analyzer.member import MEMBER, avro_schema
from member_analyzer.record import Reason, RecordRejectedError, Rejection, broken_rule, from_json, to_avro
from member_analyzer.registry import USERS_VALUE, find_schema_id, registry_client
from member_analyzer.settings import KafkaSettings, RegistrySettings
from member_analyzer.topics import LARGEST_UNCOMPRESSED_BYTES, USERS
from member_analyzer.wire import ValueWriter

log = structlog.get_logger(__name__)

BATCH = 10_000
FLUSH_SECONDS = 90


# What Kafka says of one record, and would say again however often it is sent.
PERMANENT = frozenset({KafkaError.MSG_SIZE_TOO_LARGE, KafkaError.INVALID_MSG, KafkaError.INVALID_RECORD})


class PublishError(RuntimeError):
    """Raised when Kafka did not take a batch; what it did not acknowledge stays unpublished."""


@dataclass(frozen=True)
class OutgoingRecord:
    """What is produced to the topic `users`."""

    key: bytes | None
    value: bytes | None
    headers: list[tuple[str, str | bytes | None]] = field(default_factory=list)


Refuse = Callable[[OutgoingRecord, KafkaError], None]


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

    def produce(self, records: Iterable[OutgoingRecord], refuse: Refuse | None = None) -> None:
        """Send records and wait until the brokers have all of them. Raises PublishError; some may have arrived then.

        `refuse` gets the records that Kafka can never take; where it is not given, such a record raises PublishError.
        """
        failures: list[KafkaError] = []

        def note(record: OutgoingRecord, error: KafkaError) -> None:
            if refuse is not None and error.code() in PERMANENT:
                refuse(record, error)
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

    def _send(self, record: OutgoingRecord, note: Refuse) -> None:
        def note_delivery(error: KafkaError | None, _: Message) -> None:
            if error is not None:
                note(record, error)

        while True:
            try:
                self._producer.produce(
                    USERS.name, key=record.key, value=record.value, headers=record.headers, on_delivery=note_delivery
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


class MemberProducer:
    """Produces what happened to members, in Avro with the registry's schema, keyed by id."""

    def __init__(self, kafka: KafkaSettings, registry: RegistrySettings) -> None:
        self._outbox = Outbox(kafka)
        self._writer = ValueWriter(find_schema_id(registry_client(registry), USERS_VALUE, avro_schema()), avro_schema())

    def produce(self, claimed: Iterable[Claimed]) -> dict[str, Rejection]:
        """Send what was claimed and wait until the brokers have it; gives what can never be published, with why.

        Raises PublishError where Kafka did not take something for now.
        """
        unpublishable: dict[str, Rejection] = {}

        def encode() -> Iterator[OutgoingRecord]:
            for one in claimed:
                # Anything may be in a row, and whatever it is raises: an error here would hold up all other members.
                try:
                    event = orjson.loads(one.record or "null")
                    yield OutgoingRecord(one.id.encode(), self._writer.write(to_avro(MEMBER, event)))
                except Exception as error:
                    unpublishable[one.id] = explain_unencodable(one, error)

        def refuse(record: OutgoingRecord, error: KafkaError) -> None:
            sentence = f"Kafka refuses the event for good: {error.name()}, with {len(record.value or b''):,} bytes."
            unpublishable[(record.key or b"").decode()] = Rejection(Reason.UNPROCESSABLE, sentence)

        self._outbox.produce(encode(), refuse)
        return unpublishable


def explain_unencodable(claimed: Claimed, error: Exception) -> Rejection:
    """Why a row cannot be encoded, without anything that it holds."""
    cause = f"its encoding fails with {type(error).__name__}"
    try:
        event = from_json(MEMBER, orjson.loads(claimed.record or "null"))
        if (broken := broken_rule(MEMBER, event)) is not None:
            cause = broken.sentence
    except RecordRejectedError as rejected:
        cause = rejected.rejection.sentence
    except Exception as unreadable:
        cause = f"it is no member ({type(unreadable).__name__})"
    return Rejection(Reason.UNPROCESSABLE, f"The row in landing.users cannot be encoded: {cause.rstrip('.')}.")


def publish_unpublished(connection: Connection, producer: MemberProducer, *, batch: int = BATCH) -> int:
    """Publish until nothing is left to claim; gives the number of events. Any number of these may run at once.

    What can never be published is set aside. Raises PublishError when Kafka did not take a batch: those before it are
    published, it is not.
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
            outgoing = [one for one in claimed if one.record is not None]
            unpublishable = producer.produce(outgoing) if outgoing else {}
            if unpublishable:
                set_aside(connection, unpublishable)
            published = [one for one in outgoing if one.id not in unpublishable]
            forget_erased(connection, published)
        tell_unpublishable(unpublishable.values())
        if claimed:
            fold_counts(connection)
            yield len(published)
        if len(claimed) < batch:
            return


def tell_unpublishable(rejections: Collection[Rejection]) -> None:
    """Log what was set aside, by cause."""
    for sentence, members in Counter(one.sentence for one in rejections).items():
        log.error("members.unpublishable", members=members, cause=sentence, see="member-analyzer rejected list")
