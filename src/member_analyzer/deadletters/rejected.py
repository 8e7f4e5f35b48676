"""Lists, reads and replays the dead letters of a stream.

The stream may write a dead letter twice if it fails during a batch; duplicates are removed by origin:
`topic:partition:offset`.

Headers, keys and values are untrusted producer data. Only the last headers, which the stream appends, describe the
rejection. A record without them was written by another producer: it is foreign and never replayed.
"""

import re
from collections.abc import Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from hashlib import blake2b

import structlog
from confluent_kafka import TIMESTAMP_NOT_AVAILABLE, KafkaError, Message

from member_analyzer.kafka.reader import TopicReader
from member_analyzer.landing.connection import Connection
from member_analyzer.landing.dead_letters import mark_replayed, read_replayed, unmark_replayed
from member_analyzer.landing.erasure import find_erased
from member_analyzer.landing.outbox import join_publishing
from member_analyzer.publishing.producer import OutgoingRecord, RecordProducer
from member_analyzer.records.rejection import ITEM_REJECTION_HEADERS, REJECTION_HEADERS, rejection_header
from member_analyzer.records.wire import UnreadableValueError, ValueReader
from member_analyzer.streams.definition import StreamDefinition, TopicDefinition

log = structlog.get_logger(__name__)

# The header of a replayed record: the origin of its dead letter.
REPLAYED_FROM = "replayed.from"
RECORDS_AT_ONCE = 1000

# The reason of a record that the stream did not write.
FOREIGN = "foreign"
FOREIGN_MESSAGE = "The stream did not write this record: it lacks the rejection headers."
HEADER_NAMES = [rejection_header(name) for name in REJECTION_HEADERS]
# Of an item that the collector rejected before it became a record of the topic.
ITEM_HEADER_NAMES = [rejection_header(name) for name in ITEM_REJECTION_HEADERS]
# As earlier versions wrote them; their records stay in the topic until its retention deletes them.
EARLIER_HEADER_NAMES = [rejection_header({"message": "sentence"}.get(name, name)) for name in REJECTION_HEADERS]
MAX_PARTITION, MAX_OFFSET = 2**31 - 1, 2**63 - 1
ORIGIN = re.compile(rb"([A-Za-z0-9._-]{1,249}):[0-9]{1,10}:[0-9]{1,19}")
DIGITS = re.compile(r"[0-9]{1,19}")
MOMENT = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}:[0-9]{2}(\.[0-9]{1,6})?Z")
MAX_REASON_LENGTH, MAX_MESSAGE_LENGTH = 100, 2000

Headers = list[tuple[str, bytes | None]]


@dataclass(frozen=True)
class RejectedRecord:
    """A dead letter: the original record, its rejection, its origin, and whether it was replayed."""

    key: bytes | None
    value: bytes | None
    headers: Headers
    reason: str
    message: str
    topic: str
    partition: int
    offset: int
    at: str
    source: str | None = None
    """The source of an item that was rejected before it became a record; its origin is its own position."""
    is_foreign: bool = False
    """Whether another producer wrote it."""
    is_replayed: bool = False
    is_duplicate: bool = False
    """Whether it repeats an earlier attempt at the same replay."""

    @property
    def origin(self) -> str:
        """The origin, which identifies the dead letter."""
        return f"{self.topic}:{self.partition}:{self.offset}"

    @property
    def replayed_from(self) -> str | None:
        """The origin of the dead letter that this record replays, from its last header; a producer can forge it.

        A replay appends the header; in any other position it is the producer's own.
        """
        name, value = self.headers[-1] if self.headers else ("", None)
        if name != REPLAYED_FROM or not value or (found := ORIGIN.fullmatch(value)) is None:
            return None
        return value.decode() if found[1].decode() == self.topic else None

    @property
    def fingerprint(self) -> bytes:
        """A hash of the original record, equal for all attempts at one replay."""
        content = blake2b(digest_size=16)
        for part in (self.key, self.value, *(part for name, value in self.headers for part in (name.encode(), value))):
            content.update(b"-" if part is None else b"%d:" % len(part))
            content.update(part or b"")
        return content.digest()


@dataclass(frozen=True)
class Replay:
    """The numbers of records that were sent, that are erased, and that Kafka permanently rejects."""

    sent: int = 0
    erased: int = 0
    unsendable: int = 0


