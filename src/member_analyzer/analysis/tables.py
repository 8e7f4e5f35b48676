"""The tables of one stream in Cassandra: how they are written and read.

Everything is written as an absolute value under a fixed key, so that repeating a write changes nothing.
"""

import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import UTC, date, datetime
from typing import Any

from cassandra.cluster import Session
from cassandra.concurrent import execute_concurrent, execute_concurrent_with_args
from cassandra.query import UNSET_VALUE, BatchStatement, BatchType, PreparedStatement, SimpleStatement

from member_analyzer.analysis.changes import Event, Stored
from member_analyzer.analysis.counts import Bucket, Count, Distribution, Tally
from member_analyzer.analysis.findings import Audit, Difference, Repair
from member_analyzer.analysis.progress import QUERY, Generation, Generations, Progress
from member_analyzer.records.offsets import Offsets
from member_analyzer.streams.definition import StreamDefinition

# The longest country and city take 1.2 KB: even a batch of such rows stays below the 50 KiB that Cassandra allows.
ROWS_OF_A_BATCH = 30
# A day and a number.
DATES_OF_A_BATCH = 300
BATCHES_AT_ONCE = 16
# Keys in one lookup, which the nodes answer in parallel; and rows of records that are written at once.
KEYS_OF_A_LOOKUP = 100
ROWS_AT_ONCE = 128

# How the total is called where buckets are texts.
TOTAL_BUCKET = "total"


