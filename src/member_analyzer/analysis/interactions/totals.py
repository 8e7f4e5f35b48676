"""Totals of interactions: what the API serves of their counts.

Pure: from the rows of the tables, whose columns without a value are None.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, fields
from datetime import UTC, datetime, timedelta
from heapq import merge, nsmallest
from itertools import groupby
from typing import Any

Row = Mapping[str, Any]

LIVE_MINUTES = 30
ACTIVE_SECONDS = 300
_MINUTE = timedelta(minutes=1)


@dataclass(frozen=True)
class DayTotals:
    """The totals of a source on a day. `milliseconds` is the duration of all sessions together."""

    events: int
    visitors: int
    sessions: int
    bounces: int
    milliseconds: int
    late: int
    erased: int


@dataclass(frozen=True)
class Bucket:
    """The counts of one value of a dimension. `country` is that of a city, else empty."""

    name: str
    country: str
    events: int
    visitors: int
    sessions: int


@dataclass(frozen=True)
class Minute:
    """The counts of one minute, which begins at `minute` (UTC)."""

    minute: datetime
    events: int
    visitors: int
    sessions: int


def sum_day(rows: Iterable[Row], *, with_bots: bool) -> DayTotals | None:
    """Return the totals of people, or of people and bots together; None if neither has a row."""
    rows = list(rows)
    if not rows:
        return None
    counted = [row for row in rows if with_bots or not row["is_bot"]]
    return DayTotals(*(_sum(counted, column.name) for column in fields(DayTotals)))


def rank_buckets(partitions: Sequence[Iterable[Row]], limit: int) -> list[Bucket]:
    """Return the first `limit` buckets: those with the most visitors, then events, then by name and country.

    The rows of each partition, such as those of people and of bots, are in the order of name and country, as Cassandra
    stores them. Equal buckets are added up, and those without counts left out. Keeps only `limit` rows in memory.
    """
    return nsmallest(
        limit,
        (bucket for bucket in _add_up(partitions) if bucket.events or bucket.visitors or bucket.sessions),
        key=lambda one: (-one.visitors, -one.events, one.name, one.country),
    )


def fill_minutes(rows: Iterable[Row], now: datetime, *, with_bots: bool) -> list[Minute]:
    """Return the last LIVE_MINUTES minutes including the current one, oldest first, also those without a row."""
    counted: dict[datetime, list[Row]] = {one: [] for one in list_minutes(now, LIVE_MINUTES)}
    for row in rows:
        minute = as_utc(row["minute"])
        if minute in counted and (with_bots or not row["is_bot"]):
            counted[minute].append(row)
    return [
        Minute(minute, _sum(found, "events"), _sum(found, "visitors"), _sum(found, "sessions"))
        for minute, found in counted.items()
    ]


def count_active(rows: Iterable[Row], now: datetime, *, with_bots: bool) -> int:
    """Return the number of distinct persons with an interaction in the last ACTIVE_SECONDS."""
    since = now - timedelta(seconds=ACTIVE_SECONDS)
    return len({row["person"] for row in rows if (with_bots or not row["is_bot"]) and as_utc(row["last_at"]) >= since})


def list_minutes(now: datetime, count: int) -> list[datetime]:
    """Return the last `count` minutes including the current one, oldest first."""
    current = now.astimezone(UTC).replace(second=0, microsecond=0)
    return [current - number * _MINUTE for number in reversed(range(count))]


def as_utc(moment: datetime) -> datetime:
    """Return a moment that Cassandra's driver returned, which is in UTC without saying so."""
    return moment.replace(tzinfo=UTC)


def _add_up(partitions: Sequence[Iterable[Row]]) -> Iterator[Bucket]:
    def key(row: Row) -> tuple[str, str]:
        return row["name"], row["country"]

    for (name, country), rows in groupby(merge(*partitions, key=key), key):
        found = list(rows)
        yield Bucket(name, country, *(_sum(found, column) for column in ("events", "visitors", "sessions")))


def _sum(rows: Iterable[Row], column: str) -> int:
    return sum(row[column] or 0 for row in rows)
