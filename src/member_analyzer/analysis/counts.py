"""The analysis tables as numbers: what is counted, and which rows of which table follow from it.

Pure: given absolute counts of the buckets that changed, this computes what to write under which key.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import date

from member_analyzer.streams.definition import Dimension

Bucket = tuple[str, ...]


@dataclass(frozen=True)
class Count:
    """How many records a bucket of a dimension holds, absolutely."""

    dimension: str
    bucket: Bucket
    records: int


@dataclass(frozen=True)
class Distribution:
    """One table of one day: bucket -> records, and the day's total."""

    buckets: Mapping[Bucket, int]
    total: int


class Tally:
    """Every count as it is now: the total, and the buckets of each dimension, those of a fold before they are folded.

    `counts` is dimension -> bucket -> records.
    """

    def __init__(
        self,
        dimensions: Sequence[Dimension],
        total: int = 0,
        counts: Mapping[str, Mapping[Bucket, int]] | None = None,
    ) -> None:
        self.total = total
        self._dimensions = {dimension.name: dimension for dimension in dimensions}
        self._by_table = {dimension.table: dimension for dimension in dimensions}
        self._counts = {name: dict((counts or {}).get(name, {})) for name in self._dimensions}
        # Dimension -> the day that it was folded for, and the folded buckets: each batch changes few of them.
        self._folded: dict[str, tuple[date, dict[Bucket, int]]] = {}

    def records(self, dimension: str, bucket: Bucket) -> int:
        """How many records a bucket of a dimension holds; 0 for one that none was ever in."""
        return self._counts[dimension].get(bucket, 0)

    def buckets(self, dimension: str) -> Mapping[Bucket, int]:
        """All buckets of a dimension, not folded."""
        return self._counts[dimension]

    def set_counts(self, counts: Iterable[Count]) -> None:
        """Take over absolute counts; repeating it changes nothing. Raises KeyError for an unknown dimension."""
        for count in counts:
            buckets = self._counts[count.dimension]
            if (folded := self._folded.get(count.dimension)) is not None:
                day, groups = folded
                label = label_of(self._dimensions[count.dimension], count.bucket, day)
                groups[label] += count.records - buckets.get(count.bucket, 0)
            buckets[count.bucket] = count.records

    def distribution(self, table: str, day: date) -> Distribution:
        """All of one table as it is on a day; empty buckets are left out, but for those of a fold."""
        dimension = self._by_table[table]
        buckets = self._counts[dimension.name]
        if dimension.fold is None:
            return Distribution({bucket: records for bucket, records in buckets.items() if records}, self.total)
        if dimension.name not in self._folded or self._folded[dimension.name][0] != day:
            self._folded[dimension.name] = day, fold(dimension, buckets, day)
        return Distribution(dict(self._folded[dimension.name][1]), self.total)

    def changed_distributions(self, counts: Iterable[Count], day: date) -> Iterator[tuple[str, Distribution]]:
        """The tables' rows that follow from counts that were just taken over, as (table, its changed buckets)."""
        changed: dict[str, dict[Bucket, int]] = {}
        for count in counts:
            changed.setdefault(count.dimension, {})[count.bucket] = count.records
        for name, buckets in changed.items():
            dimension = self._dimensions[name]
            # A folded bucket is the sum of many.
            folded = self.distribution(dimension.table, day) if dimension.fold else Distribution(buckets, self.total)
            yield dimension.table, folded


def fold(dimension: Dimension, buckets: Mapping[Bucket, int], day: date) -> dict[Bucket, int]:
    """The buckets of a dimension as its table holds them on a day: folded, where it has a fold."""
    if dimension.fold is None:
        return dict(buckets)
    groups: dict[Bucket, int] = {(label,): 0 for label in dimension.fold.labels}
    for bucket, records in buckets.items():
        groups[label_of(dimension, bucket, day)] += records
    return groups


def label_of(dimension: Dimension, bucket: Bucket, day: date) -> Bucket:
    """The folded bucket that a date belongs to on a day. Raises ValueError for a dimension without a fold."""
    if dimension.fold is None:
        raise ValueError(f"The dimension {dimension.name} has no fold.")
    return (dimension.fold.label_on(day, date.fromisoformat(bucket[0])),)
