"""The states of the visitors who were active most recently, in memory."""

from collections.abc import Iterable, Mapping

from member_analyzer.analysis.interactions.changes import Visitor
from member_analyzer.streams.interactions.visitor_state import VisitorState


class StateCache:
    """Keeps the states of visitors with at most this many visits together; the oldest ones are dropped first."""

    def __init__(self, most_visits: int) -> None:
        self._most_visits = most_visits
        self._visits = 0
        self._states: dict[Visitor, VisitorState] = {}

    def find(self, visitors: Iterable[Visitor]) -> dict[Visitor, VisitorState]:
        """Return the states that are known."""
        return {one: self._states[one] for one in visitors if one in self._states}

    def keep(self, states: Mapping[Visitor, VisitorState]) -> None:
        """Keep states as the most recent ones."""
        for visitor, state in states.items():
            self._drop(visitor)
            self._states[visitor] = state
            self._visits += _weight(state)
        while self._visits > self._most_visits and self._states:
            self._drop(next(iter(self._states)))

    def _drop(self, visitor: Visitor) -> None:
        if (state := self._states.pop(visitor, None)) is not None:
            self._visits -= _weight(state)


def _weight(state: VisitorState) -> int:
    # A state without visits takes memory as well.
    return len(state.visits) + 1
