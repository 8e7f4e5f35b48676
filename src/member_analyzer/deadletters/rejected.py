"""The dead letters of a stream: which there are, one of them as it came, and how it is sent again.

The stream may write one rejection twice when it fails in the midst of a batch; here each is one, for a record is known
by where it came from: `topic:partition:offset`.

Headers, keys and values are whatever producers sent. Only the last headers, which the stream appends, say why a record
was rejected. A record that does not end with them was written by somebody else: it is foreign, and never sent again.
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
from member_analyzer.records.rejection import REJECTION_HEADERS, rejection_header
from member_analyzer.records.wire import UnreadableValueError, ValueReader
from member_analyzer.streams.definition import StreamDefinition

log = structlog.get_logger(__name__)

# Says of a record on a topic which rejected one it repeats.
REPLAYED_FROM = "replayed.from"
RECORDS_AT_ONCE = 1000

# The reason of a record that the stream did not write.
FOREIGN = "foreign"
FOREIGN_MESSAGE = "The stream did not write this record: it does not end with the headers of a rejection."
HEADER_NAMES = [rejection_header(name) for name in REJECTION_HEADERS]
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
    """One rejected record: the original, why it was rejected and where it came from, and whether it was sent again."""

    key: bytes | None
    value: bytes | None
    headers: Headers
    reason: str
    message: str
    topic: str
    partition: int
    offset: int
    at: str
    is_foreign: bool = False
    """Whether the stream did not write it."""
    is_replayed: bool = False
    is_duplicate: bool = False
    """Whether another rejected record is the same replay: one that failed on the way is tried again."""

    @property
    def origin(self) -> str:
        """Where it came from, by which it is known."""
        return f"{self.topic}:{self.partition}:{self.offset}"

    @property
    def replayed_from(self) -> str | None:
        """The origin of the rejected record that this one repeated, as its last header says; a producer can forge it.

        A replay appends the header, so that one in another place is the producer's own.
        """
        name, value = self.headers[-1] if self.headers else ("", None)
        if name != REPLAYED_FROM or not value or (found := ORIGIN.fullmatch(value)) is None:
            return None
        return value.decode() if found[1].decode() == self.topic else None

    @property
    def fingerprint(self) -> bytes:
        """A hash of all that the producer sent. Two attempts at one replay have the same one."""
        content = blake2b(digest_size=16)
        for part in (self.key, self.value, *(part for name, value in self.headers for part in (name.encode(), value))):
            content.update(b"-" if part is None else b"%d:" % len(part))
            content.update(part or b"")
        return content.digest()


@dataclass(frozen=True)
class Replay:
    """How many records were sent again, and how many were not: their key is erased, or Kafka can never take them."""

    sent: int = 0
    erased: int = 0
    unsendable: int = 0


class UnknownRecordError(LookupError):
    """Raised for origins that no rejected record has."""

    def __init__(self, origins: Collection[str]) -> None:
        super().__init__(
            f"No rejected record comes from {', '.join(sorted(origins))}; `member-analyzer rejected list` shows them."
        )


def read_rejected(reader: TopicReader, connection: Connection, definition: StreamDefinition) -> list[RejectedRecord]:
    """Every rejected record once, in the order of where they came from. Raises TopicError when Kafka gives them not."""
    by_origin: dict[str, RejectedRecord] = {}
    for message in reader.read(definition.dead_letter_topic):
        record = read_message(message, definition)
        by_origin.setdefault(record.origin, record)
    return mark_duplicates(by_origin.values(), read_replayed(connection))


def mark_duplicates(found: Iterable[RejectedRecord], replayed: Collection[str]) -> list[RejectedRecord]:
    """The records in the order of where they came from, marked by the origins of those that were sent again.

    A producer may set `replayed.from` too. A record is only hidden as a repetition if the record that it names was
    sent again and an earlier record has the same contents, so that a forged header hides nothing else.
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


def read_message(message: Message, definition: StreamDefinition) -> RejectedRecord:
    """One record of the topic: the original and its headers, and what the stream says of it. Never raises.

    It may be called once for a message. Confluent's client raises for a header's name that is not UTF-8, and gives a
    broken list when it is asked again.
    """
    try:
        headers: Headers = list(message.headers() or [])  # type: ignore[arg-type]
    except (UnicodeDecodeError, SystemError):
        # Which one it is depends on how Python makes the call.
        headers = []
    return read_rejection(message.key(), message.value(), headers, definition) or RejectedRecord(
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


def read_rejection(
    key: bytes | None, value: bytes | None, headers: Headers, definition: StreamDefinition
) -> RejectedRecord | None:
    """A record as the stream wrote it; None where the last headers are not those that it appends."""
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
    """A message's moment as text, to the millisecond; none where it has none that a calendar knows."""
    kind, milliseconds = timestamp
    if kind == TIMESTAMP_NOT_AVAILABLE:
        return None
    try:
        moment = datetime.fromtimestamp(milliseconds / 1000, UTC)
    except (OverflowError, ValueError, OSError):
        return None
    return moment.isoformat(timespec="milliseconds").replace("+00:00", "Z")


def find_rejected(
    reader: TopicReader, connection: Connection, definition: StreamDefinition, origin: str
) -> RejectedRecord:
    """The rejected record of an origin. Raises UnknownRecordError where there is none."""
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
    """Send rejected records to their topic again, as they came: those of one reason, of some origins, or all.

    Each is sent once; one that is rejected again is a new rejected record. A record whose key was
    erased meanwhile is not sent, and one that Kafka can never take stays rejected. Raises PublishError when Kafka did
    not take some for now: those count as not sent.
    """
    wanted = (
        record
        for record in read_rejected(reader, connection, definition)
        if not record.is_replayed
        and not record.is_duplicate
        and not record.is_foreign
        and reason in (None, record.reason)
        and (not origins or record.origin in origins)
    )
    replay = Replay()
    for records in _batches(wanted):
        with connection.transaction():
            # Or a rebuild could come between looking for erased members and sending what would create them.
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
    """Send records as they came; gives the origins of those that Kafka can never take as the publisher sends them."""
    unsendable: set[str] = set()

    def reject(record: OutgoingRecord, error: KafkaError) -> None:
        origin = next(value for name, value in reversed(record.headers) if name == REPLAYED_FROM)
        unsendable.add(origin.decode() if isinstance(origin, bytes) else str(origin))
        log.error("rejected.unsendable", record=str(origin), cause=error.name(), bytes=len(record.value or b""))

    producer.produce((_as_it_came(record) for record in records), reject)
    return unsendable


def _created_key(record: RejectedRecord, definition: StreamDefinition, values: ValueReader) -> str | None:
    """The key of what a record would create, as far as it can be read."""
    try:
        event = values.read(record.value)
    except UnreadableValueError:
        return None
    if definition.erasure is not None and event.get(definition.erasure.column) != definition.erasure.created:
        return None
    key: str | None = event[definition.key]
    return key


def _as_it_came(record: RejectedRecord) -> OutgoingRecord:
    # The producer's own headers stay, whatever their names; only that of an earlier replay is replaced.
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
