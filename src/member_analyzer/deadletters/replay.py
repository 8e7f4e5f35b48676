"""Sends again what was rejected, once the cause is fixed.

That is dead letters, what never landed, and what landed but could not be published.
"""

from collections.abc import Callable, Collection
from dataclasses import dataclass

from member_analyzer.deadletters.rejected import UnknownRecordError, read_rejected, replay_rejected
from member_analyzer.kafka.reader import TopicReader
from member_analyzer.landing.acceptance import retry_rejected
from member_analyzer.landing.connection import Connection
from member_analyzer.landing.outbox import requeue_unpublishable
from member_analyzer.publishing.producer import RecordProducer
from member_analyzer.records.wire import ValueReader
from member_analyzer.streams.definition import StreamDefinition


@dataclass(frozen=True)
class Replayed:
    """How many records were sent again, and how many landed now.

    Not sent are those whose key is erased, and those that Kafka can never take.
    """

    sent: int
    erased: int
    unsendable: int
    landed: int


@dataclass(frozen=True)
class ReplayServers:
    """What a replay reads and writes; `publish` publishes what is unpublished."""

    topics: TopicReader
    landing: Connection
    definition: StreamDefinition
    producer: RecordProducer
    values: ValueReader
    publish: Callable[[], int]


def replay(servers: ReplayServers, *, reason: str | None = None, origins: Collection[str] = ()) -> Replayed:
    """Send again some records, or what was rejected for one reason, or everything, also from before landing.

    Raises UnknownRecordError for origins that no rejected record has, before anything is sent, and PublishError when
    Kafka did not take some: those count as not sent.
    """
    if origins and (unknown := set(origins) - _known(servers)):
        raise UnknownRecordError(unknown)
    sent = replay_rejected(
        servers.topics,
        servers.landing,
        servers.definition,
        servers.producer,
        servers.values,
        reason=reason,
        origins=origins,
    )
    if origins:
        return Replayed(sent.sent, sent.erased, sent.unsendable, 0)
    landed = retry_rejected(servers.landing, servers.definition, reason)
    requeue_unpublishable(servers.landing, servers.definition, reason)
    servers.publish()
    return Replayed(sent.sent, sent.erased, sent.unsendable, landed.accepted)


def _known(servers: ReplayServers) -> set[str]:
    return {one.origin for one in read_rejected(servers.topics, servers.landing, servers.definition)}
