"""The recount: counts the rows of a stream, compares them with the live tables, and requests repairs.

Records arrive while it counts. If the tables can be read between two writes of the stream, they must equal the rows up
to the counted offsets. If the stream writes continuously, a live count is correct if it lies between two bounds: the
rows up to the offsets counted before the tables were read, and up to those counted after. The stream itself applies the
repairs, so that its next write does not overwrite them.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime
from uuid import uuid4

import structlog
from pyspark.sql import Column, DataFrame, SparkSession
from pyspark.sql import functions as F
from tenacity import RetryError, Retrying, retry_if_result, stop_after_delay, wait_fixed

from member_analyzer.analysis.counts import Bucket, Count, Distribution, Tally
from member_analyzer.analysis.findings import Audit, Difference, Repair
from member_analyzer.analysis.progress import Progress
from member_analyzer.analysis.tables import AnalysisTables
from member_analyzer.records.offsets import Offsets
from member_analyzer.settings import CassandraSettings
from member_analyzer.spark.session import CASSANDRA
from member_analyzer.streams.definition import Dimension, StreamDefinition

log = structlog.get_logger(__name__)

# The pseudo-dimension of all records.
TOTAL = "total"
# Seconds within which the stream must write the rows of its counts, and apply a repair.
LONGEST_LAG = 300
# Seconds to try to read the tables between two writes of the stream.
SECONDS_TO_SETTLE = 60
# An erasure during a recount can look like a difference, but not repeatedly.
LOOKS = 3


class RecountError(RuntimeError):
    """Raised when the stream makes no progress, so that nothing can be compared."""


@dataclass(frozen=True)
class Recount:
    """The result for a day: the differing buckets, by table, and the recounted total.

    `folded` are the differing counts of folded dimensions, as (dimension, bucket) -> recounted. `number` is the write
    of the stream for which the comparison is exact; None if the stream wrote or erased records meanwhile.
    """

    day: date
    total: int
    differences: Mapping[str, list[Difference]]
    folded: Mapping[tuple[str, Bucket], int]
    number: int | None

    @property
    def differs(self) -> bool:
        """Whether any count differs."""
        return any(self.differences.values()) or bool(self.folded)


@dataclass(frozen=True)
class Bounds:
    """The lower and the upper bound of the counts."""

    lowest: Tally
    highest: Tally


def recount(spark: SparkSession, tables: AnalysisTables, settings: CassandraSettings) -> Recount | None:
    """Recount, write the result to `analysis_audit`, and have the stream repair differences.

    Returns the result before the repair; None if nothing is counted yet. Raises RecountError if the stream makes no
    progress.
    """
    if tables.read_progress().analysis_date is None:
        log.info("recount.nothing_counted_yet")
        return None
    found = _look(spark, tables, settings)
    for _ in range(LOOKS - 1):
        if not found.differs or found.number is not None:
            break
        found = _in_both(found, _look(spark, tables, settings))
    checked_at = datetime.now(UTC)
    for table, differences in found.differences.items():
        live = tables.read_distribution(table, found.day)
        tables.write_audit(Audit(found.day, checked_at, table, live.total, found.total, len(live.buckets), differences))
        if differences:
            log.warning("recount.differs", table=table, day=found.day.isoformat(), buckets=len(differences))
    if found.differs:
        _repair(tables, found)
    log.info(
        "recount.done",
        day=found.day.isoformat(),
        records=found.total,
        differing={table: len(differences) for table, differences in found.differences.items()},
    )
    return found


def _in_both(first: Recount, again: Recount) -> Recount:
    """Return the differences that both results contain, with the counts of the second; all of it if that is exact."""
    if again.number is not None:
        return again
    return Recount(
        again.day,
        again.total,
        {
            table: [one for one in differences if _concerns(one, first.differences.get(table, []))]
            for table, differences in again.differences.items()
        },
        {bucket: records for bucket, records in again.folded.items() if bucket in first.folded},
        None,
    )


def compare(table: str, live: Distribution, bounds: Bounds, day: date) -> list[Difference]:
    """Return the buckets whose live count is outside the bounds; the total is the bucket `()`."""
    lowest, highest = bounds.lowest.distribution(table, day), bounds.highest.distribution(table, day)
    found = [
        Difference(table, bucket, live.buckets.get(bucket, 0), highest.buckets.get(bucket, 0))
        for bucket in sorted(live.buckets.keys() | highest.buckets.keys())
        if not lowest.buckets.get(bucket, 0) <= live.buckets.get(bucket, 0) <= highest.buckets.get(bucket, 0)
    ]
    if not lowest.total <= live.total <= highest.total:
        found.append(Difference(table, (), live.total, highest.total))
    return found


def count_rows(rows: DataFrame, dimensions: Sequence[Dimension], low: Offsets, high: Offsets) -> DataFrame:
    """Count the records in each bucket up to two sets of offsets.

    `rows` has the dimensions' columns, kafka_partition and kafka_offset. Returns dimension (string), bucket (array of
    strings), lowest and highest (long: the number of records up to the first and to the second offsets).
    """
    counted = [
        F.struct(F.lit(name).alias("dimension"), F.array(*columns).alias("bucket"))
        for name, columns in [
            (TOTAL, [F.lit("")]),
            *((one.name, [F.col(column).cast("string") for column in one.columns]) for one in dimensions),
        ]
    ]
    return (
        rows.select(
            F.explode(F.array(*counted)).alias("counted"), _is_up_to(low).alias("low"), _is_up_to(high).alias("high")
        )
        .groupBy("counted.dimension", "counted.bucket")
        .agg(F.count_if("low").alias("lowest"), F.count_if("high").alias("highest"))
    )


def _is_up_to(positions: Offsets) -> Column:
    of_partition = [
        (F.col("kafka_partition") == partition) & (F.col("kafka_offset") <= offset)
        for partition, offset in positions.items()
    ]
    return F.coalesce(*(F.when(condition, F.lit(True)) for condition in of_partition), F.lit(False))


@dataclass(frozen=True)
class _Live:
    """The live tables, and the stream's progress before and after reading them."""

    tables: Mapping[str, Distribution]
    folded: Mapping[str, Mapping[Bucket, int]]
    before: Progress
    after: Progress

    @property
    def is_settled(self) -> bool:
        """Whether the stream wrote nothing while the tables were read."""
        return self.before.is_settled and (self.before.number, self.before.written) == (
            self.after.number,
            self.after.written,
        )


