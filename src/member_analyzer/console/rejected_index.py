"""Which records were rejected and why, without what they hold: enough to list, count and find them.

It is a private SQLite database, which keeps CACHE_KILOBYTES of itself in memory and the rest in a temporary file that
nobody else sees. A million records take some 250 MB of it, and 17 seconds of a processor when they are first read.
"""

import sqlite3
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from threading import Lock
from typing import Literal

from member_analyzer.deadletters.rejected import RejectedRecord

CACHE_KILOBYTES = 32_768

Selection = Literal["waiting", "replayed", "all"]

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
    kept_partition INTEGER NOT NULL,
    kept_offset INTEGER NOT NULL,
    is_replayed INTEGER NOT NULL DEFAULT 0
) WITHOUT ROWID;
CREATE INDEX by_replayed_from ON records (replayed_from, fingerprint) WHERE replayed_from IS NOT NULL;
CREATE INDEX by_at ON records (at);
CREATE INDEX by_offset ON records (topic, partition, offset);
CREATE INDEX by_kept ON records (kept_partition, kept_offset);
CREATE TABLE replays (origin TEXT PRIMARY KEY) WITHOUT ROWID;
"""

# Of several records that are the same replay, one that failed on the way and was tried again, the first one counts.
# A producer may forge where a record is replayed from; `deadletters.rejected.mark_duplicates` says what is believed.
COUNTED = """
(replayed_from IS NULL OR replayed_from NOT IN (SELECT origin FROM replays) OR NOT EXISTS (
    SELECT 1 FROM records AS earlier WHERE earlier.replayed_from = records.replayed_from
    AND earlier.fingerprint = records.fingerprint
    AND (earlier.topic, earlier.partition, earlier.offset) < (records.topic, records.partition, records.offset)
))
"""


@dataclass(frozen=True)
class Entry:
    """One rejected record, and where in `users_rejected` it is kept."""

    origin: str
    reason: str
    message: str
    at: str
    is_replayed: bool
    kept_partition: int
    kept_offset: int


class RejectedIndex:
    """All rejected records that were read so far. Any thread may use it."""

    def __init__(self) -> None:
        self._lock = Lock()
        # No name: SQLite deletes the file when the connection ends.
        self._database = sqlite3.connect("", check_same_thread=False, isolation_level=None)
        self._database.executescript(TABLES)
        self._counted: tuple[int, dict[str, tuple[int, int]]] = -1, {}

    @property
    def changes(self) -> int:
        """How often anything changed."""
        return self._database.total_changes

    def clear(self) -> None:
        """Forget everything."""
        with self._changing() as database:
            database.execute("DELETE FROM records")
            database.execute("DELETE FROM replays")

    def add(self, records: Iterable[tuple[RejectedRecord, int, int]]) -> None:
        """Take over records with the partition and offset where each is kept; one that is known already is not new."""
        rows = [
            (
                *(one.origin, one.topic, one.partition, one.offset),
                *(one.reason, one.message, one.at, one.replayed_from),
                *(one.fingerprint if one.replayed_from else None, partition, offset),
            )
            for one, partition, offset in records
        ]
        with self._changing() as database:
            database.executemany(
                "INSERT INTO records SELECT ?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11,"
                " EXISTS (SELECT 1 FROM replays WHERE replays.origin = ?1) WHERE true ON CONFLICT DO NOTHING",
                rows,
            )

    def forget_before(self, begins: Mapping[int, int]) -> None:
        """Drop the records that the topic does not keep any more: those before an offset of each partition."""
        with self._changing() as database:
            database.executemany(
                "DELETE FROM records WHERE kept_partition = ? AND kept_offset < ?", list(begins.items())
            )

    def mark_replayed(self, origins: Iterable[str]) -> None:
        """Take over that records were sent again, also of those that are not known yet."""
        rows = [(origin,) for origin in origins]
        with self._changing() as database:
            database.executemany("INSERT OR IGNORE INTO replays VALUES (?)", rows)
            database.executemany("UPDATE records SET is_replayed = 1 WHERE origin = ? AND NOT is_replayed", rows)

    def count(self) -> dict[str, tuple[int, int]]:
        """By reason, how many records wait and how many were replayed; cached until something changes."""
        changes = self.changes
        counted_at, counts = self._counted
        if counted_at == changes:
            return counts
        with self._lock:
            rows = self._database.execute(
                f"SELECT reason, sum(NOT is_replayed), sum(is_replayed) FROM records WHERE {COUNTED} "  # noqa: S608
                "GROUP BY reason ORDER BY reason"
            ).fetchall()
        counts = {reason: (waiting, replayed) for reason, waiting, replayed in rows}
        self._counted = changes, counts
        return counts

    def list(self, selection: Selection, reason: str | None, limit: int) -> tuple[int, list[Entry]]:
        """How many records there are of a kind, and the newest of them."""
        wanted = {"all": "true", "waiting": "NOT is_replayed", "replayed": "is_replayed"}[selection]
        condition = f"{COUNTED} AND {wanted} AND reason = coalesce(?1, reason)"
        waiting, replayed = selection != "replayed", selection != "waiting"
        counts = [both for name, both in self.count().items() if reason in (None, name)]
        number = sum(one * waiting + other * replayed for one, other in counts)
        with self._lock:
            rows = self._database.execute(
                "SELECT origin, reason, message, at, is_replayed, kept_partition, kept_offset FROM records "  # noqa: S608
                f"WHERE {condition} ORDER BY at DESC, origin LIMIT ?2",
                (reason, limit),
            ).fetchall()
        return number, [_as_entry(row) for row in rows]

    def count_between(self, topic: str, partition: int, begin: int, end: int) -> int:
        """How many records of a partition were rejected from an offset on, up to before another one."""
        with self._lock:
            (number,) = self._database.execute(
                "SELECT count(*) FROM records WHERE topic = ? AND partition = ? AND offset >= ? AND offset < ?",
                (topic, partition, begin, end),
            ).fetchone()
        return int(number)

    def has_reason(self, reason: str) -> bool:
        """Whether a record was rejected for a reason."""
        with self._lock:
            row = self._database.execute("SELECT 1 FROM records WHERE reason = ? LIMIT 1", (reason,)).fetchone()
        return row is not None

    def find(self, origin: str) -> Entry | None:
        """The record of an origin."""
        with self._lock:
            row = self._database.execute(
                "SELECT origin, reason, message, at, is_replayed, kept_partition, kept_offset FROM records "
                "WHERE origin = ?",
                (origin,),
            ).fetchone()
        return _as_entry(row) if row else None

    @contextmanager
    def _changing(self) -> Iterator[sqlite3.Connection]:
        """The database, all of whose changes are one: each on its own would take ten times as long."""
        with self._lock:
            self._database.execute("BEGIN")
            try:
                yield self._database
            finally:
                self._database.execute("COMMIT")


def _as_entry(row: tuple[str, str, str, str, int, int, int]) -> Entry:
    origin, reason, message, at, is_replayed, partition, offset = row
    return Entry(origin, reason, message, at, bool(is_replayed), partition, offset)
