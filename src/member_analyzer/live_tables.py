"""Keeps the analysis tables live: takes what the stream counted, writes what changed, and turns the day."""

from collections.abc import Sequence
from datetime import date
from threading import Lock

import structlog

from member_analyzer.analysis import TABLE_NAMES, Count, Tally
from member_analyzer.member import BIRTHS
from member_analyzer.tables import ANALYSIS_QUERY, AnalysisTables, Positions

log = structlog.get_logger(__name__)


class LiveTables:
    """The analysis tables of one stream, with every count in memory; one program at a time writes them.

    A new day's partitions begin as all of what is known, and get only what changes from then on, so that the newest
    day is always complete and the days before stay as they ended. What is known is what the tables of the day before
    hold, so that what the recount repaired stays repaired.
    """

    def __init__(self, tables: AnalysisTables) -> None:
        self._tables = tables
        self._lock = Lock()
        progress = tables.read_progress(ANALYSIS_QUERY)
        self._day = progress.analysis_date
        self._positions: dict[int, int] = dict(progress.written)
        # Whoever wrote before stopped in the midst of it; the stream gives the same counts again.
        self._is_unfinished = progress.written != progress.writing
        self._tally = tables.read_tally(self._day) if self._day else Tally()

    def take(self, total: int, counts: Sequence[Count], positions: Positions, today: date) -> None:
        """Write absolute counts that changed, read up to these offsets; repeating it changes nothing."""
        with self._lock:
            today = self._not_before(today)
            was_unfinished = self._is_unfinished
            self._positions.update(positions)
            self._tables.begin_writing(ANALYSIS_QUERY, self._positions)
            self._is_unfinished = True
            if self._day not in (None, today) and not was_unfinished:
                self._tally = self._tables.read_tally(self._day)
            self._tally.set_total(total)
            self._tally.set_counts(counts)
            self._tables.write_births(
                {date.fromisoformat(count.bucket[0]): count.members for count in counts if count.dimension == BIRTHS}
            )
            if self._day is not None and (today == self._day or was_unfinished):
                for table, changed in self._tally.changed_distributions(counts, self._day):
                    self._tables.write_distribution(table, self._day, changed)
            if today != self._day:
                self._write_all(today)
            self._tables.end_writing(ANALYSIS_QUERY, self._positions, today)
            self._is_unfinished = False
            self._day = today

    def turn_day(self, today: date) -> None:
        """Begin a day on which no member has arrived yet; does nothing on the day that is written already."""
        with self._lock:
            today = self._not_before(today)
            if self._day is None or self._day == today or self._is_unfinished:
                return
            self._tally = self._tables.read_tally(self._day)
            self._write_all(today)
            self._tables.end_writing(ANALYSIS_QUERY, self._positions, today)
            log.info("analysis.day_turned", before=self._day.isoformat(), today=today.isoformat())
            self._day = today

    def _not_before(self, today: date) -> date:
        """A clock that steps back over midnight does not open a day that was closed."""
        return today if self._day is None else max(today, self._day)

    def _write_all(self, day: date) -> None:
        for table in TABLE_NAMES:
            self._tables.write_distribution(table, day, self._tally.distribution(table, day))
