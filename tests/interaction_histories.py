"""Generated records of interactions, dense in what is difficult to count."""

import hashlib
from collections.abc import Sequence
from datetime import UTC, date, datetime, timedelta, tzinfo
from typing import Any, NamedTuple
from zoneinfo import ZoneInfo

from hypothesis import strategies as st

from member_analyzer.streams.interactions.record import INTERACTION, TYPES

SHOP, APP = "web-shop", "app"
# Clocks in Oslo change in the night of 29 March 2026, so the next midnight is an hour earlier in UTC.
ZONES: dict[str, tzinfo] = {SHOP: ZoneInfo("Europe/Oslo"), APP: UTC}


class Registered(NamedTuple):
    """A registered member."""

    gender: str
    date_of_birth: date
    country: str
    city: str


# Ann changes her age group on 29 March 2026; there are two cities of one name.
MEMBERS = {
    "ann": Registered("female", date(2010, 3, 29), "Norway", "Bergen"),
    "bob": Registered("male", date(1976, 3, 2), "Germany", "Bergen"),
}

_KNOWN = ("m:ann", "m:bob", "u:eve@example.com")
_ANONYMOUS = ("a1", "a2", "a3")

# The half hours from an evening on contain midnight in both zones, and each is a gap of exactly 30 minutes.
_EVENINGS = tuple(datetime(2026, 3, day, 21, 30, tzinfo=UTC) for day in (28, 28, 29, 30))
_HALF_HOURS = range(6)
_SHIFTS = tuple(timedelta(milliseconds=one) for one in (0, 0, 0, 0, 1, -1, 10 * 60_000, -10 * 60_000, 30 * 60_000 - 1))

# As text `10` is before `9`; in UTF-16 the last is before the last but one.
_MESSAGE_IDS = (*(str(number) for number in range(1, 21)), "\uff5e", "\U0001f600")

_PLACES: tuple[dict[str, str], ...] = (
    {},
    {"device": "desktop", "browser": "Chrome", "system": "Linux", "country": "Norway"},
    {"device": "mobile", "browser": "Safari", "system": "iOS", "country": "Serbia", "app_version": "1.2"},
    {"device": "mobile", "browser": "Chrome", "system": "Android"},
)
_ORIGINS: tuple[dict[str, str], ...] = (
    {},
    {},
    {"referrer": "https://search.example/", "referring_domain": "search.example"},
    {"utm_source": "newsletter", "utm_campaign": "spring"},
)
_CONTENT = ("type", "visitor", "anonymous_id", "previous_id", "name", "path", "referrer", "utm_source")


def make_record(message_id: str, visitor: str, occurred_at: datetime, **changes: Any) -> dict[str, Any]:
    """A page view with all fields. Those that are not given follow from the others or are None."""
    kind, _, user = visitor.partition(":")
    record: dict[str, Any] = dict.fromkeys((*INTERACTION.names, "day"))
    record |= {
        "source": APP,
        "message_id": message_id,
        "visitor": visitor,
        "type": "page",
        "member_id": user if kind == "m" else None,
        "anonymous_id": user if kind == "a" else None,
        "occurred_at": occurred_at,
        "original_at": occurred_at,
        "received_at": occurred_at + timedelta(seconds=2),
        "is_bot": "false",
    }
    record |= changes
    content = repr([record[name] for name in _CONTENT])
    derived = {
        "day": occurred_at.astimezone(ZONES[record["source"]]).date(),
        "content": hashlib.md5(content.encode()).hexdigest(),
    }
    return record | derived | changes


@st.composite
def histories(draw: st.DrawFn, *, changed_repeats: bool = False) -> list[dict[str, Any]]:
    """Records in the order of their arrival, some of them repeated.

    A history has few visitors and few moments, so that they meet. Repeated records are equal, so that the order of
    arrival has no effect on the counts. With `changed_repeats` some of them happened at another time, as when a client
    sends a record again, or have other content.
    """
    anonymous = draw(st.lists(st.sampled_from(_ANONYMOUS), min_size=1, max_size=2))
    known = draw(st.lists(st.sampled_from(_KNOWN), max_size=2))
    choices = _Choices(
        identities=[
            *((f"a:{one}", one) for one in anonymous),
            *((visitor, one) for visitor in known for one in (None, *anonymous)),
        ],
        # An anonymous id may be the text of a member's id.
        previous_ids=[None, *anonymous, "ann"],
        evenings=draw(st.lists(st.sampled_from(_EVENINGS), min_size=1, max_size=2)),
        sources=draw(st.sampled_from(((APP,), (SHOP,), (APP, SHOP), (APP, APP, SHOP)))),
        bots=draw(st.sampled_from((("false",), ("false", "false", None, "true")))),
    )
    # Lists of a range of sizes are mostly short.
    size = draw(st.integers(0, 20))
    history = draw(
        st.lists(
            _records(choices),
            min_size=size,
            max_size=size,
            unique_by=lambda record: (record["source"], record["message_id"]),
        )
    )
    for repeated in draw(st.lists(st.sampled_from(history), max_size=4)) if history else ():
        one = dict(repeated)
        if changed_repeats:
            other = draw(_records(choices))
            names = draw(st.sampled_from(((), ("occurred_at",), INTERACTION.names)))
            changed = one | {name: other[name] for name in names if name not in ("source", "message_id")}
            one = make_record(**{name: value for name, value in changed.items() if name not in ("day", "content")})
        history.insert(draw(st.integers(0, len(history))), one)
    return history


class _Choices(NamedTuple):
    """What the records of a history have in common; the identities are visitors with the anonymous ids they use."""

    identities: Sequence[tuple[str, str | None]]
    previous_ids: Sequence[str | None]
    evenings: Sequence[datetime]
    sources: Sequence[str]
    bots: Sequence[str | None]


@st.composite
def _records(draw: st.DrawFn, choices: _Choices) -> dict[str, Any]:
    visitor, anonymous_id = draw(st.sampled_from(choices.identities))
    evening, half_hours = draw(st.sampled_from(choices.evenings)), draw(st.sampled_from(_HALF_HOURS))
    kind = draw(st.sampled_from((*TYPES, "page", "page")))
    return make_record(
        draw(st.sampled_from(_MESSAGE_IDS)),
        visitor,
        evening + half_hours * timedelta(minutes=30) + draw(st.sampled_from(_SHIFTS)),
        source=draw(st.sampled_from(choices.sources)),
        type=kind,
        # A track always has a name.
        name=draw(st.sampled_from(("Home", "Open") if kind == "track" else (None, "Home", "Open"))),
        anonymous_id=anonymous_id,
        previous_id=draw(st.sampled_from(choices.previous_ids)) if kind == "alias" else None,
        path=draw(st.sampled_from((None, "/", "/jam", "Home"))),
        is_bot=draw(st.sampled_from(choices.bots)),
        **draw(st.sampled_from(_PLACES)),
        **draw(st.sampled_from(_ORIGINS)),
    )
