"""The order of what a person did: newest first, over the partitions of months and visitors, in pages.

Pure: `interaction_reader.py` reads the rows.
"""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from heapq import merge
from itertools import islice
from typing import Any

from member_analyzer.records.codec import read_moment, write_moment

Row = Mapping[str, Any]

# Longer than the rows are kept.
MONTHS = 15
# An interaction is at most a minute ahead of the clock of the collector that received it.
LONGEST_AHEAD = timedelta(hours=1)
_SEPARATOR = "~"


@dataclass(frozen=True)
class Position:
    """A place between two rows of a history.

    The rows after it are older than `at`; with `source` and `id` (the last key column, as text) also those of the same
    moment with a greater source and id. Several rows may have the same moment: a page that ends between them continues
    there.
    """

    at: datetime
    source: str | None = None
    id: str = ""

    def __str__(self) -> str:
        moment = write_moment(self.at)
        return moment if self.source is None else _SEPARATOR.join((moment, self.source, self.id))

    @property
    def month(self) -> date:
        """The first day of its month."""
        return self.at.date().replace(day=1)


def parse_position(text: str) -> Position:
    """Parse an ISO 8601 timestamp, which is truncated to milliseconds, or the text of a position.

    Raises ValueError for any other text.
    """
    at, *rest = text.split(_SEPARATOR, 2)
    if len(rest) == 1:
        raise ValueError("is not a timestamp or a `next` of a response")
    return Position(read_moment(at), *rest)


def list_months(now: datetime, before: Position | None) -> list[date]:
    """Return the first days of the last MONTHS months (UTC) that may have rows before a position, newest first."""
    newest = (now + LONGEST_AHEAD).astimezone(UTC)
    number = newest.year * 12 + newest.month - 1
    months = (date(one // 12, one % 12 + 1, 1) for one in range(number, number - MONTHS, -1))
    return [month for month in months if before is None or month <= before.month]


def merge_newest(partitions: Iterable[Iterable[Row]], key: Callable[[Row], Any], limit: int) -> list[Row]:
    """Return the first `limit` rows of partitions that are each in the order of `key`; reads no more than necessary."""
    return list(islice(merge(*partitions, key=key), limit))
