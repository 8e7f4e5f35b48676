"""The tables in Cassandra: how they are made, written and read.

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
from member_analyzer.analysis.counts import AGE, TABLE_NAMES, Bucket, Count, Distribution, Tally
from member_analyzer.analysis.findings import Audit, Difference, Repair
from member_analyzer.analysis.progress import QUERY, Generation, Generations, Positions, Progress

KEY_COLUMNS: Mapping[str, tuple[str, ...]] = {
    "age": ("age_group",),
    "gender": ("gender",),
    "country": ("country",),
    "city": ("country", "city"),
}


# The longest country and city take 1.2 KB: even a batch of such rows stays below the 50 KiB that Cassandra allows.
ROWS_OF_A_BATCH = 30


# A day and a number.
BIRTHS_OF_A_BATCH = 300


BATCHES_AT_ONCE = 16


# Ids in one lookup, which the nodes answer in parallel; and rows of members that are written at once.
IDS_OF_A_LOOKUP = 100


ROWS_AT_ONCE = 128


# How the total is called where buckets are texts.
TOTAL_BUCKET = "total"


class AnalysisTables:
    """Reads and writes the analysis tables and the progress of one stream."""

    def __init__(self, session: Session, keyspace: str, stream: str) -> None:
        self._session = session
        self._keyspace = keyspace
        self._stream = stream
        self._prepared: dict[str, PreparedStatement] = {}
        self._inserts = {
            table: session.prepare(
                f"INSERT INTO {keyspace}.{table} (analysis_date, {', '.join(keys)}, members, total) "  # noqa: S608
                f"VALUES (?, {', '.join('?' for _ in keys)}, ?, ?)"
            )
            for table, keys in KEY_COLUMNS.items()
        }
        self._insert_birth = session.prepare(
            f"INSERT INTO {keyspace}.births (stream, date_of_birth, members) VALUES (?, ?, ?)"  # noqa: S608
        )
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
        insert = self._inserts[table]
        self._write(
            (insert, (day, *bucket, members, distribution.total)) for bucket, members in distribution.buckets.items()
        )

    def write_births(self, births: Mapping[date, int]) -> None:
        """Write how many members were born on these days."""
        self._write(
            ((self._insert_birth, (self._stream, born, members)) for born, members in births.items()),
            rows_of_a_batch=BIRTHS_OF_A_BATCH,
        )

    def read_distribution(self, table: str, day: date) -> Distribution:
        """One table of one day, empty where there is none; of its buckets only age groups may hold nobody."""
        keys = KEY_COLUMNS[table]
        rows = self._session.execute(
            f"SELECT {', '.join(keys)}, members, total FROM {self._keyspace}.{table} WHERE analysis_date = %s",  # noqa: S608
            (day,),
        )
        buckets: dict[Bucket, int] = {}
        total = 0
        for row in rows:
            total = row["total"] or 0
            if row["members"] or (table == "age" and row["members"] is not None):
                buckets[tuple(row[key] for key in keys)] = row["members"]
        return Distribution(buckets, total)

    def read_days(self) -> list[date]:
        """Every day of which there is an analysis, the newest first."""
        rows = self._session.execute(f"SELECT DISTINCT analysis_date FROM {self._keyspace}.{AGE}")  # noqa: S608
        return sorted((row["analysis_date"].date() for row in rows), reverse=True)

    def read_births(self) -> dict[date, int]:
        """How many members were born on each day."""
        rows = self._session.execute(
            f"SELECT date_of_birth, members FROM {self._keyspace}.births WHERE stream = %s",  # noqa: S608
            (self._stream,),
        )
        return {row["date_of_birth"].date(): row["members"] for row in rows}

    def read_tally(self, day: date) -> Tally:
        """Every count as the tables hold it, from a day's partitions and the births."""
        distributions = {table: self.read_distribution(table, day) for table in TABLE_NAMES}
        return Tally(
            total=distributions["age"].total,
            births=self.read_births(),
            buckets={table: dict(one.buckets) for table, one in distributions.items() if table != "age"},
        )

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

    def begin_counts(self, number: int, counted: Positions, journal: bytes, erasures: int) -> None:
        """Note which values are about to be written, of what was read up to these offsets."""
        self._write_progress(number=number, writing=dict(counted), journal=journal, erasures=erasures)

    def end_counts(self, number: int, day: date) -> None:
        """Note that a change of the counts is in the tables, in the partitions of a day."""
        self._write_progress(applied=number, analysis_date=day)

    def end_rows(self, written: Positions, counted: Positions) -> None:
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
        for table in TABLE_NAMES:
            # The newest day is later than today where a clock was ahead.
            for day in {today, max(newest, today)}:
                self._session.execute(
                    f"DELETE FROM {self._keyspace}.{table} WHERE analysis_date = %s",  # noqa: S608
                    (day,),
                )
        for table in ("births", "stream_refusals", "analysis_repairs"):
            self._session.execute(f"DELETE FROM {self._keyspace}.{table} WHERE stream = %s", (self._stream,))  # noqa: S608
        self._session.execute(f"TRUNCATE {self._keyspace}.created_users", timeout=120)
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

    def refuse(self, schema_id: int, positions: Positions) -> None:
        """Note that records of a schema were rejected up to these offsets because the registry did not know it."""
        self._session.execute(
            f"UPDATE {self._keyspace}.stream_refusals SET positions = positions + %s "  # noqa: S608
            "WHERE stream = %s AND schema_id = %s",
            (dict(positions), self._stream, schema_id),
        )

    def read_refusals(self, schema_ids: Iterable[int]) -> dict[int, Positions]:
        """Up to which offsets records of these schemas were rejected, by schema id."""
        select = f"SELECT positions FROM {self._keyspace}.stream_refusals WHERE stream = %s AND schema_id = %s"  # noqa: S608
        rows = {schema_id: self._session.execute(select, (self._stream, schema_id)).one() for schema_id in schema_ids}
        return {schema_id: dict(row["positions"]) for schema_id, row in rows.items() if row is not None}

    def find_created(self, ids: Iterable[str], columns: Sequence[str]) -> dict[str, Stored]:
        """The rows of `created_users` that these ids have: origin, and these columns as text."""
        return self._find("created_users", ids, columns)

    def find_erased(self, ids: Iterable[str], generation: str) -> dict[str, Stored]:
        """The marks of `erased_users` that these ids have; those of other generations come from before any offset."""
        return {
            key: found if found.counted == (generation,) else found._replace(offset=-1)
            for key, found in self._find("erased_users", ids, ("generation",)).items()
        }

    def _find(self, table: str, ids: Iterable[str], columns: Sequence[str]) -> dict[str, Stored]:
        select = self._prepare(
            f"SELECT id, kafka_partition, kafka_offset, {', '.join(columns)} "  # noqa: S608
            f"FROM {self._keyspace}.{table} WHERE id IN ?"
        )
        wanted = sorted(ids)
        lookups = [(wanted[n : n + IDS_OF_A_LOOKUP],) for n in range(0, len(wanted), IDS_OF_A_LOOKUP)]
        found: dict[str, Stored] = {}
        for _, rows in execute_concurrent_with_args(self._session, select, lookups, concurrency=BATCHES_AT_ONCE):
            for row in rows:
                values = tuple(str(row[column]) for column in columns)
                found[row["id"]] = Stored(row["kafka_partition"], row["kafka_offset"], values)
        return found

    def write_created(self, rows: Iterable[Mapping[str, Any]], timestamp: int) -> None:
        """Write rows of `created_users` (its columns; nulls are left out), at a timestamp in microseconds."""
        rows = list(rows)
        if not rows:
            return
        columns = list(rows[0])
        insert = self._prepare(
            f"INSERT INTO {self._keyspace}.created_users ({', '.join(columns)}) "  # noqa: S608
            f"VALUES ({', '.join('?' for _ in columns)}) USING TIMESTAMP ?"
        )
        values = [(*(UNSET_VALUE if row[one] is None else row[one] for one in columns), timestamp) for row in rows]
        execute_concurrent_with_args(self._session, insert, values, concurrency=ROWS_AT_ONCE)

    def erase_created(self, erased: Iterable[Event], generation: str) -> None:
        """Mark ids as erased, and delete their rows, now and for good: no event of theirs brings them back."""
        mark = self._prepare(
            f"INSERT INTO {self._keyspace}.erased_users (id, generation, kafka_partition, kafka_offset) "  # noqa: S608
            "VALUES (?, ?, ?, ?)"
        )
        delete = self._prepare(f"DELETE FROM {self._keyspace}.created_users WHERE id = ?")  # noqa: S608
        erased = list(erased)
        marks = [(one.key, generation, one.partition, one.offset) for one in erased]
        execute_concurrent_with_args(self._session, mark, marks, concurrency=ROWS_AT_ONCE)
        execute_concurrent_with_args(self._session, delete, [(one.key,) for one in erased], concurrency=ROWS_AT_ONCE)

    def request_repair(self, repair: Repair) -> None:
        """Ask the stream, which alone writes the counts, to put some of them right."""
        counts = [[count.dimension, list(count.bucket), count.members] for count in repair.counts]
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
                [Count(name, tuple(bucket), members) for name, bucket, members in json.loads(row["counts"])],
            )
            for row in rows
        ]

    def delete_repair(self, repair: Repair) -> None:
        """Take a repair from the list: it is done, or dropped."""
        self._session.execute(
            f"DELETE FROM {self._keyspace}.analysis_repairs WHERE stream = %s AND name = %s",  # noqa: S608
            (self._stream, repair.name),
        )

    def read_created_users(self) -> Iterator[dict[str, Any]]:
        """The id of every member of `created_users`, and what it is counted by; reads the whole table."""
        yield from self._session.execute(
            SimpleStatement(
                f"SELECT id, date_of_birth, gender, country, city FROM {self._keyspace}.created_users",  # noqa: S608
                fetch_size=5000,
            )
        )

    def estimate_created_users(self) -> int:
        """About how many rows `created_users` has, as the nodes told some minutes ago; 0 before they first did."""
        select = (
            "SELECT partitions_count FROM system.table_estimates "
            "WHERE keyspace_name = %s AND table_name = 'created_users' AND range_type = 'primary'"
        )
        # Each node only tells of its own ranges.
        nodes = [node for node in self._session.cluster.metadata.all_hosts() if node.is_up]
        return sum(
            row["partitions_count"]
            for node in nodes
            for row in self._session.execute(select, (self._keyspace,), host=node)
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

    def stream_members(self) -> Iterator[dict[str, Any]]:
        """Every row of `created_users`, a page at a time: the id, what it is counted by, and its origin in Kafka.

        The columns kafka_partition and kafka_offset are the place of the record that the row was written from.
        """
        yield from self._session.execute(
            SimpleStatement(
                "SELECT id, date_of_birth, gender, country, city, kafka_partition, kafka_offset "  # noqa: S608
                f"FROM {self._keyspace}.created_users",
                fetch_size=5000,
            )
        )
