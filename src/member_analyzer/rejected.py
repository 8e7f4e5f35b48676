"""The records of `users_rejected`: which there are, one of them as it came, and how it is sent again.

The stream may write one rejection twice when it fails in the midst of a batch; here each is one, for a record is known
by where it came from: `topic:partition:offset`.
"""

from collections.abc import Collection, Iterable, Iterator
from dataclasses import dataclass, replace

import structlog
from confluent_kafka import Message

from member_analyzer.landing import Connection, find_erased, join_publishing, mark_replayed, read_replayed
from member_analyzer.member import CREATED, MEMBER
from member_analyzer.publisher import Outbox, OutgoingRecord
from member_analyzer.record import REJECTION_HEADERS, rejection_header
from member_analyzer.topic_reader import TopicReader
from member_analyzer.topics import USERS, USERS_REJECTED
from member_analyzer.wire import UnreadableValueError, ValueReader

log = structlog.get_logger(__name__)

# Says of a record on the topic `users` which rejected one it repeats.
REPLAYED_FROM = "replayed.from"
RECORDS_AT_ONCE = 1000

Headers = list[tuple[str, bytes | None]]


@dataclass(frozen=True)
class RejectedRecord:
    """One rejected record: the original, why it was rejected and where it came from, and whether it was sent again."""

    key: bytes | None
    value: bytes | None
    headers: Headers
    reason: str
    sentence: str
    topic: str
    partition: int
    offset: int
    at: str
    is_replayed: bool = False
    is_repeated: bool = False
    """Whether another rejected record is the same replay: one that failed on the way is tried again."""

    @property
    def origin(self) -> str:
        """Where it came from, by which it is known."""
        return f"{self.topic}:{self.partition}:{self.offset}"

    @property
    def replayed_from(self) -> str | None:
        """The origin of the rejected record that this one repeated."""
        return next((value.decode() for name, value in self.headers if name == REPLAYED_FROM and value), None)


@dataclass(frozen=True)
class Replay:
    """How many records were sent again, and how many were not because their member is erased."""

    sent: int = 0
    erased: int = 0


class UnknownRecordError(LookupError):
    """Raised for origins that no rejected record has."""

    def __init__(self, origins: Collection[str]) -> None:
        super().__init__(
            f"No rejected record comes from {', '.join(sorted(origins))}; `member-analyzer rejected list` shows them."
        )


def read_rejected(reader: TopicReader, connection: Connection) -> list[RejectedRecord]:
    """Every rejected record once, in the order of where they came from. Raises TopicError when Kafka gives them not."""
    by_origin: dict[str, RejectedRecord] = {}
    for message in reader.read(USERS_REJECTED):
        record = read_message(message)
        by_origin.setdefault(record.origin, record)
    replayed = read_replayed(connection)
    records: list[RejectedRecord] = []
    repeated: set[str] = set()
    for record in sorted(by_origin.values(), key=lambda one: (one.topic, one.partition, one.offset)):
        source = record.replayed_from
        records.append(
            replace(
                record, is_replayed=record.origin in replayed, is_repeated=source is not None and source in repeated
            )
        )
        if source is not None:
            repeated.add(source)
    return records


def read_message(message: Message) -> RejectedRecord:
    """One record of the topic, as the stream wrote it: the original and its headers, then those of the rejection."""
    headers: Headers = list(message.headers() or [])  # type: ignore[arg-type]
    original, added = headers[: -len(REJECTION_HEADERS)], dict(headers[-len(REJECTION_HEADERS) :])
    told = {name: (added.get(rejection_header(name)) or b"").decode() for name in REJECTION_HEADERS}
    return RejectedRecord(
        key=message.key(),
        value=message.value(),
        headers=original,
        reason=told["reason"],
        sentence=told["sentence"],
        topic=told["topic"],
        partition=int(told["partition"]),
        offset=int(told["offset"]),
        at=told["at"],
    )


def find_rejected(reader: TopicReader, connection: Connection, origin: str) -> RejectedRecord:
    """The rejected record of an origin. Raises UnknownRecordError where there is none."""
    for record in read_rejected(reader, connection):
        if record.origin == origin:
            return record
    raise UnknownRecordError([origin])


def replay_rejected(
    reader: TopicReader,
    connection: Connection,
    outbox: Outbox,
    values: ValueReader,
    *,
    reason: str | None = None,
    origins: Collection[str] = (),
) -> Replay:
    """Send rejected records to their topic again, as they came: those of one reason, of some origins, or all.

    Each is sent once; one that is rejected again is a new rejected record. A record that would create a member who was
    erased meanwhile is not sent. Raises PublishError when Kafka did not take some: those count as not sent.
    """
    wanted = (
        record
        for record in read_rejected(reader, connection)
        if not record.is_replayed
        and not record.is_repeated
        and record.topic == USERS.name
        and reason in (None, record.reason)
        and (not origins or record.origin in origins)
    )
    replay = Replay()
    for records in _batches(wanted):
        with connection.transaction():
            # Or a rebuild could come between looking for erased members and sending what would create them.
            join_publishing(connection)
            unmarked = mark_replayed(connection, [record.origin for record in records])
            erased = find_erased(connection, [key for record in records if (key := _created_id(record, values))])
            mine = [record for record in records if record.origin in unmarked]
            sent = [record for record in mine if _created_id(record, values) not in erased]
            outbox.produce(_as_it_came(record) for record in sent)
        replay = Replay(replay.sent + len(sent), replay.erased + len(mine) - len(sent))
        log.info("rejected.replayed", sent=replay.sent, erased=replay.erased)
    return replay


def _created_id(record: RejectedRecord, values: ValueReader) -> str | None:
    """The id of the member that a record would create, as far as it can be read."""
    try:
        event = values.read(record.value)
    except UnreadableValueError:
        return None
    return event[MEMBER.key] if event.get("kind") == CREATED else None


def _as_it_came(record: RejectedRecord) -> OutgoingRecord:
    headers = [(name, value) for name, value in record.headers if name != REPLAYED_FROM]
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
