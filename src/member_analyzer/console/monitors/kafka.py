"""Kafka: brokers, topics with their partitions, and the offsets of their consumers."""

import time
from collections.abc import Iterator, Sequence
from concurrent.futures import TimeoutError as FutureTimeoutError
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

from confluent_kafka import ConsumerGroupTopicPartitions, KafkaException, TopicPartition
from confluent_kafka.admin import AdminClient, ClusterMetadata, OffsetSpec

from member_analyzer.console.monitoring import Probe
from member_analyzer.console.rate import Rates
from member_analyzer.console.snapshot import Bounds, Snapshot
from member_analyzer.console.status import State, Status
from member_analyzer.kafka.client import client_options
from member_analyzer.settings import KafkaSettings
from member_analyzer.streams.definition import StreamDefinition

TIMEOUT = 5

Json = dict[str, Any]


@dataclass
class Cache:
    """Rates, and the results of the slower probes."""

    rates: Rates = field(default_factory=Rates)
    groups: Sequence[Json] = ()


class KafkaMonitor:
    """Reads the cluster's metadata, offsets and consumer groups."""

    name = "kafka"
    unavailable_errors: tuple[type[Exception], ...] = (KafkaException, FutureTimeoutError)

    def __init__(self, settings: KafkaSettings, snapshot: Snapshot, definition: StreamDefinition) -> None:
        self._stream_topic = definition.topic.name
        self._settings = settings
        self._snapshot = snapshot

    def impact(self, last_seen: str) -> str:
        return (
            "Accepted members wait in landing and are published once Kafka is back; no data is lost. "
            f"Until then the counts do not change, and the offsets below are as of {last_seen}."
        )

    @contextmanager
    def connect(self) -> Iterator[Sequence[Probe]]:
        # Errors are raised; the library's own log would repeat them for every retry.
        admin = AdminClient(client_options(self._settings) | {"log_level": 0, "reconnect.backoff.max.ms": 1000})
        cache = Cache()
        yield [
            Probe(lambda: self._check(admin, cache)),
            Probe(lambda: self._read_groups(admin, cache), pause=5),
        ]

    def _check(self, admin: AdminClient, cache: Cache) -> Status:
        metadata = admin.list_topics(timeout=TIMEOUT)
        bounds = read_bounds(admin, metadata)
        self._snapshot.bounds = bounds
        now = time.monotonic()
        topics = [self._topic(metadata, name, bounds[name], cache, now) for name in sorted(bounds)]
        users = next((topic for topic in topics if topic["name"] == self._stream_topic), None)
        problems = find_problems(metadata)
        return Status(
            State.DEGRADED if problems else State.UP,
            " ".join(problems) or None,
            "New records have fewer replicas than configured until the broker is back; no records are lost."
            if problems
            else None,
            rate=users["rate"] if users else None,
            facts=[
                ("Brokers", f"{len(metadata.brokers)}"),
                ("Topics", f"{len(topics)}"),
                ("Records", f"{sum(topic['records'] for topic in topics):,}"),
            ],
            detail={
                "cluster": metadata.cluster_id,
                "controller": metadata.controller_id,
                "brokers": [
                    {
                        "id": broker.id,
                        "host": broker.host,
                        "port": broker.port,
                        "is_controller": broker.id == metadata.controller_id,
                        "leader_partitions": sum(
                            partition.leader == broker.id
                            for topic in metadata.topics.values()
                            for partition in topic.partitions.values()
                        ),
                    }
                    for broker in sorted(metadata.brokers.values(), key=lambda candidate: candidate.id)
                ],
                "topics": topics,
                "groups": [*self._queries(bounds.get(self._stream_topic, {}), cache, now), *cache.groups],
            },
        )

    def _topic(self, metadata: ClusterMetadata, name: str, bounds: Bounds, cache: Cache, now: float) -> Json:
        partitions: list[Json] = []
        for number, partition in sorted(metadata.topics[name].partitions.items()):
            begin, end = bounds.get(number, (0, 0))
            partitions.append(
                {
                    "partition": number,
                    "leader": partition.leader,
                    "replicas": list(partition.replicas),
                    "in_sync": list(partition.isrs),
                    "begin": begin,
                    "end": end,
                    "rate": cache.rates.observe((name, number), end, now),
                }
            )
        return {
            "name": name,
            "rate": cache.rates.observe(name, sum(partition["end"] for partition in partitions), now),
            "records": sum(partition["end"] - partition["begin"] for partition in partitions),
            "partitions": partitions,
        }

    def _queries(self, bounds: Bounds, cache: Cache, now: float) -> Iterator[Json]:
        """The stream's query as a consumer; it commits no offsets to Kafka."""
        for query in self._snapshot.progress:
            unread = self._snapshot.count_unread(query, bounds)
            offsets = {partition: end - unread[partition] for partition, (_, end) in bounds.items()}
            yield {
                "name": query,
                "kind": "spark",
                "state": "offsets in Cassandra",
                "lag": sum(unread.values()),
                "rate": cache.rates.observe(("spark", query), sum(offsets.values()), now),
                "partitions": [
                    {"topic": self._stream_topic, "partition": partition, "offset": offsets[partition], "lag": lag}
                    for partition, lag in sorted(unread.items())
                ],
            }

    def _read_groups(self, admin: AdminClient, cache: Cache) -> None:
        listed = admin.list_consumer_groups(request_timeout=TIMEOUT).result(2 * TIMEOUT)
        names = sorted(group.group_id for group in listed.valid or ())
        described = admin.describe_consumer_groups(names, request_timeout=TIMEOUT) if names else {}
        groups = []
        for name in names:
            state = described[name].result(2 * TIMEOUT).state
            futures = admin.list_consumer_group_offsets([ConsumerGroupTopicPartitions(name)], request_timeout=TIMEOUT)
            offsets = futures[name].result(2 * TIMEOUT).topic_partitions or []
            groups.append(self._group(name, state.name.lower().replace("_", " "), offsets, cache))
        cache.groups = groups

    def _group(self, name: str, state: str, committed: Sequence[TopicPartition], cache: Cache) -> Json:
        partitions: list[Json] = []
        for position in sorted(committed, key=lambda candidate: (candidate.topic, candidate.partition)):
            topic, partition, offset = position.topic, position.partition, position.offset
            bounds = self._snapshot.bounds.get(topic, {}).get(partition)
            if bounds is not None and offset >= 0:
                lag = max(0, bounds[1] - offset)
                partitions.append({"topic": topic, "partition": partition, "offset": offset, "lag": lag})
        return {
            "name": name,
            "kind": "group",
            "state": state,
            "lag": sum(partition["lag"] for partition in partitions),
            "rate": cache.rates.observe(
                ("group", name), sum(partition["offset"] for partition in partitions), time.monotonic()
            ),
            "partitions": partitions,
        }


