"""The recount: `created_users` counted afresh, compared with the live tables, and what differs repaired.

Members arrive while it counts. A live number is right when it lies between the counts at two moments: the offsets that
were surely counted before the tables were read, and those that may have been counted after.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime

import structlog
from pyspark.sql import Column, DataFrame, SparkSession
from pyspark.sql import functions as F
from tenacity import RetryError, Retrying, retry_if_result, stop_after_delay, wait_fixed

from member_analyzer.analysis import TABLE_NAMES, Count, Distribution, Tally
from member_analyzer.member import DIMENSIONS, Dimension
from member_analyzer.settings import CassandraSettings
from member_analyzer.spark import CASSANDRA
from member_analyzer.stream import TOTAL
from member_analyzer.tables import ANALYSIS_QUERY, MEMBERS_QUERY, AnalysisTables, Audit, Difference, Positions

log = structlog.get_logger(__name__)

# Seconds that the query `members` may be behind the query `analysis` before the recount gives up.
LONGEST_LAG = 300
# An erasure in the midst of a recount can look like a difference once, but not again and again.
LOOKS = 3


class RecountError(RuntimeError):
    """Raised when the stream does not get on, so that nothing can be compared."""


@dataclass(frozen=True)
class Recount:
    """What was compared on a day: the buckets that differed, by table, the births that did, and up to which offsets."""

    day: date
    total: int
    differences: Mapping[str, list[Difference]]
    births: Mapping[date, int]
    position: Positions


@dataclass(frozen=True)
class Bounds:
    """The counts at the earlier and at the later of two moments."""

    lowest: Tally
    highest: Tally


def recount_members(spark: SparkSession, tables: AnalysisTables, settings: CassandraSettings) -> Recount | None:
    """Count everything again, write what was found to `analysis_audit`, and put the wrong buckets right.

    It repairs only while no member is counted: what the stream wrote meanwhile is newer than what was counted here.
    None where no member was counted yet. Raises RecountError when the stream stands still.
    """
    if tables.read_progress(ANALYSIS_QUERY).analysis_date is None:
        log.info("recount.nothing_counted_yet")
        return None
    found = _look(spark, tables, settings)
    for _ in range(LOOKS - 1):
        if not any(found.differences.values()):
            break
        again = _look(spark, tables, settings)
        found = Recount(
            again.day,
            again.total,
            {
                table: [one for one in differences if _concerns(one, found.differences.get(table, []))]
                for table, differences in again.differences.items()
            },
            {born: members for born, members in again.births.items() if born in found.births},
            again.position,
        )
    checked_at = datetime.now(UTC)
    for table, differences in found.differences.items():
        live = tables.read_distribution(table, found.day)
        tables.write_audit(Audit(found.day, checked_at, table, live.total, found.total, len(live.buckets), differences))
        if differences:
            log.warning("recount.differs", table=table, day=found.day.isoformat(), buckets=len(differences))
    if any(found.differences.values()) or found.births:
        _repair(tables, found)
    log.info(
        "recount.done",
        day=found.day.isoformat(),
        members=found.total,
        differing={table: len(differences) for table, differences in found.differences.items()},
    )
    return found


def compare(table: str, live: Distribution, bounds: Bounds, day: date) -> list[Difference]:
    """The buckets whose live number is outside the bounds; the day's total counts as the bucket `()`."""
    lowest, highest = bounds.lowest.distribution(table, day), bounds.highest.distribution(table, day)
    found = [
        Difference(table, bucket, live.buckets.get(bucket, 0), highest.buckets.get(bucket, 0))
        for bucket in sorted(live.buckets.keys() | highest.buckets.keys())
        if not lowest.buckets.get(bucket, 0) <= live.buckets.get(bucket, 0) <= highest.buckets.get(bucket, 0)
    ]
    if not lowest.total <= live.total <= highest.total:
        found.append(Difference(table, (), live.total, highest.total))
    return found


