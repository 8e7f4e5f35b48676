"""Computes the changes of a micro-batch: which events count, and the delta of each bucket.

Pure: the stream looks up the ids of the batch in Cassandra and passes the result. A record's row is the only state of
what was counted for it, so an erasure subtracts exactly that, regardless of the fields of the erasure event.
"""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

from member_analyzer.analysis.counts import Bucket
from member_analyzer.records.offsets import Offsets
from member_analyzer.streams.definition import Dimension


class Event(NamedTuple):
    """An accepted record: its key, origin, and counted columns as text."""

    key: str
    partition: int
    offset: int
    is_erasure: bool
    counted: tuple[str, ...]


class Stored(NamedTuple):
    """The row of a key in Cassandra: its origin, and its counted columns as text."""

    partition: int
    offset: int
    counted: tuple[str, ...] = ()


@dataclass
class Changes:
    """The changes of a batch. The rows are idempotent; the deltas must be applied once."""

    created: dict[str, Event] = field(default_factory=dict)
    """The event of each new key, whose row is to be written."""
    duplicates: list[Event] = field(default_factory=list)
    """Created events without effect: their key was created or erased before, or is erased in this batch."""
    erased: dict[str, Event] = field(default_factory=dict)
    """The first erasure of each key, whose row is to be deleted."""
    buckets: Counter[tuple[str, Bucket]] = field(default_factory=Counter)
    """The delta of each bucket, as (dimension, bucket) -> records."""
    total: int = 0


def find_changes(
    events: Iterable[Event],
    *,
    created: Mapping[str, Stored],
    erased: Mapping[str, Stored],
    written: Offsets,
    dimensions: Sequence[Dimension],
    columns: Sequence[str],
) -> Changes:
    """Compute the changes of events, given the stored state of their keys.

    `created` are the rows of these keys, `erased` the erasures; `columns` names the values of `counted`. Rows with an
    offset beyond `written` are left from a failed attempt at this batch and are ignored.
    Of several created events of a key, the one with the lowest partition and offset counts.
    """

    def is_stored(found: Stored | None) -> bool:
        return found is not None and found.offset <= written.get(found.partition, -1)

    changes = Changes()
    first: dict[str, Event] = {}
    for event in sorted(events, key=lambda one: (one.partition, one.offset)):
        if event.is_erasure:
            if not is_stored(erased.get(event.key)):
                changes.erased.setdefault(event.key, event)
        elif event.key in first or is_stored(created.get(event.key)) or is_stored(erased.get(event.key)):
            changes.duplicates.append(event)
        else:
            first[event.key] = event
    for key, event in first.items():
        if key in changes.erased:
            changes.duplicates.append(event)
        else:
            changes.created[key] = event
            _move(changes, event.counted, 1, dimensions, columns)
    for key in changes.erased:
        row = created.get(key)
        if row is not None and is_stored(row):
            _move(changes, row.counted, -1, dimensions, columns)
    return changes


def _move(
    changes: Changes, counted: tuple[str, ...], members: int, dimensions: Sequence[Dimension], columns: Sequence[str]
) -> None:
    values = dict(zip(columns, counted, strict=True))
    changes.total += members
    for dimension in dimensions:
        changes.buckets[(dimension.name, tuple(values[column] for column in dimension.columns))] += members
