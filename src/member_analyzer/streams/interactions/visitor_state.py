"""The state of a visitor id, from which sessions and counts follow."""

import zlib
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, timedelta
from typing import Any, NamedTuple, Self

import orjson

from member_analyzer.streams.interactions.visits import Visit

# An event that is older than this, relative to the newest of its visitor, is late.
LATENESS = timedelta(days=31) // timedelta(milliseconds=1)
# Longer than LATENESS, so that a late session has all its neighbours.
_REMEMBERED = timedelta(days=35) // timedelta(milliseconds=1)


class Registration(NamedTuple):
    """What a member was registered with."""

    gender: str
    date_of_birth: date
    country: str
    city: str


class Link(NamedTuple):
    """The evidence that an anonymous id belongs to a known visitor: the time and the id of an event that names both."""

    at: int
    message_id: str
    visitor: str


@dataclass(frozen=True)
class VisitorState:
    """The visits of a visitor id, in the order of time, and its identity.

    An anonymous id has the earliest `link` to a known visitor. A known visitor has the anonymous ids that are `linked`
    to it, and, if it is a member, the registration by which it is counted.
    """

    visits: tuple[Visit, ...] = ()
    link: Link | None = None
    linked: frozenset[str] = frozenset()
    registration: Registration | None = None

    @property
    def newest(self) -> int | None:
        """The time of the newest event, in milliseconds since 1970."""
        return max((visit.last[0] for visit in self.visits), default=None)

    def remembered_visits(self) -> tuple[Visit, ...]:
        """Return the visits without those that no event can change any more."""
        newest = self.newest
        if newest is None or self.visits[0].last[0] >= newest - _REMEMBERED:
            return self.visits
        return tuple(visit for visit in self.visits if visit.last[0] >= newest - _REMEMBERED)

    def to_json(self) -> bytes:
        """Return the state as JSON text."""
        link, registration = (None if one is None else [*one] for one in (self.link, self.registration))
        return orjson.dumps([[visit.encode() for visit in self.visits], link, sorted(self.linked), registration])

    @classmethod
    def from_json(cls, state: Sequence[Any]) -> Self:
        """Create it from the JSON values of `to_json`."""
        visits, link, linked, registration = state
        if registration is not None:
            gender, date_of_birth, country, city = registration
            registration = Registration(gender, date.fromisoformat(date_of_birth), country, city)
        return cls(tuple(Visit.decode(one) for one in visits), link and Link(*link), frozenset(linked), registration)

    def encode(self) -> bytes:
        """Encode the state as compressed JSON."""
        return zlib.compress(self.to_json(), 1)

    @classmethod
    def decode(cls, encoded: bytes) -> Self:
        """Decode the result of `encode`."""
        return cls.from_json(orjson.loads(zlib.decompress(encoded)))


def decode_linked(encoded: bytes) -> list[str]:
    """Return the anonymous ids of an encoded state that are linked to its visitor, as visitors."""
    linked: list[str] = orjson.loads(zlib.decompress(encoded))[2]
    return linked