class AnalysisTables:
    """Reads and writes the analysis tables and the progress of one stream."""

    def __init__(self, session: Session, keyspace: str, definition: StreamDefinition) -> None:
        self.definition = definition
        self._session = session
        self._keyspace = keyspace
        self._stream = definition.topic.name
        self._unit = definition.unit
        self._dimensions = {dimension.table: dimension for dimension in definition.dimensions}
        self._folded = [dimension for dimension in definition.dimensions if dimension.fold is not None]
        self._prepared: dict[str, PreparedStatement] = {}
        self._write_after_earlier_programs()

    def _write_after_earlier_programs(self) -> None:
        """Let this session's writes win over those of a program whose clock was ahead of this one's.

        Of two writes Cassandra keeps the one with the later timestamp, which is the clock of whoever wrote.
        """
        rows = self._session.execute(
            f"SELECT WRITETIME(updated_at) AS written FROM {self._keyspace}.stream_progress WHERE stream = %s",  # noqa: S608
            (self._stream,),
        )
        clock = self._session.cluster.timestamp_generator
        with clock.lock:
            clock.last = max(clock.last, *(row["written"] or 0 for row in rows), 0)

    def write_distribution(self, table: str, day: date, distribution: Distribution) -> None:
        """Write buckets of one table's day, and the day's total with each of them."""
        keys = self._dimensions[table].key_columns
        insert = self._prepare(
            f"INSERT INTO {self._keyspace}.{table} (analysis_date, {', '.join(keys)}, {self._unit}, total) "  # noqa: S608
            f"VALUES (?, {', '.join('?' for _ in keys)}, ?, ?)"
        )
        self._write(
            (insert, (day, *bucket, records, distribution.total)) for bucket, records in distribution.buckets.items()
        )

    def write_folded(self, counts: Iterable[Count]) -> None:
        """Write those of the counts that tables are folded from; the others are left out."""
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
        """One table of one day, empty where there is none; of its buckets only those of a fold may be empty."""
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
        """Every day of which there is an analysis, the newest first."""
        table = self.definition.dimensions[0].table
        rows = self._session.execute(f"SELECT DISTINCT analysis_date FROM {self._keyspace}.{table}")  # noqa: S608
        return sorted((row["analysis_date"].date() for row in rows), reverse=True)

    def read_folded(self) -> dict[str, dict[Bucket, int]]:
        """The counts that tables are folded from: dimension -> bucket (one date in ISO 8601) -> records."""
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
        """Every count as the tables hold it, from a day's partitions and the counts that are folded."""
        distributions = {table: self.read_distribution(table, day) for table in self._dimensions}
        total = next(iter(distributions.values())).total
        counts = {
            dimension.name: distributions[table].buckets
            for table, dimension in self._dimensions.items()
            if dimension.fold is None
        }
        return Tally(self.definition.dimensions, total, counts | self.read_folded())

    def read_progress(self) -> Progress:
        """How far the stream came; an empty one where it never wrote."""
        row = self._session.execute(
            "SELECT analysis_date, written, writing, updated_at, number, applied, erasures "  # noqa: S608
            f"FROM {self._keyspace}.stream_progress WHERE stream = %s AND query = %s",
            (self._stream, QUERY),
        ).one()
        if row is None:
            return Progress()
        day = row["analysis_date"]
        return Progress(
            day.date() if day else None,
            dict(row["written"] or {}),
            dict(row["writing"] or {}),
            row["updated_at"].replace(tzinfo=UTC) if row["updated_at"] else None,
            row["number"] or 0,
            row["applied"] or 0,
            row["erasures"] or 0,
        )

    def read_journal(self) -> bytes:
        """The values that the newest change of the counts writes. Raises LookupError where there is none."""
        row = self._session.execute(
            f"SELECT journal FROM {self._keyspace}.stream_progress WHERE stream = %s AND query = %s",  # noqa: S608
            (self._stream, QUERY),
        ).one()
        if row is None or row["journal"] is None:
            raise LookupError("The stream's progress has no journal.")
        return bytes(row["journal"])

    def begin_counts(self, number: int, counted: Offsets, journal: bytes, erasures: int) -> None:
        """Note which values are about to be written, of what was read up to these offsets."""
        self._write_progress(number=number, writing=dict(counted), journal=journal, erasures=erasures)

    def end_counts(self, number: int, day: date) -> None:
        """Note that a change of the counts is in the tables, in the partitions of a day."""
        self._write_progress(applied=number, analysis_date=day)

    def end_rows(self, written: Offsets, counted: Offsets) -> None:
        """Note that the rows of what was read up to `written` are written; everything up to `counted` is counted."""
        self._write_progress(written=dict(written), writing=dict(counted))

    def _write_progress(self, **columns: object) -> None:
        columns["updated_at"] = datetime.now(UTC)
        self._session.execute(
            f"UPDATE {self._keyspace}.stream_progress SET {', '.join(f'{name} = %s' for name in columns)} "  # noqa: S608
            "WHERE stream = %s AND query = %s",
            (*columns.values(), self._stream, QUERY),
        )

    def is_of_earlier_version(self) -> bool:
        """Whether what the tables hold was counted by a version that kept its progress in another form."""
        rows = self._session.execute(
            f"SELECT query FROM {self._keyspace}.stream_progress WHERE stream = %s",  # noqa: S608
            (self._stream,),
        )
        return bool({row["query"] for row in rows} - {QUERY})

    def read_isolation(self) -> str | None:
        """How far the stream came in the search for a record that it cannot process, as it wrote it down; or None."""
        row = self._session.execute(
            f"SELECT isolation FROM {self._keyspace}.stream_progress WHERE stream = %s AND query = %s",  # noqa: S608
            (self._stream, QUERY),
        ).one()
        return None if row is None else row["isolation"]

    def write_isolation(self, state: str | None) -> None:
        """Write down how far that search came; None ends it."""
        self._write_progress(isolation=state)

    def read_generations(self) -> Generations:
        """Which life of the counts the tables are of, and which one is wanted."""
        row = self._session.execute(
            "SELECT current, current_begin, current_look_from, current_topic_id, "  # noqa: S608
            "wanted, wanted_begin, wanted_look_from, wanted_topic_id "
            f"FROM {self._keyspace}.stream_generations WHERE stream = %s",
            (self._stream,),
        ).one()
        if row is None:
            return Generations(Generation(), None)
        current, wanted = (
            Generation(
                row[name],
                dict(row[f"{name}_begin"] or {}),
                dict(row[f"{name}_look_from"] or {}),
                row[f"{name}_topic_id"] or "",
            )
            if row[name]
            else None
            for name in ("current", "wanted")
        )
        current = current or Generation()
        return Generations(current, wanted if wanted is not None and wanted.name != current.name else None)

    def keep_topic_id(self, generation: Generation) -> None:
        """Note of which topic the present generation is, where that is not known yet. Only for the stream itself."""
        self._write_generation("current", generation)

    def want_generation(self, wanted: Generation) -> None:
        """Ask the stream to count anew from some offsets on."""
        self._write_generation("wanted", wanted)

    def begin_generation(self, generation: Generation, today: date) -> None:
        """Empty every table but for the days before, and begin a generation; repeatable. Only for the stream itself."""
        newest = self.read_progress().analysis_date or today
        for table in self._dimensions:
            # The newest day is later than today where a clock was ahead.
            for day in {today, max(newest, today)}:
                self._session.execute(
                    f"DELETE FROM {self._keyspace}.{table} WHERE analysis_date = %s",  # noqa: S608
                    (day,),
                )
        for table in (*(one.name for one in self._folded), "stream_refusals", "analysis_repairs"):
            self._session.execute(f"DELETE FROM {self._keyspace}.{table} WHERE stream = %s", (self._stream,))  # noqa: S608
        self._session.execute(f"TRUNCATE {self._keyspace}.{self.definition.table}", timeout=120)
        self._session.execute(
            f"DELETE FROM {self._keyspace}.stream_progress WHERE stream = %s AND query IN ('members', 'analysis')",  # noqa: S608
            (self._stream,),
        )
        number = self.read_progress().number
        # Not deleted: its timestamp tells the next program after which one it has to write.
        self._write_progress(
            written={}, writing={}, analysis_date=None, applied=number, journal=None, isolation=None, erasures=0
        )
        self._write_generation("current", generation)

    def _write_generation(self, which: str, generation: Generation) -> None:
        self._session.execute(
            f"UPDATE {self._keyspace}.stream_generations "  # noqa: S608
            f"SET {which} = %s, {which}_begin = %s, {which}_look_from = %s, {which}_topic_id = %s WHERE stream = %s",
            (
                generation.name,
                dict(generation.begin),
                dict(generation.look_from),
                generation.topic_id,
                self._stream,
            ),
        )

    def write_unknown_schema_offsets(self, schema_id: int, positions: Offsets) -> None:
        """Note that records of a schema were rejected up to these offsets because the registry did not know it."""
        self._session.execute(
            f"UPDATE {self._keyspace}.stream_refusals SET positions = positions + %s "  # noqa: S608
            "WHERE stream = %s AND schema_id = %s",
            (dict(positions), self._stream, schema_id),
        )

    def read_unknown_schema_offsets(self, schema_ids: Iterable[int]) -> dict[int, Offsets]:
        """Up to which offsets records of these schemas were rejected, by schema id."""
        select = f"SELECT positions FROM {self._keyspace}.stream_refusals WHERE stream = %s AND schema_id = %s"  # noqa: S608
        rows = {schema_id: self._session.execute(select, (self._stream, schema_id)).one() for schema_id in schema_ids}
        return {schema_id: dict(row["positions"]) for schema_id, row in rows.items() if row is not None}

    def find_stored(self, keys: Iterable[str]) -> dict[str, Stored]:
        """The rows that these keys have: origin, and the columns that they are counted by, as text."""
        return self._find(self.definition.table, keys, self.definition.counted_columns)

    def find_erased(self, keys: Iterable[str], generation: str) -> dict[str, Stored]:
        """The erasures of these keys; those of other generations come from before any offset."""
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
        """Write rows of records (the columns of the table; nulls are left out), at a timestamp in microseconds."""
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
        """Mark keys as erased, and delete their rows, now and for good: no event of theirs brings them back.

        Raises ValueError for a stream whose records cannot be erased.
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
        execute_concurrent_with_args(self._session, delete, [(one.key,) for one in erased], concurrency=ROWS_AT_ONCE)

    def request_repair(self, repair: Repair) -> None:
        """Ask the stream, which alone writes the counts, to put some of them right."""
        counts = [[count.dimension, list(count.bucket), count.records] for count in repair.counts]
        self._session.execute(
            f"INSERT INTO {self._keyspace}.analysis_repairs (stream, name, analysis_date, number, total, counts) "  # noqa: S608
            "VALUES (%s, %s, %s, %s, %s, %s)",
            (self._stream, repair.name, repair.day, repair.number, repair.total, json.dumps(counts)),
        )

    def read_repairs(self) -> list[Repair]:
        """What is to be put right, the oldest first."""
        rows = self._session.execute(
            f"SELECT name, analysis_date, number, total, counts FROM {self._keyspace}.analysis_repairs "  # noqa: S608
            "WHERE stream = %s",
            (self._stream,),
        )
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
        """Take a repair from the list: it is done, or dropped."""
        self._session.execute(
            f"DELETE FROM {self._keyspace}.analysis_repairs WHERE stream = %s AND name = %s",  # noqa: S608
            (self._stream, repair.name),
        )

    def read_rows(self) -> Iterator[dict[str, Any]]:
        """Every row of a record, a page at a time: its key, what it is counted by, and its origin in Kafka.

        The columns kafka_partition and kafka_offset are the origin of the record that the row was written from.
        """
        columns = {self.definition.key: None, **dict.fromkeys(self.definition.counted_columns)}
        yield from self._session.execute(
            SimpleStatement(
                f"SELECT {', '.join(columns)}, kafka_partition, kafka_offset "  # noqa: S608
                f"FROM {self._keyspace}.{self.definition.table}",
                fetch_size=5000,
            )
        )

    def estimate_rows(self) -> int:
        """About how many rows of records there are, as the nodes estimated some minutes ago; 0 before they did."""
        select = (
            "SELECT partitions_count FROM system.table_estimates "
            "WHERE keyspace_name = %s AND table_name = %s AND range_type = 'primary'"
        )
        # Each node only tells of its own ranges.
        nodes = [node for node in self._session.cluster.metadata.all_hosts() if node.is_up]
        return sum(
            row["partitions_count"]
            for node in nodes
            for row in self._session.execute(select, (self._keyspace, self.definition.table), host=node)
        )

    def write_audit(self, found: Audit) -> None:
        """Keep what a recount of one table compared and found."""
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
        """What the recounts of a day found, the newest first."""
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

    def _prepare(self, statement: str) -> PreparedStatement:
        if statement not in self._prepared:
            self._prepared[statement] = self._session.prepare(statement)
        return self._prepared[statement]

    def _write(
        self, rows: Iterable[tuple[object, tuple[object, ...]]], *, rows_of_a_batch: int = ROWS_OF_A_BATCH
    ) -> None:
        """The rows of a call lie in one partition, so that each batch of them is one atomic write."""
        batches: list[BatchStatement] = []
        for number, (statement, values) in enumerate(rows):
            if number % rows_of_a_batch == 0:
                batches.append(BatchStatement(batch_type=BatchType.UNLOGGED))
            batches[-1].add(statement, values)
        if batches:
            execute_concurrent(self._session, [(batch, None) for batch in batches], concurrency=BATCHES_AT_ONCE)
