"""Keeps the analysis tables live: applies what a batch changes to every count, and rolls over to the next day.

The counts are written ahead: all new absolute values of a batch go into one cell of the stream's progress, its journal,
before the first of them goes into a table. A program that is killed in between finds the journal and writes the same
values again, so that a batch is counted once although it is repeated.
"""

import json
import zlib
from collections import deque
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import date
from threading import RLock
from typing import Any

import structlog

from member_analyzer.analysis.changes import Changes
from member_analyzer.analysis.counts import Count, Distribution, Tally
from member_analyzer.analysis.findings import Repair
from member_analyzer.analysis.tables import AnalysisTables
from member_analyzer.records.offsets import Offsets

log = structlog.get_logger(__name__)

# A recount that takes longer than so many batches has to look again before it can repair.
BATCHES_REMEMBERED = 2000


class ForeignProgressError(RuntimeError):
    """Raised when somebody else moved the stream's progress: another stream, or a restored Cassandra."""


@dataclass(frozen=True)
class Journal:
    """Absolute values that are to be in the tables of a day; all buckets of the tables where the day is a new one."""

    day: date
    total: int
    counts: list[Count]

    def encode(self) -> bytes:
        """The journal as compressed JSON."""
        counts = [[count.dimension, list(count.bucket), count.records] for count in self.counts]
        return zlib.compress(json.dumps([self.day.isoformat(), self.total, counts], ensure_ascii=False).encode(), 1)

    @classmethod
    def decode(cls, encoded: bytes) -> "Journal":
        """The journal that `encode` gave."""
        day, total, counts = json.loads(zlib.decompress(encoded))
        return cls(date.fromisoformat(day), total, [Count(name, tuple(bucket), n) for name, bucket, n in counts])


class LiveTables:
    """The analysis tables of one stream, with every count in memory; one program at a time writes them.

    A new day's partitions begin as all of what is known, and get only what changes from then on, so that the newest
    day is always complete and the days before stay as they ended.
    """

    def __init__(self, tables: AnalysisTables) -> None:
        """Load every count from Cassandra, and write again what an earlier program may have left half-written."""
        self._tables = tables
        self.lock = RLock()
        progress = tables.read_progress()
        self._day = progress.analysis_date
        self._number = progress.number
        self._erasures = progress.erasures
        self.written: dict[int, int] = dict(progress.written)
        self.counted: dict[int, int] = dict(progress.writing)
        self._tally = tables.read_tally(self._day) if self._day else Tally(tables.definition.dimensions)
        self._recent: deque[tuple[int, Mapping[Any, int], int]] = deque(maxlen=BATCHES_REMEMBERED)
        if progress.number != progress.applied:
            self._finish(Journal.decode(tables.read_journal()))

    @property
    def is_unfinished(self) -> bool:
        """Whether a batch is counted that is not finished: it has to be repeated before another one."""
        return self.written != self.counted

    def count(self, changes: Changes, positions: Offsets, today: date) -> None:
        """Count a batch once and for all, up to these offsets. Raises ForeignProgressError before it changes anything.

        What is to be erased is to be deleted after it, and then `finish_rows` called.
        """
        counted = {**self.counted, **positions}
        if not changes.buckets and not changes.erased and self._day in (None, self._not_before(today)):
            # Nothing to count: the progress is written once, at the end.
            self.counted = counted
            return
        counts = []
        for (dimension, bucket), moved in changes.buckets.items():
            if moved:
                counts.append(Count(dimension, bucket, self._tally.records(dimension, bucket) + moved))
        self._erasures += len(changes.erased)
        self._write(Journal(self._not_before(today), self._tally.total + changes.total, counts), counted)
        self._recent.append((self._number, changes.buckets, changes.total))

    def finish_rows(self, positions: Offsets) -> None:
        """Note that the rows up to these offsets are written as well."""
        self.written = {**self.written, **positions}
        self.counted = {
            partition: max(offset, self.counted.get(partition, -1)) for partition, offset in self.written.items()
        }
        self._tables.end_rows(self.written, self.counted)

    def roll_over(self, today: date) -> None:
        """Begin a day on which no member has arrived yet; does nothing on the day that is written already."""
        today = self._not_before(today)
        if self._day is None or self._day == today or self.is_unfinished:
            return
        before = self._day
        self._write(Journal(today, self._tally.total, []), self.counted)
        log.info("analysis.rolled_over", before=before.isoformat(), today=today.isoformat())

    def repair(self, repairs: Iterable[Repair]) -> None:
        """Put right what recounts found wrong, here and in the tables, so that the next member does not undo it.

        A recount holds for the moment at which it looked; what was counted since is added. One that is too old to know
        that, or of another day, is dropped: the next recount finds the difference again.
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
                log.warning("analysis.repair_dropped", day=repair.day.isoformat(), cause="it is too old")
            self._tables.delete_repair(repair)

    def _moved_since(self, number: int) -> tuple[Mapping[Any, int] | None, int]:
        """By how much every bucket, and the total, moved since a write; None where that is not known any more."""
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
        """A clock that steps back over midnight does not open a day that was closed."""
        return today if self._day is None else max(today, self._day)

    def _write(self, journal: Journal, counted: Mapping[int, int]) -> None:
        if (found := self._tables.read_progress().number) != self._number:
            raise ForeignProgressError(
                f"The progress of the stream in Cassandra is at write {found}, not {self._number}, this stream's last."
            )
        self._number += 1
        self._tables.begin_counts(self._number, counted, journal.encode(), self._erasures)
        self.counted = dict(counted)
        self._finish(journal)

    def _finish(self, journal: Journal) -> None:
        """Take over a journal's values, and write them to the tables."""
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
