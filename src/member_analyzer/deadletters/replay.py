"""Replays rejected records once the cause is fixed.

These are dead letters, rejected inputs, and unpublishable records.
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
    """The result of a replay: records sent, and inputs landed.

    Records with an erased key, and those that Kafka permanently rejects, are not sent.
    """

    sent: int
    erased: int
    unsendable: int
    landed: int


@dataclass(frozen=True)
class ReplayServers:
    """The servers of a replay; `publish` publishes the outbox."""

    topics: TopicReader
    landing: Connection
    definition: StreamDefinition
    producer: RecordProducer
    values: ValueReader
    publish: Callable[[], int]


def replay(servers: ReplayServers, *, reason: str | None = None, origins: Collection[str] = ()) -> Replayed:
    """Replay dead letters by origin, or everything that was rejected, optionally for one reason only.

    Raises UnknownRecordError for unknown origins, before anything is sent, and PublishError for a temporary failure;
    the records of that batch count as not sent.
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
