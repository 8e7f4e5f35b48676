"""Reads the tables of the interactions for the API.

Each method reads the partitions that answer one question, page by page and within LONGEST_READ_SECONDS, because clients
choose what is in them.
"""

import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from itertools import chain
from typing import Any

from cassandra import OperationTimedOut
from cassandra.cluster import Session
from cassandra.concurrent import execute_concurrent_with_args
from cassandra.query import PreparedStatement
from cassandra.util import Date

from member_analyzer.analysis.interactions.person_history import Position, list_months, merge_newest
from member_analyzer.analysis.interactions.totals import (
    ACTIVE_SECONDS,
    LIVE_MINUTES,
    Bucket,
    DayTotals,
    Minute,
    as_utc,
    count_active,
    fill_minutes,
    list_minutes,
    rank_buckets,
    sum_day,
)
from member_analyzer.streams.interactions.definition import INTERACTIONS
from member_analyzer.streams.interactions.identity import ANONYMOUS_PREFIX
from member_analyzer.streams.interactions.visitor_state import decode_linked

Row = Mapping[str, Any]

LONGEST_READ_SECONDS = 15
ROWS_OF_A_PAGE = 5000
# A row of the timeline takes up to 40 KB.
LARGE_ROWS_OF_A_PAGE = 50
PARTITIONS_AT_ONCE = 16
# More anonymous ids of one person come from an application that makes a new one for each interaction.
MOST_LINKED = 200

# Where a visitor is linked to a person: source and is_bot, because both are separate.
Places = frozenset[tuple[str, bool]]


@dataclass(frozen=True)
class Lag:
    """Everything received until `as_of` is counted, `unread` records are not; None before the stream has run."""

    as_of: datetime | None = None
    unread: int | None = None


@dataclass(frozen=True)
class Live:
    """What happens in a source: the number of active persons, and the last minutes, oldest first."""

    active: int
    minutes: list[Minute]


@dataclass(frozen=True)
class Page:
    """Rows of a person's history, newest first, by column; the moments are in UTC.

    `next` is the position behind them, or None if there are no more. `omitted_ids` is the number of linked anonymous
    ids whose rows are missing, because the person has more than MOST_LINKED.
    """

    rows: list[dict[str, Any]]
    next: Position | None
    omitted_ids: int = 0


@dataclass(frozen=True)
class _History:
    """A table with a partition for each owner and month, by moment (descending), source and another column."""

    table: str
    owner: str
    moment: str
    id: str
    columns: Sequence[str]
    parse_id: Callable[[str], object]

    def key(self, row: Row) -> tuple[timedelta, str, object]:
        """The order of the rows: newest first."""
        return datetime.max - row[self.moment], row["source"], row[self.id]

    def position(self, row: Row) -> Position:
        """The position behind a row."""
        last = row[self.id]
        text = str(last).lower() if isinstance(last, bool) else last
        return Position(as_utc(row[self.moment]), row["source"], text)


_VISIT_COLUMNS = ("referrer", "utm_source", "browser", "system", "device", "country")
TIMELINE = _History(
    table="interaction_timeline",
    owner="visitor",
    moment="occurred_at",
    id="message_id",
    columns=(
        *("occurred_at", "source", "message_id", "visitor", "type", "name", "path", "url", "title", *_VISIT_COLUMNS),
        *("app_version", "is_bot", "is_late", "received_at", "properties"),
    ),
    parse_id=str,
)
SESSIONS = _History(
    table="interaction_sessions_by_person",
    owner="person",
    moment="started_at",
    id="is_bot",
    columns=(
        *("started_at", "ended_at", "source", "is_bot", "day", "events", "views", "is_bounce"),
        *("entry_page", "exit_page", *_VISIT_COLUMNS),
    ),
    parse_id=lambda text: text == "true",
)


