"""From landing to Kafka: claims what is unpublished, produces it, and commits the claim once the brokers have it.

A crash between the acknowledgement and the commit publishes a member again; the stream counts each id once.
"""

import json
import struct
from collections.abc import Iterator
from io import BytesIO

import fastavro
import structlog
from confluent_kafka import KafkaError, KafkaException, Message, Producer

from member_analyzer.kafka import client_options
from member_analyzer.landing import Connection, claim_unpublished
from member_analyzer.member import MEMBER, avro_schema
from member_analyzer.record import to_avro
from member_analyzer.registry import USERS_VALUE, find_schema_id, registry_client
from member_analyzer.settings import KafkaSettings, RegistrySettings
from member_analyzer.topics import LARGEST_MESSAGE_BYTES, USERS

log = structlog.get_logger(__name__)

BATCH = 10_000
FLUSH_SECONDS = 90

# Confluent's wire format: a zero byte and the schema's id in four bytes, big endian, before the Avro bytes.
WIRE_HEADER = struct.Struct(">bI")


class PublishError(RuntimeError):
    """Raised when Kafka did not take a batch; what it did not acknowledge stays unpublished."""


class MemberProducer:
    """Produces members to the topic `users`, in Avro with the registry's schema, keyed by id."""

    def __init__(self, kafka: KafkaSettings, registry: RegistrySettings) -> None:
        self._producer = Producer(
            client_options(kafka)
            | {
                "enable.idempotence": True,
                "acks": "all",
                "compression.type": "lz4",
                "linger.ms": 20,
                "delivery.timeout.ms": 60_000,
                "message.max.bytes": LARGEST_MESSAGE_BYTES,
                "queue.buffering.max.messages": 2 * BATCH,
                "queue.buffering.max.kbytes": 65_536,
            }
        )
        self._schema = fastavro.parse_schema(json.loads(avro_schema()))
        self._header = WIRE_HEADER.pack(0, find_schema_id(registry_client(registry), USERS_VALUE, avro_schema()))

    def produce(self, members: list[tuple[str, dict[str, object]]]) -> None:
        """Send members, as (id, JSON values), and wait until the brokers have all of them. Raises PublishError."""
        failures: list[KafkaError] = []

        def note(error: KafkaError | None, _: Message) -> None:
            if error is not None:
                failures.append(error)

        for key, member in members:
            value = self._encode(member)
            while True:
                try:
                    self._producer.produce(USERS.name, key=key.encode(), value=value, on_delivery=note)
                    break
                except BufferError:
                    self._producer.poll(0.1)
                except KafkaException as error:
                    raise PublishError(f"Kafka does not take members: {error.args[0].str()}.") from error
        unsent = self._producer.flush(FLUSH_SECONDS)
        if unsent or failures:
            cause = failures[0].str() if failures else f"no answer in {FLUSH_SECONDS} seconds"
            raise PublishError(
                f"Kafka did not acknowledge {unsent + len(failures)} of {len(members)} members: {cause}. "
                "They stay in landing.users and are published again by the next run."
            )

    def _encode(self, member: dict[str, object]) -> bytes:
        # fastavro itself: confluent-kafka's serializer takes four times as long around the same call.
        value = BytesIO(self._header)
        value.seek(len(self._header))
        fastavro.schemaless_writer(value, self._schema, to_avro(MEMBER, member))
        return value.getvalue()


def publish_unpublished(connection: Connection, producer: MemberProducer, *, batch: int = BATCH) -> int:
    """Publish until nothing is left to claim; gives the number of members. Any number of these may run at once.

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
            members = claim_unpublished(connection, batch)
            if members:
                producer.produce(members)
        if not members:
            return
        yield len(members)