class UnknownRecordError(LookupError):
    """Raised for origins without a dead letter."""

    def __init__(self, origins: Collection[str]) -> None:
        super().__init__(
            f"No rejected record has the origin {', '.join(sorted(origins))}; see `member-analyzer rejected list`."
        )


def read_rejected(reader: TopicReader, connection: Connection, definition: TopicDefinition) -> list[RejectedRecord]:
    """Read all dead letters, deduplicated and sorted by origin. Raises TopicError if Kafka does not return them."""
    by_origin: dict[str, RejectedRecord] = {}
    for message in reader.read(definition.dead_letter_topic):
        record = read_message(message, definition)
        by_origin.setdefault(record.origin, record)
    return mark_duplicates(by_origin.values(), read_replayed(connection))


def mark_duplicates(found: Iterable[RejectedRecord], replayed: Collection[str]) -> list[RejectedRecord]:
    """Sort records by origin, and mark the replayed ones and duplicates.

    A producer can forge `replayed.from`. A record is a duplicate only if the record that it names was replayed and an
    earlier record has the same contents, so a forged header cannot hide other records.
    """
    records: list[RejectedRecord] = []
    repeated: set[tuple[str, bytes]] = set()
    for record in sorted(found, key=lambda one: (one.topic, one.partition, one.offset)):
        source = record.replayed_from
        attempt = (source, record.fingerprint) if source in replayed and source is not None else None
        records.append(replace(record, is_replayed=record.origin in replayed, is_duplicate=attempt in repeated))
        if attempt is not None:
            repeated.add(attempt)
    return records


def read_message(message: Message, definition: TopicDefinition) -> RejectedRecord:
    """Read a dead letter from a message. Never raises. Call it only once for a message.

    Confluent's client raises for a header name that is not UTF-8, and returns a broken list on the second call.
    """
    try:
        headers: Headers = list(message.headers() or [])  # type: ignore[arg-type]
    except (UnicodeDecodeError, SystemError):
        # Which of them depends on how Python makes the call.
        headers = []
    if (rejected := read_rejection(message.key(), message.value(), headers, definition)) is not None:
        return rejected
    foreign = RejectedRecord(
        key=message.key(),
        value=message.value(),
        headers=headers,
        reason=FOREIGN,
        message=FOREIGN_MESSAGE,
        topic=definition.dead_letter_topic.name,
        partition=message.partition() or 0,
        offset=message.offset() or 0,
        at=write_time(message.timestamp()) or "",
        is_foreign=True,
    )
    return (read_rejected_item(foreign) if definition.is_direct else None) or foreign


def read_rejected_item(record: RejectedRecord) -> RejectedRecord | None:
    """Read the rejection of an item from the headers of a record; None if they are not those of an item."""
    if [name for name, _ in record.headers] != ITEM_HEADER_NAMES:
        return None
    try:
        reason, message, source, at = ((content or b"").decode() for _, content in record.headers)
        datetime.fromisoformat(at)
    except ValueError:
        return None
    if not MOMENT.fullmatch(at) or len(reason) > MAX_REASON_LENGTH or len(message) > MAX_MESSAGE_LENGTH:
        return None
    return replace(record, headers=[], reason=reason, message=message, source=source, at=at, is_foreign=False)


def read_rejection(
    key: bytes | None, value: bytes | None, headers: Headers, definition: TopicDefinition
) -> RejectedRecord | None:
    """Read a dead letter that the stream wrote; None if the last headers are not its rejection headers."""
    original, added = headers[: -len(HEADER_NAMES)], headers[-len(HEADER_NAMES) :]
    if [name for name, _ in added] not in (HEADER_NAMES, EARLIER_HEADER_NAMES):
        return None
    try:
        reason, message, topic, partition, offset, at = ((content or b"").decode() for _, content in added)
        datetime.fromisoformat(at)
    except ValueError:
        return None
    is_place = all(DIGITS.fullmatch(number) for number in (partition, offset))
    if topic != definition.topic.name or not is_place or int(partition) > MAX_PARTITION or int(offset) > MAX_OFFSET:
        return None
    if not MOMENT.fullmatch(at) or len(reason) > MAX_REASON_LENGTH or len(message) > MAX_MESSAGE_LENGTH:
        return None
    return RejectedRecord(key, value, original, reason, message, topic, int(partition), int(offset), at)


