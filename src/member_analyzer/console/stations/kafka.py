"""Kafka: brokers, topics with their partitions, and who reads them how far."""

import time
from collections.abc import Iterator, Sequence
from concurrent.futures import TimeoutError as FutureTimeoutError
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

from confluent_kafka import ConsumerGroupTopicPartitions, KafkaException, TopicPartition
from confluent_kafka.admin import AdminClient, ClusterMetadata, OffsetSpec

from member_analyzer.console.board import Look, State
from member_analyzer.console.rate import Rates
from member_analyzer.console.sightings import Bounds, Sightings
from member_analyzer.console.watch import Glance
from member_analyzer.kafka.client import client_options
from member_analyzer.kafka.topics import USERS
from member_analyzer.settings import KafkaSettings

TIMEOUT = 5

Json = dict[str, Any]


@dataclass
class Findings:
    """What the slower glances of one connection found, for the fast one to show."""

    rates: Rates = field(default_factory=Rates)
    groups: Sequence[Json] = ()


class KafkaSource:
    """What carries the members from landing to the stream."""

    name = "kafka"
    away: tuple[type[Exception], ...] = (KafkaException, FutureTimeoutError)

    def __init__(self, settings: KafkaSettings, sightings: Sightings) -> None:
        self._settings = settings
        self._sightings = sightings

    def means(self, since: str) -> str:
        """Members wait in landing."""
        return (
            "Accepted members wait in landing and are published once it is back; nothing is lost. "
            f"Until then nobody more is counted, and the offsets here are those of {since}."
        )

    @contextmanager
    def connect(self) -> Iterator[Sequence[Glance]]:
        """Read the topics often and the groups seldom."""
        # What fails is raised; besides, the library prints what it tries again.
        admin = AdminClient(client_options(self._settings) | {"log_level": 0, "reconnect.backoff.max.ms": 1000})
        found = Findings()
        yield [
            Glance(lambda: self._look(admin, found)),
            Glance(lambda: self._look_at_groups(admin, found), rest=5),
        ]

    def _look(self, admin: AdminClient, found: Findings) -> Look:
        metadata = admin.list_topics(timeout=TIMEOUT)
        bounds = read_bounds(admin, metadata)
        self._sightings.bounds = bounds
        now = time.monotonic()
        topics = [self._topic(metadata, name, bounds[name], found, now) for name in sorted(bounds)]
        users = next((topic for topic in topics if topic["name"] == USERS.name), None)
        complaints = complain(metadata)
        return Look(
            State.DEGRADED if complaints else State.UP,
            " ".join(complaints) or None,
            "What is written has fewer copies than it should until the broker is back; nobody is lost or left out."
            if complaints
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
                        "leads": sum(
                            partition.leader == broker.id
                            for topic in metadata.topics.values()
                            for partition in topic.partitions.values()
                        ),
                    }
                    for broker in sorted(metadata.brokers.values(), key=lambda one: one.id)
                ],
                "topics": topics,
                "groups": [*self._queries(bounds.get(USERS.name, {}), found, now), *found.groups],
            },
        )

    def _topic(self, metadata: ClusterMetadata, name: str, bounds: Bounds, found: Findings, now: float) -> Json:
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
                    "rate": found.rates.note((name, number), end, now),
                }
            )
        return {
            "name": name,
            "rate": found.rates.note(name, sum(one["end"] for one in partitions), now),
            "records": sum(one["end"] - one["begin"] for one in partitions),
            "partitions": partitions,
        }

    def _queries(self, bounds: Bounds, found: Findings, now: float) -> Iterator[Json]:
        """The stream's query, which commits nothing to Kafka, in the form of groups."""
        for query in self._sightings.progress:
            unread = self._sightings.count_unread(query, bounds)
            offsets = {partition: end - unread[partition] for partition, (_, end) in bounds.items()}
            yield {
                "name": query,
                "kind": "spark",
                "state": "tells its progress in Cassandra",
                "lag": sum(unread.values()),
                "rate": found.rates.note(("spark", query), sum(offsets.values()), now),
                "partitions": [
                    {"topic": USERS.name, "partition": partition, "offset": offsets[partition], "lag": lag}
                    for partition, lag in sorted(unread.items())
                ],
            }

    def _look_at_groups(self, admin: AdminClient, found: Findings) -> None:
        listed = admin.list_consumer_groups(request_timeout=TIMEOUT).result(2 * TIMEOUT)
        names = sorted(group.group_id for group in listed.valid or ())
        described = admin.describe_consumer_groups(names, request_timeout=TIMEOUT) if names else {}
        groups = []
        for name in names:
            state = described[name].result(2 * TIMEOUT).state
            asked = admin.list_consumer_group_offsets([ConsumerGroupTopicPartitions(name)], request_timeout=TIMEOUT)
            offsets = asked[name].result(2 * TIMEOUT).topic_partitions or []
            groups.append(self._group(name, state.name.lower().replace("_", " "), offsets, found))
        found.groups = groups

    def _group(self, name: str, state: str, committed: Sequence[TopicPartition], found: Findings) -> Json:
        partitions: list[Json] = []
        for one in sorted(committed, key=lambda one: (one.topic, one.partition)):
            bounds = self._sightings.bounds.get(one.topic, {}).get(one.partition)
            if bounds is not None and one.offset >= 0:
                lag = max(0, bounds[1] - one.offset)
                partitions.append({"topic": one.topic, "partition": one.partition, "offset": one.offset, "lag": lag})
        return {
            "name": name,
            "kind": "group",
            "state": state,
            "lag": sum(one["lag"] for one in partitions),
            "rate": found.rates.note(("group", name), sum(one["offset"] for one in partitions), time.monotonic()),
            "partitions": partitions,
        }


def read_bounds(admin: AdminClient, metadata: ClusterMetadata) -> dict[str, Bounds]:
    """The oldest and the next offset of every partition that has a leader, by topic."""
    partitions = [
        TopicPartition(name, number)
        for name, topic in metadata.topics.items()
        if topic.error is None
        for number, partition in topic.partitions.items()
        if partition.leader >= 0
    ]
    if not partitions:
        return {}
    asked = [
        admin.list_offsets(dict.fromkeys(partitions, spec), request_timeout=TIMEOUT)
        for spec in (OffsetSpec.earliest(), OffsetSpec.latest())  # type: ignore[no-untyped-call]
    ]
    begins, ends = [
        {(one.topic, one.partition): future.result(2 * TIMEOUT).offset for one, future in futures.items()}
        for futures in asked
    ]
    bounds: dict[str, dict[int, tuple[int, int]]] = {}
    for name, number in sorted(begins):
        bounds.setdefault(name, {})[number] = begins[(name, number)], ends[(name, number)]
    return dict(bounds)


def complain(metadata: ClusterMetadata) -> list[str]:
    """What is wrong with a cluster that answers, as messages."""
    complaints = []
    if metadata.controller_id < 0:
        complaints.append("No broker is the controller.")
    partitions = [
        (f"{name}-{number}", partition)
        for name, topic in metadata.topics.items()
        for number, partition in topic.partitions.items()
    ]
    if leaderless := [name for name, one in partitions if one.leader < 0]:
        complaints.append(f"Without a leader: {', '.join(sorted(leaderless))}.")
    if behind := [name for name, one in partitions if one.leader >= 0 and len(one.isrs) < len(one.replicas)]:
        complaints.append(f"Not all copies are in sync: {', '.join(sorted(behind))}.")
    return complaints
