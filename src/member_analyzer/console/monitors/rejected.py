"""Rejected records: indexes the dead letter topic, and marks the replayed records."""

import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta

import psycopg
from confluent_kafka import KafkaException

from member_analyzer.console.monitoring import Probe
from member_analyzer.console.monitors.landing import connect_with_timeout
from member_analyzer.console.rate import Rate
from member_analyzer.console.rejected_index import RejectedIndex
from member_analyzer.console.status import State, Status
from member_analyzer.deadletters.rejected import RejectedRecord, read_message
from member_analyzer.kafka.reader import TopicReader, open_topic_reader
from member_analyzer.kafka.topics import TopicError
from member_analyzer.landing.connection import Connection
from member_analyzer.landing.counters import count_rejected
from member_analyzer.landing.dead_letters import read_replays
from member_analyzer.settings import KafkaSettings, LandingSettings
from member_analyzer.streams.definition import StreamDefinition

TIMEOUT = 5
RECORDS_PER_PROBE = 20_000
READ_TIMEOUT = 5
# A replay has the time at which its transaction began, but is visible only after the commit.
MAX_REPLAY_DURATION = timedelta(minutes=30)


class RejectedMonitor:
    """Maintains the index of the rejected records."""

    name = "rejected"
    unavailable_errors: tuple[type[Exception], ...] = (TopicError, KafkaException, psycopg.Error)

    def __init__(
        self, kafka: KafkaSettings, landing: LandingSettings, index: RejectedIndex, definition: StreamDefinition
    ) -> None:
        self._definition = definition
        self._kafka = kafka
        self._landing = landing
        self._positions: dict[int, int] = {}
        self._replays_since = datetime.min.replace(tzinfo=UTC)
        self.index = index

    def impact(self, last_seen: str) -> str:
        return (
            f"The list is as of {last_seen}, and nothing can be replayed until both Kafka and PostgreSQL are back. "
            "Rejected records are not lost: they are kept until their retention ends."
        )

    @contextmanager
    def connect(self) -> Iterator[Sequence[Probe]]:
        rate = Rate()
        with (
            connect_with_timeout(self._landing) as landing,
            open_topic_reader(self._kafka, timeout=TIMEOUT) as topics,
        ):
            yield [Probe(lambda: self._check(topics, landing, rate))]

    def _check(self, topics: TopicReader, landing: Connection, rate: Rate) -> Status:
        unread = self._read_new_records(topics)
        self._mark_replayed(landing)
        before_landing = count_rejected(landing, self._definition)
        rate.observe(sum(self._positions.values()), time.monotonic())
        counts = self.index.count()
        total_waiting = sum(waiting for waiting, _ in counts.values())
        total_replayed = sum(replayed for _, replayed in counts.values())
        return Status(
            State.DEGRADED if unread else State.UP,
            f"The console is still reading the topic: {unread:,} records left." if unread else None,
            "The list is incomplete." if unread else None,
            rate=rate.per_second,
            facts=[
                ("Waiting", f"{total_waiting:,}"),
                ("Replayed", f"{total_replayed:,}"),
                ("Rejected before landing", f"{sum(before_landing.values()):,}"),
            ],
            detail={
                "by_reason": [
                    {
                        "reason": reason,
                        "waiting": counts.get(reason, (0, 0))[0],
                        "replayed": counts.get(reason, (0, 0))[1],
                        "before_landing": before_landing.get(reason, 0),
                    }
                    for reason in sorted(counts.keys() | before_landing.keys())
                ],
                "waiting": total_waiting,
                "replayed": total_replayed,
                "before_landing": sum(before_landing.values()),
            },
        )

    def _read_new_records(self, topics: TopicReader) -> int:
        """Add up to RECORDS_PER_PROBE new records to the index; returns the number of unread ones."""
        bounds = topics.bounds(self._definition.dead_letter_topic)
        if any(self._positions.get(partition, 0) > end for partition, (_, end) in bounds.items()):
            # The topic was recreated.
            self.index.clear()
            self._positions.clear()
            self._replays_since = datetime.min.replace(tzinfo=UTC)
        begins = {partition: max(begin, self._positions.get(partition, 0)) for partition, (begin, _) in bounds.items()}
        limit = RECORDS_PER_PROBE // max(1, len(bounds))
        ranges = {
            partition: range(begins[partition], min(end, begins[partition] + limit))
            for partition, (_, end) in bounds.items()
        }
        self._positions |= begins
        self.index.delete_before({partition: begin for partition, (begin, _) in bounds.items()})
        positions = dict[int, int]()

        def read() -> Iterator[tuple[RejectedRecord, int, int]]:
            for message in topics.read_ranges(self._definition.dead_letter_topic, ranges, seconds=READ_TIMEOUT):
                partition, offset = message.partition() or 0, message.offset() or 0
                yield read_message(message, self._definition), partition, offset
                positions[partition] = offset + 1

        # A generator: the contents of all records would not fit in memory.
        self.index.add(read())
        self._positions |= positions
        return sum(end - self._positions[partition] for partition, (_, end) in bounds.items())

    def _mark_replayed(self, landing: Connection) -> None:
        replays = read_replays(landing, self._replays_since)
        self.index.mark_replayed(replays)
        if replays:
            self._replays_since = max(self._replays_since, max(replays.values()) - MAX_REPLAY_DURATION)
