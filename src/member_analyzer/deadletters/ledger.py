"""An index of dead letters by origin, without their contents, for any number of records in bounded memory.

It is a private SQLite database in a temporary file.
"""

import sqlite3
from collections import Counter
from collections.abc import Iterable, Iterator
from itertools import islice
from types import TracebackType
from typing import NamedTuple, Self

from member_analyzer.deadletters.rejected import RejectedRecord

ROWS_AT_ONCE = 5000
# Offsets per query: lookups are in the order of offsets.
WINDOW = 10_000

TABLES = """
PRAGMA journal_mode = OFF;
PRAGMA synchronous = OFF;
PRAGMA cache_size = -16384;
CREATE TABLE records (
    topic TEXT NOT NULL,
    partition INTEGER NOT NULL,
    offset INTEGER NOT NULL,
    reason TEXT NOT NULL,
    replayed_from TEXT,
    is_replayed INTEGER NOT NULL DEFAULT 0,
    PRIMARY KEY (topic, partition, offset)
) WITHOUT ROWID;
CREATE INDEX by_replayed_from ON records (replayed_from) WHERE replayed_from IS NOT NULL;
"""

# Of several attempts at the same replay, the first counts.
COUNTS = """
SELECT reason, count(*), sum(is_replayed) FROM records
WHERE replayed_from IS NULL OR NOT EXISTS (
    SELECT 1 FROM records AS earlier WHERE earlier.replayed_from = records.replayed_from
    AND (earlier.topic, earlier.partition, earlier.offset) < (records.topic, records.partition, records.offset)
)
GROUP BY reason
"""


class Rejected(NamedTuple):
    """Why a record was rejected, and whether it was replayed."""

    reason: str
    is_replayed: bool


class RejectedLedger:
    """The dead letters at one time."""

    def __init__(self) -> None:
        # An empty name: SQLite deletes the file when the connection closes.
        self._database = sqlite3.connect("", isolation_level=None)
        self._database.executescript(TABLES)
        self._windows: dict[tuple[str, int], tuple[int, dict[int, Rejected]]] = {}

    def __enter__(self) -> Self:
        """Return the ledger."""
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Delete the database."""
        self._database.close()

    def add(self, records: Iterable[RejectedRecord]) -> None:
        """Add records; of several with the same origin, the first counts."""
        rows = ((one.topic, one.partition, one.offset, one.reason, one.replayed_from) for one in records)
        self._change(
            "INSERT INTO records (topic, partition, offset, reason, replayed_from) VALUES (?, ?, ?, ?, ?) "
            "ON CONFLICT DO NOTHING",
            rows,
        )

    def mark_replayed(self, origins: Iterable[str]) -> None:
        """Mark records as replayed, by origin (topic:partition:offset)."""
        rows = (origin.rsplit(":", 2) for origin in origins)
        self._change("UPDATE records SET is_replayed = 1 WHERE topic = ? AND partition = ? AND offset = ?", rows)

    def find(self, topic: str, partition: int, offset: int) -> Rejected | None:
        """Find the rejection of the record at an offset; fast for offsets in order."""
        begin = offset - offset % WINDOW
        known = self._windows.get((topic, partition))
        if known is None or known[0] != begin:
            rows = self._database.execute(
                "SELECT offset, reason, is_replayed FROM records "
                "WHERE topic = ? AND partition = ? AND offset >= ? AND offset < ?",
                (topic, partition, begin, begin + WINDOW),
            )
            found = {place: Rejected(reason, bool(is_replayed)) for place, reason, is_replayed in rows}
            known = self._windows[topic, partition] = begin, found
        return known[1].get(offset)

    def count(self) -> tuple[Counter[str], int]:
        """Count the records by reason, and the replayed ones."""
        rows = self._database.execute(COUNTS).fetchall()
        return Counter({reason: number for reason, number, _ in rows}), sum(replayed for _, _, replayed in rows)

    def _change(self, statement: str, rows: Iterable[Iterable[object]]) -> None:
        for batch in _batches(iter(rows)):
            self._database.execute("BEGIN")
            self._database.executemany(statement, [tuple(row) for row in batch])
            self._database.execute("COMMIT")


def _batches(rows: Iterator[Iterable[object]]) -> Iterator[list[Iterable[object]]]:
    while batch := list(islice(rows, ROWS_AT_ONCE)):
        yield batch
