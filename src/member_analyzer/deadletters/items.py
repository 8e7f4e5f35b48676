"""Replays items that the collector rejected before they became records of a topic."""

from collections.abc import Callable, Collection, Iterator
from dataclasses import dataclass

import structlog
from confluent_kafka import KafkaError

from member_analyzer.deadletters.rejected import REPLAYED_FROM, RejectedRecord, read_rejected
from member_analyzer.kafka.reader import TopicReader
from member_analyzer.landing.connection import Connection
from member_analyzer.landing.dead_letters import mark_replayed, unmark_replayed
from member_analyzer.publishing.producer import OutgoingRecord, RecordProducer
from member_analyzer.records.rejection import RecordRejectedError
from member_analyzer.streams.definition import TopicDefinition

log = structlog.get_logger(__name__)


@dataclass(frozen=True)
class ItemReplay:
    """The numbers of items that were sent, that still break a rule, and that Kafka permanently rejects."""

    sent: int = 0
    rejected: int = 0
    unsendable: int = 0


def replay_items(
    reader: TopicReader,
    connection: Connection,
    definition: TopicDefinition,
    producer: RecordProducer,
    encode: Callable[[RejectedRecord], OutgoingRecord],
    *,
    reason: str | None = None,
    origins: Collection[str] = (),
) -> ItemReplay:
    """Send rejected items to their topic: for one reason, from some origins, or all that were not sent before.

    `encode` makes a record of an item, or raises RecordRejectedError; then the item stays rejected. Raises PublishError
    for a temporary failure; then no item counts as sent.
    """
    wanted = [
        one
        for one in read_rejected(reader, connection, definition)
        if one.source is not None
        and not one.is_replayed
        and reason in (None, one.reason)
        and (not origins or one.origin in origins)
    ]
    unsendable: set[str] = set()

    def reject(record: OutgoingRecord, error: KafkaError) -> None:
        origin = next(str(value) for name, value in record.headers if name == REPLAYED_FROM)
        unsendable.add(origin)
        log.error("rejected.unsendable", record=origin, cause=error.name(), bytes=len(record.value or b""))

    valid = dict(_encode(wanted, encode))
    with connection.transaction():
        unmarked = mark_replayed(connection, list(valid))
        sent = [record for origin, record in valid.items() if origin in unmarked]
        producer.produce(sent, reject)
        unmark_replayed(connection, unsendable)
    replay = ItemReplay(len(sent) - len(unsendable), len(wanted) - len(valid), len(unsendable))
    log.info("rejected.replayed", sent=replay.sent, rejected=replay.rejected, unsendable=replay.unsendable)
    return replay


def _encode(
    items: list[RejectedRecord], encode: Callable[[RejectedRecord], OutgoingRecord]
) -> Iterator[tuple[str, OutgoingRecord]]:
    for one in items:
        try:
            record = encode(one)
        except RecordRejectedError:
            continue
        yield one.origin, OutgoingRecord(record.key, record.value, [(REPLAYED_FROM, one.origin)])
