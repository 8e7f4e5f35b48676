"""Keeps the tables of the interactions live: applies the changes of each batch."""

import time
from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, date, datetime, timedelta
from itertools import islice

import structlog

from member_analyzer.analysis.interactions.changes import (
    ActiveRow,
    InteractionChanges,
    Record,
    Scope,
    States,
    Visitor,
    find_erasure_changes,
    find_interaction_changes,
    find_required,
)
from member_analyzer.analysis.interactions.journal import InteractionJournal
from member_analyzer.analysis.interactions.state_cache import StateCache
from member_analyzer.analysis.interactions.tables import InteractionTables
from member_analyzer.analysis.live_progress import LiveProgress
from member_analyzer.records.offsets import Offsets
from member_analyzer.streams.interactions.activity import Key
from member_analyzer.streams.interactions.identity import MEMBER_PREFIX
from member_analyzer.streams.interactions.visitor_state import VisitorState
from member_analyzer.streams.interactions.visits import MINUTE

# What is kept in memory, so that it is not read again for every batch.
VISITS_REMEMBERED = 40_000
COUNTS_REMEMBERED = 100_000
# A quarter of the largest mutation that Cassandra accepts by default.
LARGEST_JOURNAL = 4 * 1024 * 1024
# Who was active is only of interest for as long as the rows of `interaction_active` live.
ACTIVE_MINUTES = 60
# Members who are active before they are registered are looked up again for this long, this often.
SECONDS_TO_REGISTER = 15 * 60
SECONDS_BETWEEN_LOOKUPS = 2
MEMBERS_OF_A_LOOKUP = 1000
ERASURES_AT_ONCE = 20
# As long as sessions are kept.
MONTHS_OF_A_PERSON = 14

log = structlog.get_logger(__name__)


class JournalTooLargeError(RuntimeError):
    """Raised for a change whose journal Cassandra might not accept; it must be divided."""


