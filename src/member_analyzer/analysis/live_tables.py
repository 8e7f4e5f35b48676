"""Keeps the analysis tables live: applies the changes of each batch, and rolls over to the next day.

The journal of a batch holds the absolute values of all changed counts.
"""

import json
import zlib
from collections import deque
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import date
from typing import Any

import structlog

from member_analyzer.analysis.changes import Changes
from member_analyzer.analysis.counts import Count, Distribution, Tally
from member_analyzer.analysis.findings import Repair
from member_analyzer.analysis.live_progress import LiveProgress
from member_analyzer.analysis.tables import AnalysisTables
from member_analyzer.records.offsets import Offsets

log = structlog.get_logger(__name__)

# A repair from a recount that took longer than this many batches is dropped.
BATCHES_REMEMBERED = 2000


@dataclass(frozen=True)
class Journal:
    """Absolute values to write to the tables of a day."""

    day: date
    total: int
    counts: list[Count]

    def encode(self) -> bytes:
        """Encode the journal as compressed JSON."""
        counts = [[count.dimension, list(count.bucket), count.records] for count in self.counts]
        return zlib.compress(json.dumps([self.day.isoformat(), self.total, counts], ensure_ascii=False).encode(), 1)

    @classmethod
    def decode(cls, encoded: bytes) -> "Journal":
        """Decode the result of `encode`."""
        day, total, counts = json.loads(zlib.decompress(encoded))
        return cls(date.fromisoformat(day), total, [Count(name, tuple(bucket), n) for name, bucket, n in counts])


class LiveTables(LiveProgress):
    """The analysis tables of one stream, with all counts in memory. There must be a single writer.

    The partitions of a new day start with all current counts and then receive only changes, so that the newest day is
    always complete and previous days keep their final state.
    """

    def __init__(self, tables: AnalysisTables) -> None:
        """Load all counts from Cassandra, and replay the journal if it was not fully applied."""
        progress = tables.read_progress()
        super().__init__(tables, progress)
        self._tables = tables
        self._day = progress.analysis_date
        self._tally = tables.read_tally(self._day) if self._day else Tally(tables.definition.dimensions)
        self._recent: deque[tuple[int, Mapping[Any, int], int]] = deque(maxlen=BATCHES_REMEMBERED)
        if progress.number != progress.applied:
            self._finish(Journal.decode(tables.read_journal()))

    def count(self, changes: Changes, positions: Offsets, today: date) -> None:
        """Count a batch up to these offsets. Raises ForeignProgressError before it changes anything.

        Afterwards the caller deletes erased rows and calls `finish_rows`.
        """
        counted = {**self.counted, **positions}
        if not changes.buckets and not changes.erased and self._day in (None, self._not_before(today)):
            # Nothing to count: `finish_rows` writes the progress.
            self.counted = counted
            return
        counts = []
        for (dimension, bucket), moved in changes.buckets.items():
            if moved:
                counts.append(Count(dimension, bucket, self._tally.records(dimension, bucket) + moved))
        self._erasures += len(changes.erased)
        self._write(Journal(self._not_before(today), self._tally.total + changes.total, counts), counted)
        self._recent.append((self._number, changes.buckets, changes.total))

    def roll_over(self, today: date) -> None:
        """Start a new day without new records; does nothing if the day is already current."""
        today = self._not_before(today)
        if self._day is None or self._day == today or self.is_unfinished:
            return
        before = self._day
        self._write(Journal(today, self._tally.total, []), self.counted)
        log.info("analysis.rolled_over", before=before.isoformat(), today=today.isoformat())

    def repair(self, repairs: Iterable[Repair]) -> None:
        """Apply repairs from recounts to the counts in memory and to the tables.

        A repair is relative to a past write; later changes are added. If they are no longer known, or the repair is for
        another day, it is dropped: the next recount finds the difference again.
        """
        for repair in repairs:
            if self.is_unfinished:
                return
            moved, total = self._moved_since(repair.number)
            if repair.day == self._day and moved is not None:
                counts = [
                    Count(one.dimension, one.bucket, one.records + moved.get((one.dimension, one.bucket), 0))
                    for one in repair.counts
                ]
                journal = Journal(repair.day, repair.total + total, counts)
                self._write(journal, self.counted)
                self._write_all(repair.day)
                log.warning("analysis.repaired", day=repair.day.isoformat(), buckets=len(counts), total=journal.total)
            else:
                log.warning("analysis.repair_dropped", day=repair.day.isoformat(), cause="the repair is too old")
            self._tables.delete_repair(repair)

    def _moved_since(self, number: int) -> tuple[Mapping[Any, int] | None, int]:
        """Return the deltas of the buckets and of the total since a write; None if they are no longer known."""
        later = [(buckets, total) for one, buckets, total in self._recent if one > number]
        remembered_from = self._number - len(self._recent)
        if number > self._number or number < remembered_from:
            return None, 0
        moved: dict[Any, int] = {}
        for buckets, _ in later:
            for bucket, records in buckets.items():
                moved[bucket] = moved.get(bucket, 0) + records
        return moved, sum(total for _, total in later)

    def _not_before(self, today: date) -> date:
        """Return the later of today and the current day: a clock that steps back must not reopen a day."""
        return today if self._day is None else max(today, self._day)

    def _write(self, journal: Journal, counted: Mapping[int, int]) -> None:
        self._begin_change(journal.encode(), counted)
        self._finish(journal)

    def _finish(self, journal: Journal) -> None:
        """Apply a journal to the counts in memory and to the tables."""
        self._tally.total = journal.total
        self._tally.set_counts(journal.counts)
        self._tables.write_folded(journal.counts)
        if journal.day == self._day:
            for table, changed in self._tally.changed_distributions(journal.counts, journal.day):
                self._tables.write_distribution(table, journal.day, changed)
        else:
            self._write_all(journal.day)
        self._tables.end_counts(self._number, journal.day)
        self._day = journal.day

    def _write_all(self, day: date) -> None:
        for table in self._tables.definition.tables:
            distribution = self._tally.distribution(table, day)
            strays = self._tables.read_distribution(table, day).buckets.keys() - distribution.buckets.keys()
            self._tables.write_distribution(
                table, day, Distribution({**dict.fromkeys(strays, 0), **distribution.buckets}, distribution.total)
            )
