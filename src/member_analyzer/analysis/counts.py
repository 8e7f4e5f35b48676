"""Counts by dimension and bucket, and the rows of the analysis tables derived from them.

Pure: computes the rows to write from the absolute counts of the changed buckets.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import date

from member_analyzer.streams.definition import Dimension

Bucket = tuple[str, ...]


@dataclass(frozen=True)
class Count:
    """The absolute number of records in a bucket of a dimension."""

    dimension: str
    bucket: Bucket
    records: int


@dataclass(frozen=True)
class Distribution:
    """An analysis table on one day: bucket -> records, and the total."""

    buckets: Mapping[Bucket, int]
    total: int


class Tally:
    """The current counts: the total, and the unfolded buckets of each dimension.

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
        # Cache: dimension -> day and folded buckets. Each batch changes few of them.
        self._folded: dict[str, tuple[date, dict[Bucket, int]]] = {}

    def records(self, dimension: str, bucket: Bucket) -> int:
        """Return the count of a bucket; 0 if it is unknown."""
        return self._counts[dimension].get(bucket, 0)

    def buckets(self, dimension: str) -> Mapping[Bucket, int]:
        """Return all unfolded buckets of a dimension."""
        return self._counts[dimension]

    def set_counts(self, counts: Iterable[Count]) -> None:
        """Set absolute counts. Idempotent. Raises KeyError for an unknown dimension."""
        for count in counts:
            buckets = self._counts[count.dimension]
            if (folded := self._folded.get(count.dimension)) is not None:
                day, groups = folded
                label = label_of(self._dimensions[count.dimension], count.bucket, day)
                groups[label] += count.records - buckets.get(count.bucket, 0)
            buckets[count.bucket] = count.records

    def distribution(self, table: str, day: date) -> Distribution:
        """Return a table on a day, without empty buckets, except those of a fold."""
        dimension = self._by_table[table]
        buckets = self._counts[dimension.name]
        if dimension.fold is None:
            return Distribution({bucket: records for bucket, records in buckets.items() if records}, self.total)
        if dimension.name not in self._folded or self._folded[dimension.name][0] != day:
            self._folded[dimension.name] = day, fold(dimension, buckets, day)
        return Distribution(dict(self._folded[dimension.name][1]), self.total)

    def changed_distributions(self, counts: Iterable[Count], day: date) -> Iterator[tuple[str, Distribution]]:
        """Yield (table, changed buckets) for counts that were just set."""
        changed: dict[str, dict[Bucket, int]] = {}
        for count in counts:
            changed.setdefault(count.dimension, {})[count.bucket] = count.records
        for name, buckets in changed.items():
            dimension = self._dimensions[name]
            # A folded bucket is the sum of several.
            folded = self.distribution(dimension.table, day) if dimension.fold else Distribution(buckets, self.total)
            yield dimension.table, folded


def fold(dimension: Dimension, buckets: Mapping[Bucket, int], day: date) -> dict[Bucket, int]:
    """Return the buckets of a dimension's analysis table on a day."""
    if dimension.fold is None:
        return dict(buckets)
    groups: dict[Bucket, int] = {(label,): 0 for label in dimension.fold.labels}
    for bucket, records in buckets.items():
        groups[label_of(dimension, bucket, day)] += records
    return groups


def label_of(dimension: Dimension, bucket: Bucket, day: date) -> Bucket:
    """Return the folded bucket of a date on a day. Raises ValueError if the dimension has no fold."""
    if dimension.fold is None:
        raise ValueError(f"The dimension {dimension.name} has no fold.")
    return (dimension.fold.label_on(day, date.fromisoformat(bucket[0])),)