def read_bounds(admin: AdminClient, metadata: ClusterMetadata) -> dict[str, Bounds]:
    """By topic, the oldest and the next offset of every partition that has a leader."""
    partitions = [
        TopicPartition(name, number)
        for name, topic in metadata.topics.items()
        if topic.error is None
        for number, partition in topic.partitions.items()
        if partition.leader >= 0
    ]
    if not partitions:
        return {}
    requests = [
        admin.list_offsets(dict.fromkeys(partitions, spec), request_timeout=TIMEOUT)
        for spec in (OffsetSpec.earliest(), OffsetSpec.latest())  # type: ignore[no-untyped-call]
    ]
    begins, ends = [
        {(key.topic, key.partition): future.result(2 * TIMEOUT).offset for key, future in futures.items()}
        for futures in requests
    ]
    bounds: dict[str, dict[int, tuple[int, int]]] = {}
    for name, number in sorted(begins):
        bounds.setdefault(name, {})[number] = begins[(name, number)], ends[(name, number)]
    return dict(bounds)


def find_problems(metadata: ClusterMetadata) -> list[str]:
    """Problems of a cluster that responds, as messages."""
    problems = []
    if metadata.controller_id < 0:
        problems.append("There is no active controller.")
    partitions = [
        (f"{name}-{number}", partition)
        for name, topic in metadata.topics.items()
        for number, partition in topic.partitions.items()
    ]
    if leaderless := [name for name, partition in partitions if partition.leader < 0]:
        problems.append(f"Partitions without a leader: {', '.join(sorted(leaderless))}.")
    under_replicated = [
        name
        for name, partition in partitions
        if partition.leader >= 0 and len(partition.isrs) < len(partition.replicas)
    ]
    if under_replicated:
        problems.append(f"Under-replicated partitions: {', '.join(sorted(under_replicated))}.")
    return problems
