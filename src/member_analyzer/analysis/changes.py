"""What a micro-batch changes: which of its events count, and by how much each bucket moves.

Pure: the stream reads what Cassandra holds of the batch's ids, this decides. The row of a member is the only memory of
what was counted of it, so that an erasure takes back exactly that, whatever the erasure itself says.
"""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

from member_analyzer.analysis.counts import Bucket
from member_analyzer.records.offsets import Offsets
from member_analyzer.streams.definition import Dimension


class Event(NamedTuple):
    """An accepted record: whose it is, where it came from, and the columns that members are counted by, as text."""

    key: str
    partition: int
    offset: int
    is_erasure: bool
    counted: tuple[str, ...]


class Stored(NamedTuple):
    """What Cassandra holds of an id: the origin of its row, and the columns that it was counted by, as text."""

    partition: int
    offset: int
    counted: tuple[str, ...] = ()


@dataclass
class Changes:
    """The outcome of a batch. Applying it twice gives the same rows; the counts are applied once."""

    created: dict[str, Event] = field(default_factory=dict)
    """The event of each new id whose row is to be written."""
    duplicates: list[Event] = field(default_factory=list)
    """Created events that change nothing: their id was created or erased before, or is erased in this batch."""
    erased: dict[str, Event] = field(default_factory=dict)
    """The first erasure of each id; its row is to be deleted."""
    buckets: Counter[tuple[str, Bucket]] = field(default_factory=Counter)
    """By how many members each bucket of each dimension moves."""
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
    """What the events change, given what is stored of their ids.

    `created` are the rows of these keys, `erased` the erasures; `columns` names the values of `counted`. What is stored
    from behind `written` is left from an attempt at the same events that failed, and counts as not stored.
    Of several created events of an id the one with the lowest partition and offset counts.
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
