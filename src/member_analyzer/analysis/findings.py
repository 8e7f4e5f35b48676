"""Results of a recount: differences, repairs and audits."""

from dataclasses import dataclass
from datetime import date, datetime

from member_analyzer.analysis.counts import Bucket, Count


@dataclass(frozen=True)
class Difference:
    """A bucket whose live count differs from the recounted one."""

    table: str
    bucket: Bucket
    live: int
    recounted: int


@dataclass(frozen=True)
class Repair:
    """The recounted absolute values of the differing buckets, as of a numbered write of the stream."""

    name: str
    day: date
    number: int
    total: int
    counts: list[Count]


@dataclass(frozen=True)
class Audit:
    """The result of a recount for one table and day: the live and the recounted total, and the differences."""

    day: date
    checked_at: datetime
    table: str
    live: int
    recounted: int
    compared: int
    differences: list[Difference]