def count_members(members: DataFrame, dimensions: Sequence[Dimension], low: Positions, high: Positions) -> DataFrame:
    """The members in each bucket up to two positions.

    `members` has the dimensions' columns, kafka_partition and kafka_offset. Gives dimension (string), bucket (array of
    strings), lowest and highest (long: how many have an offset up to the first and the second position).
    """
    counted = [
        F.struct(F.lit(name).alias("dimension"), F.array(*columns).alias("bucket"))
        for name, columns in [
            (TOTAL, [F.lit("")]),
            *((one.name, [F.col(column).cast("string") for column in one.columns]) for one in dimensions),
        ]
    ]
    return (
        members.select(
            F.explode(F.array(*counted)).alias("counted"), _is_up_to(low).alias("low"), _is_up_to(high).alias("high")
        )
        .groupBy("counted.dimension", "counted.bucket")
        .agg(F.count_if("low").alias("lowest"), F.count_if("high").alias("highest"))
    )


def _is_up_to(positions: Positions) -> Column:
    of_partition = [
        (F.col("kafka_partition") == partition) & (F.col("kafka_offset") <= offset)
        for partition, offset in positions.items()
    ]
    return F.coalesce(*(F.when(condition, F.lit(True)) for condition in of_partition), F.lit(False))


def _look(spark: SparkSession, tables: AnalysisTables, settings: CassandraSettings) -> Recount:
    before = tables.read_progress(ANALYSIS_QUERY)
    day = before.analysis_date
    if day is None:
        raise RecountError("The progress of the stream is gone: was Cassandra emptied meanwhile?")
    live = {table: tables.read_distribution(table, day) for table in TABLE_NAMES}
    births = tables.read_births()
    after = tables.read_progress(ANALYSIS_QUERY).writing
    _wait_for_members(tables, after)
    members = spark.read.format(CASSANDRA).options(keyspace=settings.keyspace, table="created_users").load()
    rows = count_members(members, DIMENSIONS, before.written, after).collect()
    bounds = Bounds(
        *(
            _tally(Count(row["dimension"], tuple(row["bucket"]), row[bound]) for row in rows)
            for bound in ("lowest", "highest")
        )
    )
    differences = {table: compare(table, live[table], bounds, day) for table in TABLE_NAMES}
    wrong_births = {
        born: bounds.highest.births.get(born, 0)
        for born in births.keys() | bounds.highest.births.keys()
        if not bounds.lowest.births.get(born, 0) <= births.get(born, 0) <= bounds.highest.births.get(born, 0)
    }
    return Recount(day, bounds.highest.total, differences, wrong_births, after)


def _tally(counts: Iterable[Count]) -> Tally:
    tally = Tally()
    for count in counts:
        if count.dimension == TOTAL:
            tally.set_total(count.members)
        else:
            tally.set_counts([count])
    return tally


def _wait_for_members(tables: AnalysisTables, positions: Positions) -> None:
    """Wait until `created_users` holds every member that may be in the live tables."""

    def is_behind(written: Positions) -> bool:
        return any(written.get(partition, -1) < offset for partition, offset in positions.items())

    retrying = Retrying(stop=stop_after_delay(LONGEST_LAG), wait=wait_fixed(0.5), retry=retry_if_result(is_behind))
    try:
        retrying(lambda: tables.read_progress(MEMBERS_QUERY).written)
    except RetryError:
        raise RecountError(
            f"created_users has been behind the analysis tables for {LONGEST_LAG} seconds: see why the stream's query "
            f"{MEMBERS_QUERY!r} does not get on, then run the recount again."
        ) from None


def _concerns(difference: Difference, earlier: Sequence[Difference]) -> bool:
    return any(one.bucket == difference.bucket for one in earlier)


def _repair(tables: AnalysisTables, found: Recount) -> None:
    if tables.read_progress(ANALYSIS_QUERY).writing != found.position:
        log.warning("recount.repairs_later", day=found.day.isoformat(), cause="members were counted meanwhile")
        return
    tables.write_births(found.births)
    for table, differences in found.differences.items():
        buckets = {one.bucket: one.recounted for one in differences if one.bucket}
        if differences and not buckets:
            # The total is written along with a bucket.
            buckets = dict(list(tables.read_distribution(table, found.day).buckets.items())[:1])
        tables.write_distribution(table, found.day, Distribution(buckets, found.total))
