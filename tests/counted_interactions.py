"""What the stream has counted, read from Cassandra in the form of an independent recount."""

from collections.abc import Iterable, Mapping
from datetime import UTC, date, datetime
from typing import Any

from cassandra.cluster import Session

from interaction_records import Interactions
from interaction_recount import Counts, DayTotals, Member, Recount, SessionTotals, recount
from member_analyzer.streams.interactions.visitor_state import Registration
from patience import DEADLINE, holds
from running_platform import Platform

Interaction = dict[str, Any]


class CountedInteractions:
    """The tables of the interactions on a platform."""

    def __init__(self, platform: Platform, interactions: Interactions) -> None:
        self._platform = platform
        self._interactions = interactions

    @property
    def _session(self) -> Session:
        return self._platform.session

    def rows(self, table: str, **equal: Any) -> list[Mapping[str, Any]]:
        """The rows of a table with these values."""
        name = f"{self._platform.tables._keyspace}.{table}"
        where = " AND ".join(f"{column} = %s" for column in equal)
        select = f"SELECT * FROM {name}" + (f" WHERE {where} ALLOW FILTERING" if where else "")
        return list(self._session.execute(select, tuple(equal.values()), timeout=DEADLINE))

    def total(self, source: str) -> int:
        """The interactions of a source that are counted, late, or of erased members."""
        names = ("events", "late", "erased")
        return sum(row[name] or 0 for row in self.rows("interaction_days", source=source) for name in names)

    def wait_for(self, source: str, count: int) -> None:
        """Wait until this many interactions of a source are counted, and all tables are written."""
        assert holds(lambda: self.total(source) >= count), f"{self.total(source)} of {count} are counted"
        assert holds(self.is_settled), "the stream does not finish its batch"

    def is_settled(self) -> bool:
        """Whether all changes that the stream has begun are written."""
        (row,) = self.rows("stream_progress", stream="interactions")
        return bool(row["number"] == row["applied"] and row["written"] == row["writing"])

    def read(self, source: str) -> Recount:
        """What is counted for a source, without counts of 0."""
        found = Recount({}, {}, {}, {}, {})
        for row in self.rows("interaction_days", source=source):
            totals = DayTotals(*(row[name] or 0 for name in DayTotals._fields))
            if any(totals):
                found.days[(source, _day(row["day"]), row["is_bot"])] = totals
        for row in self.rows("interaction_counts", source=source):
            counts = Counts(*(row[name] or 0 for name in Counts._fields))
            if any(counts):
                bucket = (row["dimension"], row["is_bot"], row["name"], row["country"])
                found.counts[(source, _day(row["day"]), *bucket)] = counts
        for row in self.rows("interaction_minutes", source=source):
            counts = Counts(*(row[name] or 0 for name in Counts._fields))
            if any(counts):
                found.minutes[(source, _moment(row["minute"]), row["is_bot"])] = counts
        for row in self.rows("interaction_sessions", source=source):
            found.sessions[(source, row["is_bot"], row["person"], _moment(row["started_at"]))] = _totals(row)
        for row in self.rows("interaction_members", source=source):
            found.members[(source, _day(row["day"]), row["member_id"])] = row["events"]
        return found

    def read_sessions_by_person(self, source: str) -> dict[Any, SessionTotals]:
        """The sessions of a source, from the table by person."""
        rows = self.rows("interaction_sessions_by_person", source=source)
        return {(source, row["is_bot"], row["person"], _moment(row["started_at"])): _totals(row) for row in rows}

    def recount(self, source: str) -> Recount:
        """An independent recount of the interactions of a source in the topic."""
        records = [one for one in self._interactions.read() if one["source"] == source]
        return recount(records, self._registered(records))

    def _registered(self, records: Iterable[Interaction]) -> dict[str, Member]:
        found: dict[str, Member] = {}
        for member_id in {one["member_id"] for one in records if one["member_id"]}:
            for row in self.rows("created_users", id=member_id):
                found[member_id] = Registration(row["gender"], row["date_of_birth"].date(), row["country"], row["city"])
        return found


def _totals(row: Mapping[str, Any]) -> SessionTotals:
    return SessionTotals(
        *(_day(row["day"]), _moment(row["ended_at"]), row["events"], row["views"], row["is_bounce"]),
        *(row["entry_page"], row["exit_page"]),
    )


def _day(value: Any) -> date:
    day: date = value.date()
    return day


def _moment(value: datetime) -> datetime:
    return value.replace(tzinfo=UTC)
