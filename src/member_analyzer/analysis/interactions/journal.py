"""The write-ahead journal of a batch of interactions: the absolute values of all changed states, counts and rows."""

import zlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import orjson

from member_analyzer.analysis.interactions.changes import ActiveRow, MemberRow, Scope, SessionRow, Visitor
from member_analyzer.streams.interactions.activity import CountKey, DayKey, Key, MinuteKey, Session
from member_analyzer.streams.interactions.visitor_state import VisitorState

_KINDS: tuple[type[DayKey] | type[CountKey] | type[MinuteKey], ...] = (DayKey, CountKey, MinuteKey)


@dataclass(frozen=True)
class InteractionJournal:
    """Absolute values to write to the tables."""

    states: Mapping[Visitor, VisitorState | None] = field(default_factory=dict)
    counts: Mapping[tuple[Scope, Key], tuple[int, ...]] = field(default_factory=dict)
    sessions: Mapping[SessionRow, tuple[Session | None, str | None]] = field(default_factory=dict)
    active: Mapping[ActiveRow, int | None] = field(default_factory=dict)
    members: Mapping[MemberRow, int | None] = field(default_factory=dict)

    def encode(self) -> bytes:
        """Encode the journal as compressed JSON."""
        parts = (
            [[*one.scope, one.id, state and orjson.Fragment(state.to_json())] for one, state in self.states.items()],
            [[*scope, _KINDS.index(type(key)), [*key], values] for (scope, key), values in self.counts.items()],
            [
                [*person.scope, person.id, began, session and [*session], deleted]
                for (person, began), (session, deleted) in self.sessions.items()
            ],
            [[*person.scope, person.id, minute, value] for (person, minute), value in self.active.items()],
            [[*person.scope, person.id, day, value] for (person, day), value in self.members.items()],
        )
        return zlib.compress(orjson.dumps(parts), 1)

    @classmethod
    def decode(cls, encoded: bytes) -> "InteractionJournal":
        """Decode the result of `encode`."""
        states, counts, sessions, active, members = orjson.loads(zlib.decompress(encoded))
        return cls(
            {
                Visitor(Scope(source, is_bot), name): state and VisitorState.from_json(state)
                for source, is_bot, name, state in states
            },
            {(Scope(source, is_bot), _KINDS[kind](*key)): tuple(one) for source, is_bot, kind, key, one in counts},
            {
                (Visitor(Scope(source, is_bot), name), began): (session and _read_session(session), deleted)
                for source, is_bot, name, began, session, deleted in sessions
            },
            {(Visitor(Scope(source, is_bot), name), one): value for source, is_bot, name, one, value in active},
            {(Visitor(Scope(source, is_bot), name), day): value for source, is_bot, name, day, value in members},
        )


def _read_session(values: Sequence[Any]) -> Session:
    session = Session(*values)
    return session._replace(origin=tuple(session.origin))
