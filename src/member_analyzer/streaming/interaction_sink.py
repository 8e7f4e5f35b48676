"""Writes the interactions: timelines, sessions, counts and dead letters.

The deduplication state of an id is its row in Cassandra, and the state of a visitor is another one. A batch that is
repeated after a failure writes the same rows again, and is counted once.
"""

import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import UTC, datetime

import structlog
from pyspark.sql import Row
from pyspark.sql import functions as F

from member_analyzer.analysis.interactions.changes import Record, Scope, scope_of
from member_analyzer.analysis.interactions.live_interactions import JournalTooLargeError, LiveInteractions
from member_analyzer.analysis.interactions.tables import InteractionTables, StoredId, moment
from member_analyzer.analysis.progress import count_unread
from member_analyzer.kafka.reader import TopicReader
from member_analyzer.kafka.topics import TopicError
from member_analyzer.records.rejection import Reason, Rejection
from member_analyzer.streaming.batch import ROW_COLUMNS, Accepted, Batch, Round
from member_analyzer.streaming.dead_letters import DeadLetterProducer, SourceRecord
from member_analyzer.streaming.sink import Part
from member_analyzer.streams.definition import TopicDefinition
from member_analyzer.streams.interactions.activity import DayKey, Key
from member_analyzer.streams.interactions.visits import day_of

log = structlog.get_logger(__name__)

# Larger values are read one by one, because a batch of them would not fit into memory.
LARGEST_VALUE_OF_A_BATCH = 100_000
# The journal of so many interactions of as many visitors is smaller than Cassandra's limit for a mutation.
INTERACTIONS_OF_A_CHANGE = 5000
LARGEST_BATCH = 20_000
SECONDS_BETWEEN_LAGS = 2

CONFLICTING = Rejection(
    Reason.CONFLICTING_ID, "An interaction with this message id and other content was accepted before."
)


