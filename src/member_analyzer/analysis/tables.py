"""Reads and writes the Cassandra tables of one stream.

Every write is an absolute value under a fixed key, and therefore idempotent.
"""

import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import UTC, date, datetime
from typing import Any

from cassandra.cluster import Session
from cassandra.concurrent import execute_concurrent_with_args
from cassandra.query import UNSET_VALUE, SimpleStatement

from member_analyzer.analysis.changes import Event, Stored
from member_analyzer.analysis.counts import Bucket, Count, Distribution, Tally
from member_analyzer.analysis.findings import Audit, Difference, Repair
from member_analyzer.analysis.progress import Generation
from member_analyzer.analysis.progress_tables import BATCHES_AT_ONCE, ProgressTables
from member_analyzer.streams.definition import StreamDefinition

# Such a row is only a date and a number.
DATES_OF_A_BATCH = 300
# Keys per lookup, and concurrent writes of rows.
KEYS_OF_A_LOOKUP = 100
ROWS_AT_ONCE = 128

# The name of the total where buckets are text.
TOTAL_BUCKET = "total"


class AnalysisTables(ProgressTables):
    """Reads and writes the analysis tables of one stream, and its progress."""

    def __init__(self, session: Session, keyspace: str, definition: StreamDefinition) -> None:
        super().__init__(session, keyspace, definition)
        self.definition = definition
        self._unit = definition.unit
        self._dimensions = {dimension.table: dimension for dimension in definition.dimensions}
        self._folded = [dimension for dimension in definition.dimensions if dimension.fold is not None]

    def write_distribution(self, table: str, day: date, distribution: Distribution) -> None:
        """Write buckets of a table on a day, and the total."""
        keys = self._dimensions[table].key_columns
        insert = self._prepare(
            f"INSERT INTO {self._keyspace}.{table} (analysis_date, {', '.join(keys)}, {self._unit}, total) "  # noqa: S608
            f"VALUES (?, {', '.join('?' for _ in keys)}, ?, ?)"
        )
        self._write(
            (insert, (day, *bucket, records, distribution.total)) for bucket, records in distribution.buckets.items()
        )

    def write_folded(self, counts: Iterable[Count]) -> None:
        """Write the counts of folded dimensions; others are ignored."""
        for dimension in self._folded:
            insert = self._prepare(
                f"INSERT INTO {self._keyspace}.{dimension.name} "  # noqa: S608
                f"(stream, {dimension.columns[0]}, {self._unit}) VALUES (?, ?, ?)"
            )
            self._write(
                (
                    (insert, (self._stream, date.fromisoformat(count.bucket[0]), count.records))
                    for count in counts
                    if count.dimension == dimension.name
                ),
                rows_of_a_batch=DATES_OF_A_BATCH,
            )

    def read_distribution(self, table: str, day: date) -> Distribution:
        """Read a table on a day; empty if there is none. Only buckets of a fold may have the count 0."""
        dimension = self._dimensions[table]
        keys = dimension.key_columns
        rows = self._session.execute(
            f"SELECT {', '.join(keys)}, {self._unit} AS records, total "  # noqa: S608
            f"FROM {self._keyspace}.{table} WHERE analysis_date = %s",
            (day,),
        )
        buckets: dict[Bucket, int] = {}
        total = 0
        for row in rows:
            total = row["total"] or 0
            if row["records"] or (dimension.fold is not None and row["records"] is not None):
                buckets[tuple(str(row[key]) for key in keys)] = row["records"]
        return Distribution(buckets, total)

    def read_days(self) -> list[date]:
        """Return all days with an analysis, newest first."""
        table = self.definition.dimensions[0].table
        rows = self._session.execute(f"SELECT DISTINCT analysis_date FROM {self._keyspace}.{table}")  # noqa: S608
        return sorted((row["analysis_date"].date() for row in rows), reverse=True)

    def read_folded(self) -> dict[str, dict[Bucket, int]]:
        """Read the counts of folded dimensions: dimension -> bucket (an ISO 8601 date) -> records."""
        found: dict[str, dict[Bucket, int]] = {}
        for dimension in self._folded:
            (column,) = dimension.columns
            rows = self._session.execute(
                f"SELECT {column}, {self._unit} AS records FROM {self._keyspace}.{dimension.name} "  # noqa: S608
                "WHERE stream = %s",
                (self._stream,),
            )
            found[dimension.name] = {(row[column].date().isoformat(),): row["records"] for row in rows}
        return found

    def read_tally(self, day: date) -> Tally:
        """Read all counts, from the tables of a day and the folded dimensions."""
        distributions = {table: self.read_distribution(table, day) for table in self._dimensions}
        total = next(iter(distributions.values())).total
        counts = {
            dimension.name: distributions[table].buckets
            for table, dimension in self._dimensions.items()
            if dimension.fold is None
        }
        return Tally(self.definition.dimensions, total, counts | self.read_folded())

    def begin_generation(self, generation: Generation, today: date) -> None:
        """Empty the tables, except previous days, and begin a generation. Idempotent. Only the stream calls it."""
        newest = self.read_progress().analysis_date or today
        for table in self._dimensions:
            # The newest day is later than today if a clock was ahead.
            for day in {today, max(newest, today)}:
                self._session.execute(
                    f"DELETE FROM {self._keyspace}.{table} WHERE analysis_date = %s",  # noqa: S608
                    (day,),
                )
        for table in (*(one.name for one in self._folded), "analysis_repairs"):
            self._session.execute(f"DELETE FROM {self._keyspace}.{table} WHERE stream = %s", (self._stream,))  # noqa: S608
        self._session.execute(f"TRUNCATE {self._keyspace}.{self.definition.table}", timeout=120)
        self._session.execute(
            f"DELETE FROM {self._keyspace}.stream_progress WHERE stream = %s AND query IN ('members', 'analysis')",  # noqa: S608
            (self._stream,),
        )
        self._restart_progress(generation)

    def find_stored(self, keys: Iterable[str]) -> dict[str, Stored]:
        """Read the rows of these keys: origin, and counted columns as text."""
        return self._find(self.definition.table, keys, self.definition.counted_columns)

    def find_erased(self, keys: Iterable[str], generation: str) -> dict[str, Stored]:
        """Read the erasures of these keys; those of other generations have the offset -1."""
        if self.definition.erasure is None:
            return {}
        return {
            key: found if found.counted == (generation,) else found._replace(offset=-1)
            for key, found in self._find(self.definition.erasure.table, keys, ("generation",)).items()
        }

    def _find(self, table: str, keys: Iterable[str], columns: Sequence[str]) -> dict[str, Stored]:
        key = self.definition.key
        select = self._prepare(
            f"SELECT {', '.join((key, 'kafka_partition', 'kafka_offset', *columns))} "  # noqa: S608
            f"FROM {self._keyspace}.{table} WHERE {key} IN ?"
        )
        wanted = sorted(keys)
        lookups = [(wanted[n : n + KEYS_OF_A_LOOKUP],) for n in range(0, len(wanted), KEYS_OF_A_LOOKUP)]
        found: dict[str, Stored] = {}
        for _, rows in execute_concurrent_with_args(self._session, select, lookups, concurrency=BATCHES_AT_ONCE):
            for row in rows:
                values = tuple(str(row[column]) for column in columns)
                found[row[key]] = Stored(row["kafka_partition"], row["kafka_offset"], values)
        return found

    def write_rows(self, rows: Iterable[Mapping[str, Any]], timestamp: int) -> None:
        """Write rows without their nulls, with a write timestamp in microseconds."""
        rows = list(rows)
        if not rows:
            return
        columns = list(rows[0])
        insert = self._prepare(
            f"INSERT INTO {self._keyspace}.{self.definition.table} ({', '.join(columns)}) "  # noqa: S608
            f"VALUES ({', '.join('?' for _ in columns)}) USING TIMESTAMP ?"
        )
        values = [(*(UNSET_VALUE if row[one] is None else row[one] for one in columns), timestamp) for row in rows]
        execute_concurrent_with_args(self._session, insert, values, concurrency=ROWS_AT_ONCE)

    def erase_rows(self, erased: Iterable[Event], generation: str) -> None:
        """Mark keys as erased, so that later events have no effect, and delete their rows.

        Raises ValueError if records of the stream cannot be erased.
        """
        if self.definition.erasure is None:
            raise ValueError(f"Records of the stream {self.definition.name} cannot be erased.")
        key = self.definition.key
        mark = self._prepare(
            f"INSERT INTO {self._keyspace}.{self.definition.erasure.table} "  # noqa: S608
            f"({key}, generation, kafka_partition, kafka_offset) VALUES (?, ?, ?, ?)"
        )
        delete = self._prepare(f"DELETE FROM {self._keyspace}.{self.definition.table} WHERE {key} = ?")  # noqa: S608
        erased = list(erased)
        marks = [(one.key, generation, one.partition, one.offset) for one in erased]
        execute_concurrent_with_args(self._session, mark, marks, concurrency=ROWS_AT_ONCE)
        follow = self._prepare(f"INSERT INTO {self._keyspace}.stream_erasures (stream, key) VALUES (?, ?)")  # noqa: S608
        followed = [(stream, one.key) for stream in self.definition.erasure.followers for one in erased]
        execute_concurrent_with_args(self._session, follow, followed, concurrency=ROWS_AT_ONCE)
        execute_concurrent_with_args(self._session, delete, [(one.key,) for one in erased], concurrency=ROWS_AT_ONCE)

    def request_repair(self, repair: Repair) -> None:
        """Request a repair from the stream, which is the only writer of counts."""
        counts = [[count.dimension, list(count.bucket), count.records] for count in repair.counts]
        self._session.execute(
            f"INSERT INTO {self._keyspace}.analysis_repairs (stream, name, analysis_date, number, total, counts) "  # noqa: S608
            "VALUES (%s, %s, %s, %s, %s, %s)",
            (self._stream, repair.name, repair.day, repair.number, repair.total, json.dumps(counts)),
        )

    def read_repairs(self) -> list[Repair]:
        """Read the requested repairs."""
        select = self._prepare(
            f"SELECT name, analysis_date, number, total, counts FROM {self._keyspace}.analysis_repairs "  # noqa: S608
            "WHERE stream = ?"
        )
        rows = self._session.execute(select, (self._stream,))
        return [
            Repair(
                row["name"],
                row["analysis_date"].date(),
                row["number"],
                row["total"],
                [Count(name, tuple(bucket), records) for name, bucket, records in json.loads(row["counts"])],
            )
            for row in rows
        ]

    def delete_repair(self, repair: Repair) -> None:
        """Delete a repair that is applied or dropped."""
        self._session.execute(
            f"DELETE FROM {self._keyspace}.analysis_repairs WHERE stream = %s AND name = %s",  # noqa: S608
            (self._stream, repair.name),
        )

    def read_rows(self) -> Iterator[dict[str, Any]]:
        """Yield key, counted columns and origin (kafka_partition, kafka_offset) of every row, page by page."""
        columns = {self.definition.key: None, **dict.fromkeys(self.definition.counted_columns)}
        yield from self._session.execute(
            SimpleStatement(
                f"SELECT {', '.join(columns)}, kafka_partition, kafka_offset "  # noqa: S608
                f"FROM {self._keyspace}.{self.definition.table}",
                fetch_size=5000,
            )
        )

    def estimate_rows(self) -> int:
        """Return the nodes' estimate of the number of rows, which may be minutes old; 0 before the first one."""
        select = (
            "SELECT partitions_count FROM system.table_estimates "
            "WHERE keyspace_name = %s AND table_name = %s AND range_type = 'primary'"
        )
        # Each node only has estimates of its own ranges.
        nodes = [node for node in self._session.cluster.metadata.all_hosts() if node.is_up]
        return sum(
            row["partitions_count"]
            for node in nodes
            for row in self._session.execute(select, (self._keyspace, self.definition.table), host=node)
        )

    def write_audit(self, found: Audit) -> None:
        """Store the result of a recount for one table."""
        insert = (
            f"INSERT INTO {self._keyspace}.analysis_audit "  # noqa: S608
            "(analysis_date, checked_at, table_name, bucket, live, recounted, compared, differing) "
            "VALUES (%s, %s, %s, %s, %s, %s, %s, %s)"
        )
        key = (found.day, found.checked_at, found.table)
        self._session.execute(insert, (*key, "", found.live, found.recounted, found.compared, len(found.differences)))
        for one in found.differences:
            bucket = " / ".join(one.bucket) or TOTAL_BUCKET
            self._session.execute(insert, (*key, bucket, one.live, one.recounted, None, None))

    def read_audits(self, day: date) -> list[Audit]:
        """Read the results of a day's recounts, newest first."""
        rows = self._session.execute(
            "SELECT checked_at, table_name, bucket, live, recounted, compared, differing "  # noqa: S608
            f"FROM {self._keyspace}.analysis_audit WHERE analysis_date = %s",
            (day,),
        )
        audits: dict[tuple[datetime, str], Audit] = {}
        for row in rows:
            key = (row["checked_at"].replace(tzinfo=UTC), row["table_name"])
            if row["bucket"] == "":
                audits[key] = Audit(day, *key, row["live"], row["recounted"], row["compared"], [])
            else:
                difference = Difference(row["table_name"], (row["bucket"],), row["live"], row["recounted"])
                audits[key].differences.append(difference)
        return list(audits.values())