def write_time(timestamp: Sequence[int]) -> str | None:
    """Format a message timestamp in milliseconds; None if it is missing or out of range."""
    kind, milliseconds = timestamp
    if kind == TIMESTAMP_NOT_AVAILABLE:
        return None
    try:
        moment = datetime.fromtimestamp(milliseconds / 1000, UTC)
    except (OverflowError, ValueError, OSError):
        return None
    return moment.isoformat(timespec="milliseconds").replace("+00:00", "Z")


def find_rejected(
    reader: TopicReader, connection: Connection, definition: TopicDefinition, origin: str
) -> RejectedRecord:
    """Find a dead letter by origin. Raises UnknownRecordError if there is none."""
    for record in read_rejected(reader, connection, definition):
        if record.origin == origin:
            return record
    raise UnknownRecordError([origin])


def replay_rejected(
    reader: TopicReader,
    connection: Connection,
    definition: StreamDefinition,
    producer: RecordProducer,
    values: ValueReader,
    *,
    reason: str | None = None,
    origins: Collection[str] = (),
) -> Replay:
    """Replay dead letters to their topic unchanged: for one reason, for some origins, or all.

    Each is sent once; if it is rejected again, that is a new dead letter. Records with an erased key are not sent, and
    those that Kafka permanently rejects stay rejected. Raises PublishError for a temporary failure; the records of that
    batch count as not sent.
    """
    wanted = (
        record
        for record in read_rejected(reader, connection, definition)
        if not record.is_replayed
        and not record.is_duplicate
        and not record.is_foreign
        and record.source is None
        and reason in (None, record.reason)
        and (not origins or record.origin in origins)
    )
    replay = Replay()
    for records in _batches(wanted):
        with connection.transaction():
            # Otherwise a rebuild could run between the check for erased keys and the replay of their created events.
            join_publishing(connection)
            unmarked = mark_replayed(connection, [record.origin for record in records])
            erased = find_erased(
                connection, definition, [key for record in records if (key := _created_key(record, definition, values))]
            )
            mine = [record for record in records if record.origin in unmarked]
            sent = [record for record in mine if _created_key(record, definition, values) not in erased]
            unsendable = _produce(producer, sent)
            unmark_replayed(connection, unsendable)
        replay = Replay(
            replay.sent + len(sent) - len(unsendable),
            replay.erased + len(mine) - len(sent),
            replay.unsendable + len(unsendable),
        )
        log.info("rejected.replayed", sent=replay.sent, erased=replay.erased, unsendable=replay.unsendable)
    return replay


def _produce(producer: RecordProducer, records: Iterable[RejectedRecord]) -> set[str]:
    """Send records unchanged; return the origins of those that Kafka permanently rejects."""
    unsendable: set[str] = set()

    def reject(record: OutgoingRecord, error: KafkaError) -> None:
        origin = next(value for name, value in reversed(record.headers) if name == REPLAYED_FROM)
        unsendable.add(origin.decode() if isinstance(origin, bytes) else str(origin))
        log.error("rejected.unsendable", record=str(origin), cause=error.name(), bytes=len(record.value or b""))

    producer.produce((_to_outgoing(record) for record in records), reject)
    return unsendable


def _created_key(record: RejectedRecord, definition: StreamDefinition, values: ValueReader) -> str | None:
    """Return the key of a created event; None for other events and unreadable values."""
    try:
        event = values.read(record.value)
    except UnreadableValueError:
        return None
    if definition.erasure is not None and event.get(definition.erasure.column) != definition.erasure.created:
        return None
    key: str | None = event[definition.key]
    return key


def _to_outgoing(record: RejectedRecord) -> OutgoingRecord:
    # Keep the producer's own headers; replace only that of an earlier replay.
    headers = record.headers[:-1] if record.replayed_from else record.headers
    return OutgoingRecord(record.key, record.value, [*headers, (REPLAYED_FROM, record.origin.encode())])


def _batches(records: Iterable[RejectedRecord]) -> Iterator[list[RejectedRecord]]:
    batch: list[RejectedRecord] = []
    for record in records:
        batch.append(record)
        if len(batch) == RECORDS_AT_ONCE:
            yield batch
            batch = []
    if batch:
        yield batch