class InteractionSink:
    """The sink of the interactions."""

    live: LiveInteractions

    def __init__(
        self,
        definition: TopicDefinition,
        tables: InteractionTables,
        topics: TopicReader,
        dead_letters: DeadLetterProducer,
    ) -> None:
        self.tables = tables
        self._definition = definition
        self._topics = topics
        self._dead_letters = dead_letters
        self._round: Round
        self._lag_at = 0.0
        # Kafka partition -> when its newest counted interaction was written to the topic, in milliseconds since 1970.
        self._newest: dict[int, int] = {}

    @property
    def largest_batch(self) -> int:
        """The largest number of offsets of a batch, which the driver decodes."""
        return LARGEST_BATCH

    @property
    def remedy(self) -> str:
        """What to do if the tables and the topic are not consistent."""
        return (
            f"count the interactions in the topic again with `member-analyzer rebuild --stream {self._definition.name}`"
        )

    def load(self) -> None:
        """Read the progress."""
        self.live = LiveInteractions(self.tables)

    def begin_round(self, begun: Round) -> None:
        """Use these schemas and this generation."""
        self._round = begun

    def maintain(self) -> None:
        """Erase what erased members did, count new members by their registration, and write the lag."""
        self.live.apply_journal()
        self.live.erase_members()
        self.live.join_members()
        if time.monotonic() >= self._lag_at + SECONDS_BETWEEN_LAGS:
            self._lag_at = time.monotonic()
            self._write_lag()

    def write(self, part: Part) -> None:
        """Write dead letters and rows, then counts, in changes of a limited size."""
        self.live.apply_journal()
        batch, conflicts = self._read(part)
        if batch.unknown:
            self._round.record_unknown(batch.unknown)
        self._dead_letters.produce(batch.rejected)
        self._dead_letters.produce(conflicts)
        self._write_accepted(batch.accepted, part.positions, INTERACTIONS_OF_A_CHANGE)

    def _write_accepted(self, accepted: Sequence[Accepted], positions: Mapping[int, int], most: int) -> None:
        """Write interactions in changes of at most this size, or of less if their journal is too large."""
        for part, ends in divide(accepted, positions, most):
            try:
                self._write_change(part, ends)
            except JournalTooLargeError:
                if len(part) == 1:
                    raise
                self._write_accepted(part, ends, len(part) // 2)

    def _write_change(self, accepted: Sequence[Accepted], positions: Mapping[int, int]) -> None:
        records = [one.record for one in accepted]
        erased_ids = self.tables.find_erased({record["member_id"] for record in records if record["member_id"]})
        kept = [one for one in accepted if one.record["member_id"] not in erased_ids]
        erased = [_day_of(record) for record in records if record["member_id"] in erased_ids]
        self.tables.write_ids(kept)
        self.tables.write_timeline(one.record for one in kept)
        # After the rows, so that an interaction whose rows cannot be written is not counted.
        if any(self.live.counted.get(partition, -1) < offset for partition, offset in positions.items()):
            late = self.live.count([one.record for one in kept], erased, positions)
            self.tables.write_timeline(late, are_late=True)
        self.live.finish_rows(positions)

    def _read(self, part: Part) -> tuple[Batch, list[tuple[SourceRecord, Rejection]]]:
        """Decode a part; return its new interactions in the order of the topic, and conflicting ones."""
        large = F.octet_length("value") > LARGEST_VALUE_OF_A_BATCH
        others = [name for name in ROW_COLUMNS if name != "value"]
        value = F.when(~large, F.col("value")).alias("value")
        batch = Batch()
        is_large, written_at = F.coalesce(large, F.lit(False)), F.unix_millis("timestamp")
        rows = part.rows.select(*others, value, is_large.alias("is_large"), written_at.alias("written_at"))
        for row in rows.collect():
            self._newest[row["partition"]] = row["written_at"]
            found = _read_row(part, row["partition"], row["offset"]) if row["is_large"] else row
            batch.add(found, self._definition.record_type, self._round.decoder)
        begin = self._round.generation.begin
        accepted = sorted(
            (one for one in batch.accepted if one.offset >= begin.get(one.partition, 0)),
            key=lambda one: (one.record["received_at"], one.partition, one.offset),
        )
        stored = self.tables.find_ids({_id_of(one.record) for one in accepted})
        batch.accepted, conflicts = self._without_duplicates(accepted, stored)
        return batch, [
            (SourceRecord.of_row(_read_row(part, one.partition, one.offset)), CONFLICTING) for one in conflicts
        ]

    def _without_duplicates(
        self, accepted: Sequence[Accepted], stored: Mapping[tuple[str, str], StoredId]
    ) -> tuple[list[Accepted], list[Accepted]]:
        """Return the first interaction of each new id, and those that have the id of another one."""
        contents = {
            name: one.content
            for name, one in stored.items()
            # Others are left from a failed attempt at this batch.
            if one.offset <= self.live.written.get(one.partition, -1)
        }
        first, conflicts = [], []
        for one in accepted:
            name, content = _id_of(one.record), one.record["content"]
            if name not in contents:
                contents[name] = content
                first.append(one)
            elif None not in (content, contents[name]) and content != contents[name]:
                conflicts.append(one)
        return first, conflicts

    def _write_lag(self) -> None:
        try:
            bounds = self._topics.bounds(self._definition.topic)
        except TopicError as error:
            # Spark waits for Kafka as well. The lag of before remains.
            log.warning("stream.lag_unknown", topic=self._definition.topic.name, cause=str(error))
            return
        unread = count_unread(bounds, self.live.written, self._round.generation.look_from)
        # What was written to a partition after its newest counted interaction is not counted.
        behind = [self._newest.get(partition) for partition, records in unread.items() if records]
        known = [one for one in behind if one is not None]
        if not behind:
            self.tables.write_lag(datetime.now(UTC), 0)
        elif len(known) == len(behind):
            self.tables.write_lag(moment(min(known)), sum(unread.values()))


def divide(
    accepted: Iterable[Accepted], ends: Mapping[int, int], most: int
) -> Iterator[tuple[list[Accepted], Mapping[int, int]]]:
    """Divide interactions into changes of at most this size, each with the last offsets up to which it is complete."""
    ordered = sorted(accepted, key=lambda one: (one.partition, one.offset))
    for begin in range(0, len(ordered) or 1, most):
        part = ordered[begin : begin + most]
        if begin + most >= len(ordered):
            yield part, ends
        else:
            last = part[-1]
            done = {partition: end for partition, end in ends.items() if partition < last.partition}
            yield part, {**done, last.partition: last.offset}


def _read_row(part: Part, partition: int, offset: int) -> Row:
    here = (F.col("partition") == partition) & (F.col("offset") == offset)
    (row,) = part.rows.filter(here).select(*ROW_COLUMNS).collect()
    return row


def _id_of(record: Record) -> tuple[str, str]:
    return record["source"], record["message_id"]


def _day_of(record: Record) -> tuple[Scope, Key]:
    return scope_of(record), DayKey(day_of(record))
