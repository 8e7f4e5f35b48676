"""What recounts found: differences, repairs and audits."""

from dataclasses import dataclass
from datetime import date, datetime

from member_analyzer.analysis.counts import Bucket, Count


@dataclass(frozen=True)
class Difference:
    """A bucket of a table in which the live number is not what the recount found."""

    table: str
    bucket: Bucket
    live: int
    recounted: int


@dataclass(frozen=True)
class Repair:
    """Absolute values that a recount found for the buckets that were wrong, as of one numbered write of the stream."""

    name: str
    day: date
    number: int
    total: int
    counts: list[Count]


@dataclass(frozen=True)
class Audit:
    """What a recount of one table of a day found: the live and the recounted total, and the buckets that differed."""

    day: date
    checked_at: datetime
    table: str
    live: int
    recounted: int
    compared: int
    differences: list[Difference]