class LiveInteractions(LiveProgress):
    """The tables of the interactions, with recent states and counts in memory. There must be a single writer."""

    def __init__(self, tables: InteractionTables) -> None:
        """Read the progress from Cassandra, and apply the journal if it was not fully applied."""
        progress = tables.read_progress()
        super().__init__(tables, progress)
        self._tables = tables
        self._states = StateCache(VISITS_REMEMBERED)
        self._counts: dict[tuple[Scope, Key], tuple[int, ...]] = {}
        self._unregistered: dict[Visitor, float] = {}
        self._looked_up_at = 0.0
        self._sources = tables.read_sources()
        self._unapplied: InteractionJournal | None = None
        if progress.number != progress.applied:
            self._unapplied = InteractionJournal.decode(tables.read_journal())
            self.apply_journal()

    def count(self, records: Sequence[Record], erased: Sequence[tuple[Scope, Key]], positions: Offsets) -> list[Record]:
        """Count interactions that are no duplicates up to these offsets; return the late ones.

        `erased` are the days of interactions of erased members. Afterwards the caller calls `finish_rows`. Raises
        ForeignProgressError and JournalTooLargeError before any change.
        """
        if not records and not erased:
            self.counted = {**self.counted, **positions}
            return []
        self._note_sources(records)
        states = self._load_states(records)
        changes = self._find_changes(records, states)
        for scope, key in erased:
            changes.add_erased(scope, key)
        self._write(changes, {**self.counted, **positions})
        return changes.late

    def join_members(self) -> None:
        """Count members by their registration who were active before they were registered."""
        now = time.monotonic()
        if self.is_unfinished or not self._unregistered or now < self._looked_up_at + SECONDS_BETWEEN_LOOKUPS:
            return
        self._looked_up_at = now
        known = {one: until for one, until in self._unregistered.items() if until > now}
        visitors = list(islice(known, MEMBERS_OF_A_LOOKUP))
        # They are looked up again after the others.
        self._unregistered = {one: known[one] for one in (*islice(known, len(visitors), None), *visitors)}
        found = self._tables.find_registrations({_member_id(one) for one in visitors})
        members = [one for one in visitors if _member_id(one) in found]
        if members:
            states = self._load_states((), members)
            self._write(find_interaction_changes((), states=states, registrations=found, members=members), self.counted)
        for one in members:
            del self._unregistered[one]

    def erase_members(self) -> None:
        """Erase the interactions of erased members, with the anonymous ids that belong to them."""
        if self.is_unfinished:
            return
        for member_id in self._tables.read_erasures(ERASURES_AT_ONCE):
            persons = [
                Visitor(Scope(source, is_bot), MEMBER_PREFIX + member_id)
                for source in self._sources
                for is_bot in (False, True)
            ]
            states = self._load_states((), persons)
            erased = {MEMBER_PREFIX + member_id} | {name for one in persons for name in states[one].linked}
            # Before the states, which name the anonymous ids.
            days = [date.fromisoformat(day) for state in states.values() for one in state.visits for day in one.counts]
            self._tables.erase_people(erased, _months(days))
            # One person cannot be divided.
            self._write(find_erasure_changes(persons, states), self.counted, is_divisible=False)
            self._tables.delete_erasure(member_id)
            for one in persons:
                self._unregistered.pop(one, None)
            log.info("interactions.erased", visitors=len(erased))

    def apply_journal(self) -> None:
        """Apply the journal of a change that was not applied as a whole."""
        if (journal := self._unapplied) is None:
            return
        self._tables.write_states(journal.states)
        self._tables.write_counts(journal.counts)
        self._tables.write_sessions(journal.sessions)
        self._tables.write_active(_recent(journal.active))
        self._tables.write_members(journal.members)
        self._tables.end_counts(self._number, datetime.now(UTC).date())
        states = {one: state or VisitorState() for one, state in journal.states.items()}
        self._states.keep(states)
        self._keep_counts(journal.counts)
        self._unapplied = None

    def _note_sources(self, records: Iterable[Record]) -> None:
        if new := {record["source"] for record in records} - self._sources:
            self._tables.write_sources(new)
            self._sources |= new

    def _load_states(self, records: Sequence[Record], visitors: Iterable[Visitor] = ()) -> States:
        """Return the states that a batch requires."""
        states: dict[Visitor, VisitorState] = {}
        while required := find_required(records, states, visitors):
            known = self._states.find(required)
            read = self._tables.read_states(required - known.keys())
            states |= known | read
            self._states.keep(read)
        return states

    def _find_changes(self, records: Sequence[Record], states: States) -> InteractionChanges:
        unregistered = {
            one for one, state in states.items() if one.id.startswith(MEMBER_PREFIX) and state.registration is None
        }
        registrations = self._tables.find_registrations({_member_id(one) for one in unregistered})
        until = time.monotonic() + SECONDS_TO_REGISTER
        for one in unregistered:
            if _member_id(one) in registrations:
                self._unregistered.pop(one, None)
            else:
                self._unregistered[one] = until
        return find_interaction_changes(records, states=states, registrations=registrations)

    def _write(self, changes: InteractionChanges, counted: Mapping[int, int], *, is_divisible: bool = True) -> None:
        unknown = changes.counts.keys() - self._counts.keys()
        known = {key: self._counts[key] for key in changes.counts.keys() - unknown}
        known |= self._tables.read_counts(unknown)
        counts = {key: tuple(map(sum, zip(known[key], delta, strict=True))) for key, delta in changes.counts.items()}
        journal = InteractionJournal(changes.states, counts, changes.sessions, changes.active, changes.members)
        encoded = journal.encode()
        if is_divisible and len(encoded) > LARGEST_JOURNAL:
            raise JournalTooLargeError(f"The journal of {len(changes.states)} visitors has {len(encoded):,} bytes.")
        self._begin_change(encoded, counted)
        self._unapplied = journal
        self.apply_journal()

    def _keep_counts(self, counts: Mapping[tuple[Scope, Key], tuple[int, ...]]) -> None:
        for key, values in counts.items():
            self._counts.pop(key, None)
            self._counts[key] = values
        for key in list(islice(self._counts, max(0, len(self._counts) - COUNTS_REMEMBERED))):
            del self._counts[key]


def _months(days: Iterable[date]) -> set[date]:
    """Return the months in which there may be rows of a person, given some of its days."""
    today = datetime.now(UTC).date()
    recent = {
        date(today.year + (today.month - 1 - back) // 12, (today.month - 1 - back) % 12 + 1, 1)
        for back in range(-1, MONTHS_OF_A_PERSON)
    }
    # A day of the source's zone may be in another month in UTC.
    near = {one + timedelta(days=shift) for one in days for shift in (-1, 0, 1)}
    return recent | {one.replace(day=1) for one in near}


def _recent(active: Mapping[ActiveRow, int | None]) -> Mapping[ActiveRow, int | None]:
    oldest = (time.time() - ACTIVE_MINUTES * 60) * 1000 - MINUTE
    return {row: value for row, value in active.items() if row[1] >= oldest}


def _member_id(visitor: Visitor) -> str:
    return visitor.id.removeprefix(MEMBER_PREFIX)