def _read_live(tables: AnalysisTables) -> _Live:
    def read() -> _Live:
        before = tables.read_progress()
        if before.analysis_date is None:
            raise RecountError(
                "The stream has no progress in Cassandra: its tables may have been emptied during the recount."
            )
        distributions = {
            table: tables.read_distribution(table, before.analysis_date) for table in tables.definition.tables
        }
        return _Live(distributions, tables.read_folded(), before, tables.read_progress())

    retrying = Retrying(
        stop=stop_after_delay(SECONDS_TO_SETTLE),
        wait=wait_fixed(0.2),
        retry=retry_if_result(lambda live: not live.is_settled),
        retry_error_callback=lambda state: state.outcome.result() if state.outcome else None,
    )
    live: _Live = retrying(read)
    return live


def _look(spark: SparkSession, tables: AnalysisTables, settings: CassandraSettings) -> Recount:
    live = _read_live(tables)
    day = live.before.analysis_date
    if day is None:
        raise RecountError(
            "The stream has no progress in Cassandra: its tables may have been emptied during the recount."
        )
    _wait_for_rows(tables, live.after.writing)
    definition = tables.definition
    rows = spark.read.format(CASSANDRA).options(keyspace=settings.keyspace, table=definition.table).load()
    counted = count_rows(rows, definition.dimensions, live.before.written, live.after.writing).collect()
    bounds = Bounds(
        *(
            _tally(definition, [Count(row["dimension"], tuple(row["bucket"]), row[bound]) for row in counted])
            for bound in ("lowest", "highest")
        )
    )
    differences = {table: compare(table, live.tables[table], bounds, day) for table in definition.tables}
    folded = {
        (name, bucket): bounds.highest.records(name, bucket)
        for name, buckets in live.folded.items()
        for bucket in buckets.keys() | bounds.highest.buckets(name).keys()
        if not bounds.lowest.records(name, bucket) <= buckets.get(bucket, 0) <= bounds.highest.records(name, bucket)
    }
    # An erasure deletes rows that the tables still counted.
    is_exact = live.is_settled and tables.read_progress().erasures == live.after.erasures
    return Recount(day, bounds.highest.total, differences, folded, live.after.number if is_exact else None)


def _tally(definition: StreamDefinition, counts: Iterable[Count]) -> Tally:
    tally = Tally(definition.dimensions)
    for count in counts:
        if count.dimension == TOTAL:
            tally.total = count.records
        else:
            tally.set_counts([count])
    return tally


def _wait_for_rows(tables: AnalysisTables, positions: Offsets) -> None:
    """Wait until the rows up to these offsets are written."""

    def is_behind(written: Offsets) -> bool:
        return any(written.get(partition, -1) < offset for partition, offset in positions.items())

    retrying = Retrying(stop=stop_after_delay(LONGEST_LAG), wait=wait_fixed(0.5), retry=retry_if_result(is_behind))
    try:
        retrying(lambda: tables.read_progress().written)
    except RetryError:
        raise RecountError(
            f"The stream has not finished a batch for {LONGEST_LAG} seconds: see its log for the cause, then run the "
            "recount again."
        ) from None


def _concerns(difference: Difference, earlier: Sequence[Difference]) -> bool:
    return any(one.bucket == difference.bucket for one in earlier)


def _repair(tables: AnalysisTables, found: Recount) -> None:
    """Request a repair from the stream, and wait until it is applied."""
    if found.number is None:
        log.warning("recount.repairs_later", day=found.day.isoformat(), cause="the stream wrote continuously")
        return
    counts = [Count(name, bucket, records) for (name, bucket), records in found.folded.items()]
    counts += [
        Count(dimension.name, one.bucket, one.recounted)
        for dimension in tables.definition.dimensions
        if dimension.fold is None
        for one in found.differences[dimension.table]
        if one.bucket
    ]
    repair = Repair(str(uuid4()), found.day, found.number, found.total, counts)
    tables.request_repair(repair)
    retrying = Retrying(stop=stop_after_delay(LONGEST_LAG), wait=wait_fixed(0.5), retry=retry_if_result(bool))
    try:
        retrying(lambda: any(one.name == repair.name for one in tables.read_repairs()))
    except RetryError:
        raise RecountError(
            f"The stream has not applied the repair within {LONGEST_LAG} seconds. It will once it runs again."
        ) from None
