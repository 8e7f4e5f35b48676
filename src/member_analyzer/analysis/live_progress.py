"""The progress of a stream whose counts use a write-ahead journal.

All new absolute values of a change are written to one cell of the progress before any table. After a crash the journal
is applied again, so that a repeated batch is counted once. There must be a single writer.
"""

from collections.abc import Mapping
from threading import RLock

from member_analyzer.analysis.progress import Progress
from member_analyzer.analysis.progress_tables import ProgressTables
from member_analyzer.records.offsets import Offsets


class ForeignProgressError(RuntimeError):
    """Raised when the stream's progress was changed by another writer, or by a restore of Cassandra."""


class LiveProgress:
    """Up to which offsets records are counted, and up to which their rows are written as well."""

    def __init__(self, tables: ProgressTables, progress: Progress) -> None:
        self.lock = RLock()
        self.written: dict[int, int] = dict(progress.written)
        self.counted: dict[int, int] = dict(progress.writing)
        self._progress_tables = tables
        self._number = progress.number
        self._erasures = progress.erasures

    @property
    def is_unfinished(self) -> bool:
        """Whether a counted batch is unfinished and must be repeated before the next one."""
        return self.written != self.counted

    def finish_rows(self, positions: Offsets) -> None:
        """Record that the rows up to these offsets are written."""
        self.written = {**self.written, **positions}
        self.counted = {
            partition: max(offset, self.counted.get(partition, -1)) for partition, offset in self.written.items()
        }
        self._progress_tables.end_rows(self.written, self.counted)

    def _begin_change(self, journal: bytes, counted: Mapping[int, int]) -> None:
        """Write the journal of a change that counts records up to these offsets. Raises ForeignProgressError."""
        if (found := self._progress_tables.read_number()) != self._number:
            raise ForeignProgressError(
                f"The progress of the stream in Cassandra is at write {found}, but this process wrote {self._number}."
            )
        self._number += 1
        self._progress_tables.begin_counts(self._number, counted, journal, self._erasures)
        self.counted = dict(counted)
