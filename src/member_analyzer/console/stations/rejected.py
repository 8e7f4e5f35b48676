"""The rejected: follows the topic `users_rejected`, and notes what was sent again."""

import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta

import psycopg
from confluent_kafka import KafkaException

from member_analyzer.console.board import Look, State
from member_analyzer.console.rate import Rate
from member_analyzer.console.rejected_index import RejectedIndex
from member_analyzer.console.stations.landing import connect_patiently
from member_analyzer.console.watch import Glance
from member_analyzer.deadletters.rejected import RejectedRecord, read_message
from member_analyzer.kafka.reader import TopicReader, open_topic_reader
from member_analyzer.kafka.topics import USERS_REJECTED, TopicError
from member_analyzer.landing.connection import Connection
from member_analyzer.landing.counters import count_refused
from member_analyzer.landing.dead_letters import read_replays
from member_analyzer.settings import KafkaSettings, LandingSettings

TIMEOUT = 5
RECORDS_OF_A_LOOK = 20_000
SECONDS_OF_A_LOOK = 5
# A replay is dated when it begins, and seen when it is committed.
LONGEST_REPLAY = timedelta(minutes=30)


class RejectedSource:
    """What the stream, or landing, did not take."""

    name = "rejected"
    away: tuple[type[Exception], ...] = (TopicError, KafkaException, psycopg.Error)

    def __init__(self, kafka: KafkaSettings, landing: LandingSettings, index: RejectedIndex) -> None:
        self._kafka = kafka
        self._landing = landing
        self._positions: dict[int, int] = {}
        self._replays_since = datetime.min.replace(tzinfo=UTC)
        self.index = index

    def means(self, since: str) -> str:
        """The list is old."""
        return (
            f"The list is that of {since}, and nothing can be sent again until Kafka and PostgreSQL are both back. "
            "What was rejected is not lost: it is kept for its retention."
        )

    @contextmanager
    def connect(self) -> Iterator[Sequence[Glance]]:
        """One look."""
        rate = Rate()
        with connect_patiently(self._landing) as landing, open_topic_reader(self._kafka, timeout=TIMEOUT) as topics:
            yield [Glance(lambda: self._look(topics, landing, rate))]

    def _look(self, topics: TopicReader, landing: Connection, rate: Rate) -> Look:
        unread = self._follow(topics)
        self._note_replays(landing)
        refused = count_refused(landing)
        rate.note(sum(self._positions.values()), time.monotonic())
        counts = self.index.count()
        waiting = sum(one for one, _ in counts.values())
        replayed = sum(one for _, one in counts.values())
        return Look(
            State.DEGRADED if unread else State.UP,
            f"The console is still reading: {unread:,} records are to come." if unread else None,
            "The list is not complete yet." if unread else None,
            rate=rate.per_second,
            facts=[
                ("Waiting", f"{waiting:,}"),
                ("Sent again", f"{replayed:,}"),
                ("Rejected before landing", f"{sum(refused.values()):,}"),
            ],
            detail={
                "by_reason": [
                    {
                        "reason": reason,
                        "waiting": counts.get(reason, (0, 0))[0],
                        "replayed": counts.get(reason, (0, 0))[1],
                        "before_landing": refused.get(reason, 0),
                    }
                    for reason in sorted(counts.keys() | refused.keys())
                ],
                "waiting": waiting,
                "replayed": replayed,
                "before_landing": sum(refused.values()),
            },
        )

    def _follow(self, topics: TopicReader) -> int:
        """Read what is new, up to some number of records; gives how many are left."""
        bounds = topics.bounds(USERS_REJECTED)
        if any(self._positions.get(partition, 0) > end for partition, (_, end) in bounds.items()):
            # It was made anew.
            self.index.clear()
            self._positions.clear()
            self._replays_since = datetime.min.replace(tzinfo=UTC)
        begins = {partition: max(begin, self._positions.get(partition, 0)) for partition, (begin, _) in bounds.items()}
        most = RECORDS_OF_A_LOOK // max(1, len(bounds))
        ranges = {
            partition: range(begins[partition], min(end, begins[partition] + most))
            for partition, (_, end) in bounds.items()
        }
        self._positions |= begins
        self.index.forget_before({partition: begin for partition, (begin, _) in bounds.items()})
        read = dict[int, int]()

        def take() -> Iterator[tuple[RejectedRecord, int, int]]:
            for message in topics.read_ranges(USERS_REJECTED, ranges, seconds=SECONDS_OF_A_LOOK):
                partition, offset = message.partition() or 0, message.offset() or 0
                yield read_message(message), partition, offset
                read[partition] = offset + 1

        # One by one: what a million records hold would not fit in memory.
        self.index.add(take())
        self._positions |= read
        return sum(end - self._positions[partition] for partition, (_, end) in bounds.items())

    def _note_replays(self, landing: Connection) -> None:
        replays = read_replays(landing, self._replays_since)
        self.index.mark_replayed(replays)
        if replays:
            self._replays_since = max(self._replays_since, max(replays.values()) - LONGEST_REPLAY)
