"""Index of the rejected records, without their contents, to list, count and find them.

A private SQLite database with a page cache of CACHE_KILOBYTES in memory and the rest in a temporary file. A million
records take about 250 MB of disk, and 17 s of CPU time when they are first read.
"""

import sqlite3
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from threading import Lock
from typing import Literal

from member_analyzer.deadletters.rejected import RejectedRecord

CACHE_KILOBYTES = 32_768

StateFilter = Literal["waiting", "replayed", "all"]

TABLES = f"""
PRAGMA journal_mode = OFF;
PRAGMA synchronous = OFF;
PRAGMA cache_size = -{CACHE_KILOBYTES};
CREATE TABLE records (
    origin TEXT PRIMARY KEY,
    topic TEXT NOT NULL,
    partition INTEGER NOT NULL,
    offset INTEGER NOT NULL,
    reason TEXT NOT NULL,
    message TEXT NOT NULL,
    at TEXT NOT NULL,
    replayed_from TEXT,
    fingerprint BLOB,
    stored_partition INTEGER NOT NULL,
    stored_offset INTEGER NOT NULL,
    is_replayed INTEGER NOT NULL DEFAULT 0
) WITHOUT ROWID;
CREATE INDEX by_replayed_from ON records (replayed_from, fingerprint) WHERE replayed_from IS NOT NULL;
CREATE INDEX by_at ON records (at);
CREATE INDEX by_stored ON records (stored_partition, stored_offset);
CREATE TABLE replays (origin TEXT PRIMARY KEY) WITHOUT ROWID;
"""

# Of several attempts at the same replay only the first one counts. Producers can forge the origin of a replay; see
# `deadletters.rejected.mark_duplicates`.
NOT_DUPLICATE = """
(replayed_from IS NULL OR replayed_from NOT IN (SELECT origin FROM replays) OR NOT EXISTS (
    SELECT 1 FROM records AS earlier WHERE earlier.replayed_from = records.replayed_from
    AND earlier.fingerprint = records.fingerprint
    AND (earlier.topic, earlier.partition, earlier.offset) < (records.topic, records.partition, records.offset)
))
"""


@dataclass(frozen=True)
class Entry:
    """One rejected record, and its position in `users_rejected`."""

    origin: str
    reason: str
    message: str
    at: str
    is_replayed: bool
    stored_partition: int
    stored_offset: int


class RejectedIndex:
    """The rejected records read so far. Thread-safe."""

    def __init__(self) -> None:
        self._lock = Lock()
        # An empty name: SQLite deletes the file when the connection closes.
        self._database = sqlite3.connect("", check_same_thread=False, isolation_level=None)
        self._database.executescript(TABLES)
        self._cached_counts: tuple[int, dict[str, tuple[int, int]]] = -1, {}

    @property
    def changes(self) -> int:
        """A number that grows with every change."""
        return self._database.total_changes

    def clear(self) -> None:
        with self._transaction() as database:
            database.execute("DELETE FROM records")
            database.execute("DELETE FROM replays")

    def add(self, records: Iterable[tuple[RejectedRecord, int, int]]) -> None:
        """Add records with their partition and offset in `users_rejected`; known ones are ignored."""
        rows = [
            (
                *(record.origin, record.topic, record.partition, record.offset),
                *(record.reason, record.message, record.at, record.replayed_from),
                *(record.fingerprint if record.replayed_from else None, partition, offset),
            )
            for record, partition, offset in records
        ]
        with self._transaction() as database:
            database.executemany(
                "INSERT INTO records SELECT ?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11,"
                " EXISTS (SELECT 1 FROM replays WHERE replays.origin = ?1) WHERE true ON CONFLICT DO NOTHING",
                rows,
            )

    def delete_before(self, begins: Mapping[int, int]) -> None:
        """Delete the records before an offset of each partition: the topic's retention has deleted them."""
        with self._transaction() as database:
            database.executemany(
                "DELETE FROM records WHERE stored_partition = ? AND stored_offset < ?", list(begins.items())
            )

    def mark_replayed(self, origins: Iterable[str]) -> None:
        """Mark records as replayed, including those that are added later."""
        rows = [(origin,) for origin in origins]
        with self._transaction() as database:
            database.executemany("INSERT OR IGNORE INTO replays VALUES (?)", rows)
            database.executemany("UPDATE records SET is_replayed = 1 WHERE origin = ? AND NOT is_replayed", rows)

    def count(self) -> dict[str, tuple[int, int]]:
        """By reason, the number of waiting and of replayed records; cached until the index changes."""
        changes = self.changes
        cached_at, counts = self._cached_counts
        if cached_at == changes:
            return counts
        with self._lock:
            rows = self._database.execute(
                f"SELECT reason, sum(NOT is_replayed), sum(is_replayed) FROM records WHERE {NOT_DUPLICATE} "  # noqa: S608
                "GROUP BY reason ORDER BY reason"
            ).fetchall()
        counts = {reason: (waiting, replayed) for reason, waiting, replayed in rows}
        self._cached_counts = changes, counts
        return counts

    def list(self, state: StateFilter, reason: str | None, limit: int) -> tuple[int, list[Entry]]:
        """The number of matching records, and the newest of them."""
        by_state = {"all": "true", "waiting": "NOT is_replayed", "replayed": "is_replayed"}[state]
        condition = f"{NOT_DUPLICATE} AND {by_state} AND reason = coalesce(?1, reason)"
        total = sum(
            waiting * (state != "replayed") + replayed * (state != "waiting")
            for name, (waiting, replayed) in self.count().items()
            if reason in (None, name)
        )
        with self._lock:
            rows = self._database.execute(
                "SELECT origin, reason, message, at, is_replayed, stored_partition, stored_offset FROM records "  # noqa: S608
                f"WHERE {condition} ORDER BY at DESC, origin LIMIT ?2",
                (reason, limit),
            ).fetchall()
        return total, [_to_entry(row) for row in rows]

    def has_reason(self, reason: str) -> bool:
        """Whether any record was rejected for this reason."""
        with self._lock:
            row = self._database.execute("SELECT 1 FROM records WHERE reason = ? LIMIT 1", (reason,)).fetchone()
        return row is not None

    def find(self, origin: str) -> Entry | None:
        """The record with this origin."""
        with self._lock:
            row = self._database.execute(
                "SELECT origin, reason, message, at, is_replayed, stored_partition, stored_offset FROM records "
                "WHERE origin = ?",
                (origin,),
            ).fetchone()
        return _to_entry(row) if row else None

    @contextmanager
    def _transaction(self) -> Iterator[sqlite3.Connection]:
        """The database in one transaction: committing each change separately takes ten times as long."""
        with self._lock:
            self._database.execute("BEGIN")
            try:
                yield self._database
            finally:
                self._database.execute("COMMIT")


def _to_entry(row: tuple[str, str, str, str, int, int, int]) -> Entry:
    origin, reason, message, at, is_replayed, partition, offset = row
    return Entry(origin, reason, message, at, bool(is_replayed), partition, offset)