class InteractionReader:
    """Reads the interactions; thread-safe."""

    def __init__(self, session: Session, keyspace: str) -> None:
        self._session = session
        self._keyspace = keyspace
        self._prepared: dict[str, PreparedStatement] = {}

    def read_lag(self) -> Lag:
        """Read how far the stream has counted. To be read before the numbers that it applies to."""
        row = self._select("as_of, unread", "interaction_lag", "stream = ?", (INTERACTIONS.topic.name,)).one()
        return Lag() if row is None else Lag(row["as_of"] and as_utc(row["as_of"]), row["unread"])

    def read_day(self, source: str, day: date, *, with_bots: bool = False) -> DayTotals | None:
        """Read the totals of a day; None if the source has none."""
        columns = "is_bot, events, visitors, sessions, bounces, milliseconds, late, erased"
        rows = self._select(columns, "interaction_days", "source = ? AND day = ?", (source, day))
        return sum_day(rows, with_bots=with_bots)

    def read_top(
        self, source: str, day: date, dimension: str, limit: int, *, with_bots: bool = False
    ) -> list[Bucket] | None:
        """Read the largest buckets of a dimension on a day; None if the source has no totals of the day."""
        deadline = _deadline()
        where = "source = ? AND day = ? AND dimension = ? AND is_bot = ?"
        partitions = [
            _until(
                deadline,
                self._select(
                    "name, country, events, visitors, sessions",
                    "interaction_counts",
                    where,
                    (source, day, dimension, is_bot),
                ),
            )
            for is_bot in ([False, True] if with_bots else [False])
        ]
        buckets = rank_buckets(partitions, limit)
        return None if not buckets and self.read_day(source, day) is None else buckets

    def read_live(self, source: str, now: datetime, *, with_bots: bool = False) -> Live:
        """Read the last LIVE_MINUTES minutes of a source, and how many persons are active now; zeros if unknown."""
        deadline = _deadline()
        first, *_, current = list_minutes(now, LIVE_MINUTES)
        minutes = (
            self._select(
                "minute, is_bot, events, visitors, sessions",
                "interaction_minutes",
                "source = ? AND hour = ? AND minute >= ? AND minute <= ?",
                (source, hour, first, current),
            )
            for hour in sorted({one.replace(minute=0) for one in (first, current)})
        )
        # The earliest of them began up to a minute before the last ACTIVE_SECONDS.
        active = (
            self._select("person, is_bot, last_at", "interaction_active", "source = ? AND minute = ?", (source, minute))
            for minute in list_minutes(now, ACTIVE_SECONDS // 60 + 1)
        )
        return Live(
            count_active(_until(deadline, chain.from_iterable(active)), now, with_bots=with_bots),
            fill_minutes(chain.from_iterable(minutes), now, with_bots=with_bots),
        )

    def read_sessions(self, person: str, limit: int, now: datetime, before: Position | None = None) -> Page:
        """Read the sessions of a person (a visitor id with its prefix), newest first, those before a position."""
        return self._read_history(SESSIONS, {person: None}, limit, now, before)

    def read_timeline(self, person: str, limit: int, now: datetime, before: Position | None = None) -> Page:
        """Read what a person did, newest first, before a position; also as the anonymous visitors linked to it."""
        owners: dict[str, Places | None] = {person: None}
        linked: dict[str, Places] = {}
        if not person.startswith(ANONYMOUS_PREFIX):
            linked = self.read_linked(person, self._read_sources(person, now))
            owners |= dict(sorted(linked.items())[:MOST_LINKED])
        page = self._read_history(TIMELINE, owners, limit, now, before)
        return Page(page.rows, page.next, omitted_ids=max(0, len(linked) - MOST_LINKED))

    def read_linked(self, person: str, sources: Iterable[str]) -> dict[str, Places]:
        """Read the anonymous visitors that are linked to a person in these sources, with where they are."""
        linked: dict[str, set[tuple[str, bool]]] = {}
        for source in sources:
            where = "source = ? AND visitor = ?"
            for row in self._select("is_bot, state", "interaction_visitors", where, (source, person)):
                for visitor in decode_linked(row["state"]) if row["state"] else ():
                    linked.setdefault(visitor, set()).add((source, row["is_bot"]))
        return {visitor: frozenset(places) for visitor, places in linked.items()}

    def _read_sources(self, person: str, now: datetime) -> list[str]:
        """The sources of a person: of its sessions, which are far fewer than its interactions."""
        statement = self._prepare("source", SESSIONS.table, "person = ? AND month = ?")
        deadline = _deadline()
        keys = [(person, month) for month in list_months(now, None)]
        partitions = self._read_at_once(statement, keys)
        return sorted({row["source"] for row in _until(deadline, chain.from_iterable(partitions))})

    def _read_history(
        self,
        history: _History,
        owners: Mapping[str, Places | None],
        limit: int,
        now: datetime,
        before: Position | None,
    ) -> Page:
        """The first rows of these owners before a position; of an owner with places only the rows in them."""
        deadline = _deadline()
        found: list[Row] = []
        # One more than the page shows whether there is another.
        wanted = limit + 1
        names = list(owners)
        for month in list_months(now, before):
            newest: list[Row] = []
            for start in range(0, len(names), PARTITIONS_AT_ONCE):
                some = names[start : start + PARTITIONS_AT_ONCE]
                partitions = [
                    _in_places(_until(deadline, rows), owners[name])
                    for name, rows in zip(some, self._open(history, some, month, before), strict=True)
                ]
                newest = merge_newest([newest, *partitions], history.key, wanted - len(found))
                _check(deadline)
            found += newest
            if len(found) >= wanted:
                break
        more = history.position(found[limit - 1]) if len(found) > limit else None
        return Page([_convert(row) for row in found[:limit]], more)

    def _open(
        self, history: _History, owners: Sequence[str], month: date, before: Position | None
    ) -> list[Iterable[Row]]:
        """The rows of each owner in a month before a position, newest first; they are read while they are iterated."""
        partition = f"{history.owner} = ? AND month = ?"
        keys = [(owner, month) for owner in owners]

        def select(where: str, *more: object) -> list[Iterable[Row]]:
            statement = self._prepare(", ".join(history.columns), history.table, where, LARGE_ROWS_OF_A_PAGE)
            return self._read_at_once(statement, [(*key, *more) for key in keys])

        if before is None:
            return select(partition)
        older = select(f"{partition} AND {history.moment} < ?", before.at)
        if before.source is None or before.month != month:
            return older
        where = f"{partition} AND {history.moment} = ? AND (source, {history.id}) > (?, ?)"
        same = select(where, before.at, before.source, history.parse_id(before.id))
        return [chain(*rows) for rows in zip(same, older, strict=True)]

    def _read_at_once(self, statement: PreparedStatement, keys: Sequence[tuple[object, ...]]) -> list[Iterable[Row]]:
        found = execute_concurrent_with_args(self._session, statement, keys, concurrency=PARTITIONS_AT_ONCE)
        return [rows for _, rows in found]

    def _select(self, columns: str, table: str, where: str, values: tuple[object, ...]) -> Any:
        return self._session.execute(self._prepare(columns, table, where), values)

    def _prepare(self, columns: str, table: str, where: str, rows_of_a_page: int = ROWS_OF_A_PAGE) -> PreparedStatement:
        statement = f"SELECT {columns} FROM {self._keyspace}.{table} WHERE {where}"  # noqa: S608
        if statement not in self._prepared:
            prepared = self._session.prepare(statement)
            prepared.fetch_size = rows_of_a_page
            self._prepared[statement] = prepared
        return self._prepared[statement]


def _in_places(rows: Iterable[Row], places: Places | None) -> Iterable[Row]:
    return rows if places is None else (row for row in rows if (row["source"], bool(row["is_bot"])) in places)


def _convert(row: Row) -> dict[str, Any]:
    """A row with Python's dates, and with moments in UTC."""
    convert = {datetime: as_utc, Date: Date.date}
    return {name: convert[type(value)](value) if type(value) in convert else value for name, value in row.items()}


def _deadline() -> float:
    return time.monotonic() + LONGEST_READ_SECONDS


def _check(deadline: float) -> None:
    if time.monotonic() > deadline:
        raise OperationTimedOut(f"not read within {LONGEST_READ_SECONDS} seconds")


def _until(deadline: float, rows: Iterable[Row]) -> Iterator[Row]:
    """Yield the rows. Raises OperationTimedOut after the deadline."""
    for row in rows:
        _check(deadline)
        yield row
