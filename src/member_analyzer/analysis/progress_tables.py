"""Reads and writes the progress of one stream in Cassandra, and its generations.

Every write is an absolute value under a fixed key, and therefore idempotent.
"""

from collections.abc import Iterable
from datetime import UTC, date, datetime

from cassandra.cluster import Session
from cassandra.concurrent import execute_concurrent
from cassandra.query import BatchStatement, BatchType, PreparedStatement

from member_analyzer.analysis.progress import QUERY, Generation, Generations, Progress
from member_analyzer.records.offsets import Offsets
from member_analyzer.streams.definition import TopicDefinition

# The longest country and city take 1.2 KB: a batch of such rows stays below Cassandra's limit of 50 KiB.
ROWS_OF_A_BATCH = 30
BATCHES_AT_ONCE = 16


def read_refusals(session: Session, keyspace: str) -> dict[str, str]:
    """Read why streams refuse to start, by the name of their topic."""
    # One small partition per stream.
    rows = session.execute(f"SELECT stream, refusal FROM {keyspace}.stream_progress")  # noqa: S608
    return {row["stream"]: row["refusal"] for row in rows if row["refusal"]}


class ProgressTables:
    """Reads and writes the progress of one stream; a subclass adds the tables of what the stream counts."""

    def __init__(self, session: Session, keyspace: str, definition: TopicDefinition) -> None:
        self._session = session
        self._keyspace = keyspace
        self._stream = definition.topic.name
        self._prepared: dict[str, PreparedStatement] = {}
        self._write_after_earlier_programs()

    def begin_generation(self, generation: Generation, today: date) -> None:
        """Empty the tables and begin a generation. Idempotent. Only the stream calls it."""
        raise NotImplementedError

    def _write_after_earlier_programs(self) -> None:
        """Make this session's write timestamps later than those of a previous writer whose clock was ahead.

        Cassandra keeps the write with the latest timestamp, which is the clock of the client.
        """
        rows = self._session.execute(
            f"SELECT WRITETIME(updated_at) AS written FROM {self._keyspace}.stream_progress WHERE stream = %s",  # noqa: S608
            (self._stream,),
        )
        clock = self._session.cluster.timestamp_generator
        with clock.lock:
            clock.last = max(clock.last, *(row["written"] or 0 for row in rows), 0)

    def read_progress(self) -> Progress:
        """Read the progress of the stream; empty if it never wrote."""
        select = self._prepare(
            "SELECT analysis_date, written, writing, updated_at, number, applied, erasures "  # noqa: S608
            f"FROM {self._keyspace}.stream_progress WHERE stream = ? AND query = ?"
        )
        row = self._session.execute(select, (self._stream, QUERY)).one()
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

    def read_number(self) -> int:
        """Read the number of the newest change; 0 if there is none."""
        select = self._prepare(
            f"SELECT number FROM {self._keyspace}.stream_progress WHERE stream = ? AND query = ?"  # noqa: S608
        )
        row = self._session.execute(select, (self._stream, QUERY)).one()
        return 0 if row is None else row["number"] or 0

    def read_journal(self) -> bytes:
        """Read the journal of the newest change. Raises LookupError if there is none."""
        row = self._session.execute(
            f"SELECT journal FROM {self._keyspace}.stream_progress WHERE stream = %s AND query = %s",  # noqa: S608
            (self._stream, QUERY),
        ).one()
        if row is None or row["journal"] is None:
            raise LookupError("The stream's progress has no journal.")
        return bytes(row["journal"])

    def begin_counts(self, number: int, counted: Offsets, journal: bytes, erasures: int) -> None:
        """Write the journal of a change that counts records up to these offsets."""
        self._write_progress(number=number, writing=dict(counted), journal=journal, erasures=erasures)

    def end_counts(self, number: int, day: date) -> None:
        """Record that a change is applied to the tables of a day."""
        self._write_progress(applied=number, analysis_date=day)

    def end_rows(self, written: Offsets, counted: Offsets) -> None:
        """Record that rows are written up to `written`, and records counted up to `counted`."""
        self._write_progress(written=dict(written), writing=dict(counted))

    def _write_progress(self, **columns: object) -> None:
        columns["updated_at"] = datetime.now(UTC)
        update = self._prepare(
            f"UPDATE {self._keyspace}.stream_progress SET {', '.join(f'{name} = ?' for name in columns)} "  # noqa: S608
            "WHERE stream = ? AND query = ?"
        )
        self._session.execute(update, (*columns.values(), self._stream, QUERY))

    def is_of_earlier_version(self) -> bool:
        """Whether the tables were written by a version with another progress format."""
        rows = self._session.execute(
            f"SELECT query FROM {self._keyspace}.stream_progress WHERE stream = %s",  # noqa: S608
            (self._stream,),
        )
        return bool({row["query"] for row in rows} - {QUERY})

    def read_isolation(self) -> str | None:
        """Read the state of the search for an unprocessable record, or None."""
        row = self._session.execute(
            f"SELECT isolation FROM {self._keyspace}.stream_progress WHERE stream = %s AND query = %s",  # noqa: S608
            (self._stream, QUERY),
        ).one()
        return None if row is None else row["isolation"]

    def write_isolation(self, state: str | None) -> None:
        """Write the state of that search; None clears it."""
        self._write_progress(isolation=state)

    def write_refusal(self, message: str | None) -> None:
        """Write why the stream refuses to start; None if it runs."""
        # Not by _write_progress: a refusal is no progress.
        self._session.execute(
            f"UPDATE {self._keyspace}.stream_progress SET refusal = %s WHERE stream = %s AND query = %s",  # noqa: S608
            (message, self._stream, QUERY),
        )

    def read_generations(self) -> Generations:
        """Read the current and the wanted generation."""
        select = self._prepare(
            "SELECT current, current_begin, current_look_from, current_topic_id, "  # noqa: S608
            "wanted, wanted_begin, wanted_look_from, wanted_topic_id "
            f"FROM {self._keyspace}.stream_generations WHERE stream = ?"
        )
        row = self._session.execute(select, (self._stream,)).one()
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
        """Store the topic id of the current generation. Only the stream calls it."""
        self._write_generation("current", generation)

    def want_generation(self, wanted: Generation) -> None:
        """Request a new generation from the stream."""
        self._write_generation("wanted", wanted)

    def _restart_progress(self, generation: Generation) -> None:
        """Begin a generation without progress; the caller has emptied the tables."""
        self._session.execute(f"DELETE FROM {self._keyspace}.stream_refusals WHERE stream = %s", (self._stream,))  # noqa: S608
        number = self.read_progress().number
        # Not deleted: its timestamp is the lower bound for the next writer (_write_after_earlier_programs).
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
        """Record that records of an unknown schema were rejected up to these offsets."""
        self._session.execute(
            f"UPDATE {self._keyspace}.stream_refusals SET positions = positions + %s "  # noqa: S608
            "WHERE stream = %s AND schema_id = %s",
            (dict(positions), self._stream, schema_id),
        )

    def read_unknown_schema_offsets(self, schema_ids: Iterable[int]) -> dict[int, Offsets]:
        """Read up to which offsets records of these schemas were rejected, by schema id."""
        select = f"SELECT positions FROM {self._keyspace}.stream_refusals WHERE stream = %s AND schema_id = %s"  # noqa: S608
        rows = {schema_id: self._session.execute(select, (self._stream, schema_id)).one() for schema_id in schema_ids}
        return {schema_id: dict(row["positions"]) for schema_id, row in rows.items() if row is not None}

    def _prepare(self, statement: str) -> PreparedStatement:
        if statement not in self._prepared:
            self._prepared[statement] = self._session.prepare(statement)
        return self._prepared[statement]

    def _write(
        self, rows: Iterable[tuple[object, tuple[object, ...]]], *, rows_of_a_batch: int = ROWS_OF_A_BATCH
    ) -> None:
        """Write rows of a single partition in unlogged batches, each of which is atomic."""
        batches: list[BatchStatement] = []
        for number, (statement, values) in enumerate(rows):
            if number % rows_of_a_batch == 0:
                batches.append(BatchStatement(batch_type=BatchType.UNLOGGED))
            batches[-1].add(statement, values)
        if batches:
            execute_concurrent(self._session, [(batch, None) for batch in batches], concurrency=BATCHES_AT_ONCE)
