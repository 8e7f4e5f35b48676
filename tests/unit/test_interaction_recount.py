"""The definitions of the analysis of interactions, by cases counted by hand."""

from collections import Counter
from collections.abc import Iterable
from datetime import UTC, date, datetime, timedelta
from itertools import pairwise, permutations
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from interaction_histories import APP, MEMBERS, SHOP, Registered, histories, make_record
from interaction_recount import Recount, find_owners, find_persons, recount

SATURDAY, SUNDAY = date(2026, 3, 28), date(2026, 3, 29)

Events = list[dict[str, Any]]


def moment(clock: str, day: date = SATURDAY) -> datetime:
    return datetime.fromisoformat(f"{day}T{clock}").replace(tzinfo=UTC)


def event(clock: str, visitor: str = "a:x", day: date = SATURDAY, **changes: Any) -> dict[str, Any]:
    """An event at a time in UTC, in a source whose days are those of UTC."""
    message_id = changes.pop("message_id", f"{visitor} {day} {clock}")
    return make_record(message_id, visitor, moment(clock, day), **changes)


def events_at(*clocks: str) -> Events:
    return [event(clock) for clock in clocks]


def count(events: Iterable[dict[str, Any]]) -> Recount:
    return recount(events, MEMBERS)


def spans(events: Events) -> set[tuple[str, str, str, int]]:
    """The person, first and last time and number of events of each session; times as short as possible."""

    def shorten(time: datetime) -> str:
        return time.time().isoformat("auto").removesuffix(":00")

    return {
        (person, shorten(started_at), shorten(totals.ended_at), totals.events)
        for (_, _, person, started_at), totals in count(events).sessions.items()
    }


def session_counts(events: Events) -> dict[str, int]:
    """The number of sessions of each person."""
    return dict(Counter(person for _, _, person, _ in count(events).sessions))


def dimension(events: Events, name: str) -> dict[tuple[date, str], tuple[int, int, int]]:
    """The counts of a dimension by day and value, of one source and of people."""
    return {(key[1], key[4]): counts for key, counts in count(events).counts.items() if key[2] == name}


# Sessions


@pytest.mark.parametrize(
    ("clocks", "sessions"),
    [
        ([], set()),
        (["12:00"], {("12:00", "12:00", 1)}),
        (["12:00", "12:29"], {("12:00", "12:29", 2)}),
        (["12:00:00.123", "12:30:00.123"], {("12:00:00.123000", "12:30:00.123000", 2)}),
        (["12:00", "12:30:00.001"], {("12:00", "12:00", 1), ("12:30:00.001000", "12:30:00.001000", 1)}),
        # The gap counts, and not the duration.
        (["12:00", "12:25", "12:50", "13:15"], {("12:00", "13:15", 4)}),
        (["12:00", "12:25", "13:00", "13:30"], {("12:00", "12:25", 2), ("13:00", "13:30", 2)}),
    ],
)
def test_a_gap_of_more_than_30_minutes_separates_two_sessions(
    clocks: list[str], sessions: set[tuple[str, str, int]]
) -> None:
    for arrival in permutations(clocks):
        assert spans(events_at(*arrival)) == {("a:x", *one) for one in sessions}


def test_a_late_event_joins_two_sessions() -> None:
    two = events_at("12:00", "13:00")
    assert spans(two) == {("a:x", "12:00", "12:00", 1), ("a:x", "13:00", "13:00", 1)}
    assert spans([*two, event("12:30")]) == {("a:x", "12:00", "13:00", 3)}


def test_an_earlier_event_moves_the_beginning_of_a_session() -> None:
    later = event("00:10", day=SUNDAY)
    assert {totals.day for totals in count([later]).sessions.values()} == {SUNDAY}
    counted = count([later, event("23:50")])
    assert {key[3]: totals.day for key, totals in counted.sessions.items()} == {moment("23:50"): SATURDAY}


@pytest.mark.parametrize("in_order", [True, False])
def test_a_session_over_midnight_is_one_and_belongs_to_the_day_on_which_it_began(in_order: bool) -> None:
    events = [event("23:50", path="/"), event("00:10", day=SUNDAY, path="/jam")]
    counted = count(events if in_order else events[::-1])
    assert counted.sessions == {
        (APP, False, "a:x", moment("23:50")): (SATURDAY, moment("00:10", SUNDAY), 2, 2, False, "/", "/jam")
    }
    assert counted.days == {(APP, SATURDAY, False): (1, 1, 1, 0, 20 * 60_000), (APP, SUNDAY, False): (1, 1, 0, 0, 0)}


def test_the_day_is_that_of_the_source_and_not_of_utc() -> None:
    events = [event("22:50", source=SHOP), event("23:10", source=SHOP)]
    days = count(events).days
    assert {key[1]: (totals.events, totals.sessions) for key, totals in days.items()} == {
        SATURDAY: (1, 1),
        SUNDAY: (1, 0),
    }
    assert count(events[1:]).days == {(SHOP, SUNDAY, False): (1, 1, 1, 1, 0)}


def test_sessions_of_two_persons_and_of_two_sources_are_apart() -> None:
    events = [event("12:00", "a:x"), event("12:01", "a:y"), event("12:02", "a:x", source=SHOP)]
    keys = {(source, person) for source, _, person, _ in count(events).sessions}
    assert keys == {(APP, "a:x"), (APP, "a:y"), (SHOP, "a:x")}


def test_message_ids_order_the_events_of_one_moment() -> None:
    events = [event("12:00", message_id=one, path=f"/{one}") for one in ("9", "10", "b", "B")]
    for arrival in permutations(events):
        (totals,) = count(arrival).sessions.values()
        assert (totals.entry_page, totals.exit_page) == ("/10", "/b")


@pytest.mark.parametrize(
    ("kinds", "is_bounce"),
    [
        (["page"], True),
        (["screen"], True),
        (["page", "identify", "alias", "group"], True),
        (["page", "page"], False),
        (["page", "screen"], False),
        (["page", "track"], False),
        (["track"], False),
        (["identify"], False),
        (["identify", "group"], False),
    ],
)
def test_a_bounce_has_one_view_and_no_named_event(kinds: list[str], is_bounce: bool) -> None:
    events = [event(f"12:0{number}", type=kind, name="Open") for number, kind in enumerate(kinds)]
    counted = count(events)
    assert [totals.is_bounce for totals in counted.sessions.values()] == [is_bounce]
    assert counted.days[APP, SATURDAY, False].bounces == is_bounce


def test_a_view_without_a_page_is_a_bounce_too() -> None:
    (totals,) = count([event("12:00", path=None)]).sessions.values()
    assert (totals.views, totals.is_bounce, totals.entry_page, totals.exit_page) == (1, True, None, None)


def test_a_bounce_belongs_to_the_day_on_which_its_session_began() -> None:
    events = [event("23:50", type="page"), event("00:10", day=SUNDAY, type="identify")]
    assert {key[1]: totals.bounces for key, totals in count(events).days.items()} == {SATURDAY: 1, SUNDAY: 0}


def test_entry_and_exit_pages_are_those_of_views_that_have_one() -> None:
    events = [
        event("12:00", type="track", name="Open", path="/track"),
        event("12:01", path=None),
        event("12:02", path="/jam"),
        event("12:03", type="screen", name="Cart", path="/screen"),
        event("12:04", type="screen", name=None),
        event("12:05", type="identify", path="/identify", name="Name"),
    ]
    (totals,) = count(events).sessions.values()
    assert (totals.events, totals.views, totals.entry_page, totals.exit_page) == (6, 4, "/jam", "Cart")


# Persons


@pytest.mark.parametrize("known", ["m:ann", "u:ann@example.com"])
def test_a_link_takes_the_events_before_and_after_it(known: str) -> None:
    events = [
        event("12:00", "a:x"),
        event("12:20", known, anonymous_id="x"),
        event("12:40", "a:x"),
        event("18:00", "a:x"),
    ]
    for arrival in permutations(events):
        assert spans(list(arrival)) == {(known, "12:00", "12:40", 3), (known, "18:00", "18:00", 1)}


def test_a_link_joins_sessions_that_were_two() -> None:
    events = [event("12:00", "m:ann"), event("12:25", "a:x"), event("12:50", "m:ann")]
    assert session_counts(events) == {"m:ann": 2, "a:x": 1}
    assert session_counts([*events, event("20:00", "m:ann", anonymous_id="x")]) == {"m:ann": 2}


def test_the_earliest_evidence_links_an_anonymous_id_whatever_arrives_first() -> None:
    events = [
        event("12:00", "a:x"),
        event("12:20", "m:bob", anonymous_id="x"),
        event("12:10", "m:ann", anonymous_id="x"),
    ]
    for arrival in permutations(events):
        assert find_owners(arrival) == {"a:x": "m:ann"}
        assert spans(list(arrival)) == {("m:ann", "12:00", "12:10", 2), ("m:bob", "12:20", "12:20", 1)}


def test_of_evidence_of_one_moment_that_with_the_smaller_message_id_links() -> None:
    events = [event("12:00", f"m:{one}", anonymous_id="x", message_id=one) for one in ("bob", "ann", "eve")]
    assert all(find_owners(arrival) == {"a:x": "m:ann"} for arrival in permutations(events))


def test_two_members_on_a_shared_device_remain_two() -> None:
    events = [
        event("12:00", "m:ann", anonymous_id="x"),
        event("12:01", "a:x"),
        event("12:02", "m:bob", anonymous_id="x"),
        event("12:03", "a:x"),
        event("12:04", "m:bob"),
    ]
    assert spans(events) == {("m:ann", "12:00", "12:03", 3), ("m:bob", "12:02", "12:04", 2)}
    assert count(events).days == {(APP, SATURDAY, False): (5, 2, 2, 0, 5 * 60_000)}


@pytest.mark.parametrize(
    ("changes", "owners"),
    [
        ({"visitor": "m:ann", "previous_id": "x"}, {"a:x": "m:ann"}),
        ({"visitor": "u:eve", "previous_id": "x"}, {"a:x": "u:eve"}),
        ({"visitor": "m:ann", "previous_id": "x", "anonymous_id": "y"}, {"a:x": "m:ann", "a:y": "m:ann"}),
        ({"visitor": "m:ann"}, {}),
        # Nobody is known.
        ({"visitor": "a:y", "previous_id": "x"}, {}),
        # Ids of another kind with the same text are another visitor.
        ({"visitor": "m:ann", "previous_id": "bob"}, {"a:bob": "m:ann"}),
        # Only an alias has a previous id.
        ({"visitor": "m:ann", "previous_id": "x", "type": "identify"}, {}),
        *(
            ({"visitor": "m:ann", "anonymous_id": "x", "type": kind}, {"a:x": "m:ann"})
            for kind in ("page", "screen", "track", "identify", "group")
        ),
    ],
)
def test_what_links_an_anonymous_id(changes: dict[str, Any], owners: dict[str, str]) -> None:
    assert find_owners([event("12:00", **({"type": "alias"} | changes))]) == owners


def test_an_alias_gives_earlier_events_to_the_member_but_none_of_another_member() -> None:
    events = [
        event("12:00", "a:x"),
        event("12:01", "m:bob"),
        event("12:02", "m:ann", type="alias", previous_id="x"),
        event("12:03", "m:ann", type="alias", previous_id="bob"),
    ]
    persons = find_persons(events)
    assert {person: len(own) for person, own in persons.items()} == {"m:ann": 3, "m:bob": 1}


def test_links_do_not_reach_other_sources_or_bots() -> None:
    events = [
        event("12:00", "a:x"),
        event("12:01", "m:ann", anonymous_id="x", source=SHOP),
        event("12:02", "m:ann", anonymous_id="x", is_bot="true"),
    ]
    keys = {key[:3] for key in count(events).sessions}
    assert keys == {(APP, False, "a:x"), (SHOP, False, "m:ann"), (APP, True, "m:ann")}


def test_a_duplicate_links_nothing() -> None:
    events = [
        event("12:00", "m:ann", message_id="1"),
        event("12:00", "m:ann", message_id="1", anonymous_id="x"),
        event("12:01", "a:x", message_id="2"),
    ]
    assert session_counts(events) == {"m:ann": 1, "a:x": 1}


# Duplicates and bots


def test_the_first_record_of_a_message_id_counts() -> None:
    first, other = event("12:00", "m:ann", message_id="1"), event("15:00", "m:bob", message_id="1", is_bot="true")
    assert spans([first, other, dict(first)]) == {("m:ann", "12:00", "12:00", 1)}
    assert spans([other, first]) == {("m:bob", "15:00", "15:00", 1)}


def test_one_message_id_of_two_sources_is_two_events() -> None:
    days = count([event("12:00", message_id="1"), event("12:00", message_id="1", source=SHOP)]).days
    assert days == {(source, SATURDAY, False): (1, 1, 1, 1, 0) for source in (APP, SHOP)}


def test_bots_are_counted_apart() -> None:
    events = [
        event("12:00", "m:ann", path="/"),
        event("12:10", "m:ann", path="/", is_bot="true"),
        event("12:20", "m:ann", path="/", is_bot=None),
    ]
    counted = count(events)
    assert counted.days == {
        (APP, SATURDAY, False): (2, 1, 1, 0, 20 * 60_000),
        (APP, SATURDAY, True): (1, 1, 1, 1, 0),
    }
    assert counted.members == {(APP, SATURDAY, "ann"): 2}
    assert counted.counts[APP, SATURDAY, "page", True, "/", ""] == (1, 1, 1)
    assert counted.counts[APP, SATURDAY, "gender", True, "female", ""] == (1, 1, 1)
    assert counted.counts[APP, SATURDAY, "gender", False, "female", ""] == (2, 1, 1)
    assert {key[1:]: counts for key, counts in counted.minutes.items()} == {
        (moment("12:00"), False): (1, 1, 1),
        (moment("12:10"), True): (1, 1, 1),
        (moment("12:20"), False): (1, 1, 0),
    }


# Totals and dimensions


def test_all_types_are_events_of_the_day() -> None:
    kinds = ("page", "screen", "track", "identify", "alias", "group")
    events = [event(f"12:0{number}", type=kind, name="Open") for number, kind in enumerate(kinds)]
    assert count(events).days == {(APP, SATURDAY, False): (6, 1, 1, 0, 5 * 60_000)}


def test_a_person_is_one_visitor_of_a_day_with_several_sessions() -> None:
    events = [*events_at("08:00", "08:00:00.250", "12:00"), event("12:01", "a:y")]
    assert count(events).days == {(APP, SATURDAY, False): (4, 2, 3, 2, 250)}


@pytest.mark.parametrize(
    ("name", "changes", "value"),
    [
        ("page", {"path": "/jam", "name": "Jam"}, "/jam"),
        ("page", {"type": "screen", "path": "/jam", "name": "Jam"}, "Jam"),
        ("page", {"path": None, "name": "Jam"}, None),
        ("page", {"type": "screen", "path": "/jam", "name": None}, None),
        *(
            ("page", {"type": kind, "path": "/jam", "name": "Jam"}, None)
            for kind in ("track", "identify", "alias", "group")
        ),
        ("event", {"type": "track", "name": "Open"}, "Open"),
        *(("event", {"type": kind, "name": "Open"}, None) for kind in ("page", "screen", "identify", "alias", "group")),
        ("referrer", {"referring_domain": "search.example", "referrer": "https://search.example/"}, "search.example"),
        ("referrer", {"referrer": "https://search.example/"}, None),
        ("utm_source", {"utm_source": "newsletter", "utm_campaign": "spring"}, "newsletter"),
        ("device", {"device": "mobile", "type": "identify"}, "mobile"),
        ("browser", {"browser": "Safari"}, "Safari"),
        ("system", {"system": "iOS"}, "iOS"),
        ("app_version", {"app_version": "1.2", "app_name": "Shop"}, "1.2"),
        ("country", {"country": "Norway"}, "Norway"),
        ("country", {}, None),
    ],
)
def test_the_value_of_an_event_in_a_dimension(name: str, changes: dict[str, Any], value: str | None) -> None:
    expected = {} if value is None else {(SATURDAY, value): (1, 1, 1)}
    assert dimension([event("12:00", **changes)], name) == expected


def test_a_value_counts_events_persons_and_sessions() -> None:
    events = [
        event("12:00", "a:x", path="/"),
        event("12:01", "a:x", path="/"),
        event("12:02", "a:x", path="/jam"),
        event("15:00", "a:x", path="/"),
        event("15:00", "a:y", path="/"),
    ]
    assert dimension(events, "page") == {(SATURDAY, "/"): (4, 2, 3), (SATURDAY, "/jam"): (1, 1, 1)}


def test_a_value_after_midnight_counts_the_session_on_the_day_on_which_it_began() -> None:
    events = [event("23:50", path="/"), event("00:10", day=SUNDAY, path="/jam")]
    assert dimension(events, "page") == {
        (SATURDAY, "/"): (1, 1, 1),
        (SATURDAY, "/jam"): (0, 0, 1),
        (SUNDAY, "/jam"): (1, 1, 0),
    }


def test_entry_and_exit_pages_count_the_events_of_their_sessions_on_the_day_on_which_they_began() -> None:
    events = [
        event("23:50", "a:x", path="/"),
        event("00:10", "a:x", SUNDAY, path="/jam"),
        event("00:11", "a:x", SUNDAY, type="track", name="Open"),
        # The same person again, and another one.
        event("08:00", "a:x", path="/"),
        event("08:00", "a:y", path="/"),
        event("08:00", "a:z", path=None),
    ]
    assert dimension(events, "entry_page") == {(SATURDAY, "/"): (5, 2, 3)}
    assert dimension(events, "exit_page") == {(SATURDAY, "/"): (2, 2, 2), (SATURDAY, "/jam"): (3, 1, 1)}


def test_no_other_dimension_is_counted() -> None:
    described: dict[str, Any] = {
        **{"referring_domain": "a.example", "utm_source": "b", "device": "tv", "browser": "c", "system": "d"},
        **{"app_version": "1", "country": "Norway", "path": "/", "title": "Shop", "group_id": "g", "locale": "nb-NO"},
    }
    events = [event("12:00", "m:ann", **described), event("12:01", "m:ann", type="track", name="Open")]
    assert {key[2] for key in count(events).counts} == {
        *("page", "event", "referrer", "utm_source", "device", "browser", "system", "app_version", "country"),
        *("entry_page", "exit_page", "age_group", "gender", "member_country", "city"),
    }


# Members


def member_counts(events: Events) -> dict[tuple[date, str, str, str], tuple[int, int, int]]:
    names = ("age_group", "gender", "member_country", "city")
    return {
        (day, name, value, country): counts
        for (_, day, name, _, value, country), counts in count(events).counts.items()
        if name in names
    }


def test_what_a_member_did_before_signing_in_counts_for_the_member() -> None:
    events = [event("12:00", "a:x"), event("12:10", "m:ann", anonymous_id="x"), event("18:00", "a:x")]
    assert member_counts(events) == {
        (SATURDAY, "age_group", "0-15", ""): (3, 1, 2),
        (SATURDAY, "gender", "female", ""): (3, 1, 2),
        (SATURDAY, "member_country", "Norway", ""): (3, 1, 2),
        (SATURDAY, "city", "Bergen", "Norway"): (3, 1, 2),
    }
    assert count(events).members == {(APP, SATURDAY, "ann"): 3}


def test_a_member_is_in_the_age_group_of_the_respective_day() -> None:
    """Ann's birthday begins during the session."""
    events = [event("23:50", "m:ann"), event("00:10", "m:ann", SUNDAY), event("00:20", "m:ann", SUNDAY)]
    assert dimension(events, "age_group") == {(SATURDAY, "0-15"): (1, 1, 1), (SUNDAY, "16-30"): (2, 1, 0)}
    assert dimension(events, "gender") == {(SATURDAY, "female"): (1, 1, 1), (SUNDAY, "female"): (2, 1, 0)}
    assert count(events).members == {(APP, SATURDAY, "ann"): 1, (APP, SUNDAY, "ann"): 2}


def test_cities_of_one_name_in_two_countries_are_two() -> None:
    events = [event("12:00", "m:ann"), event("12:00", "m:bob"), event("12:01", "m:bob")]
    cities = {key[4:]: counts for key, counts in count(events).counts.items() if key[2] == "city"}
    assert cities == {("Bergen", "Norway"): (1, 1, 1), ("Bergen", "Germany"): (2, 1, 1)}


def test_two_members_of_one_country_are_two_visitors() -> None:
    member = Registered("female", date(1990, 1, 1), "Norway", "Skre")
    counted = recount([event("12:00", "m:7"), event("12:00", "m:8")], {"7": member, "8": member})
    assert counted.counts[APP, SATURDAY, "city", False, "Skre", "Norway"] == (2, 2, 2)


@pytest.mark.parametrize("visitor", ["m:cat", "u:ann", "a:ann"])
def test_a_person_who_is_no_registered_member_has_no_counts_of_members(visitor: str) -> None:
    counted = count([event("12:00", visitor)])
    assert counted.days == {(APP, SATURDAY, False): (1, 1, 1, 1, 0)}
    assert counted.counts == {}
    assert counted.members == {}


# Minutes


def test_a_minute_counts_its_events_its_persons_and_the_sessions_that_began_in_it() -> None:
    events = [
        event("12:00:00", "a:x"),
        event("12:00:59.999", "a:x"),
        event("12:00:30", "a:y"),
        event("12:01", "a:x"),
        event("12:01", "a:x", source=SHOP),
    ]
    assert count(events).minutes == {
        (APP, moment("12:00"), False): (3, 2, 2),
        (APP, moment("12:01"), False): (1, 1, 0),
        (SHOP, moment("12:01"), False): (1, 1, 1),
    }


def test_minutes_are_in_utc_whatever_the_zone_of_the_times() -> None:
    odd = datetime.fromisoformat("2026-03-28T12:00:30+05:45")
    ((_, minute, _),) = count([make_record("1", "a:x", odd)]).minutes
    assert minute.isoformat() == "2026-03-28T06:15:00+00:00"


# Any history


@given(histories(), st.randoms(use_true_random=False))
def test_the_order_of_arrival_has_no_effect(history: Events, random: Any) -> None:
    assert count(random.sample(history, len(history))) == count(history)


@given(histories(changed_repeats=True))
def test_each_event_is_counted_once(history: Events) -> None:
    counted = count(history)
    unique = len({(record["source"], record["message_id"]) for record in history})
    assert sum(totals.events for totals in counted.days.values()) == unique
    assert sum(totals.events for totals in counted.sessions.values()) == unique
    assert sum(minute.events for minute in counted.minutes.values()) == unique
    assert sum(totals.sessions for totals in counted.days.values()) == len(counted.sessions)
    assert sum(minute.sessions for minute in counted.minutes.values()) == len(counted.sessions)


@given(histories())
def test_sessions_of_one_person_are_more_than_30_minutes_apart(history: Events) -> None:
    ordered = sorted((key[:3], key[3], totals.ended_at) for key, totals in count(history).sessions.items())
    for (group, _, ended_at), (next_group, started_at, _) in pairwise(ordered):
        assert group != next_group or started_at - ended_at > timedelta(minutes=30)


@given(histories())
def test_known_visitors_keep_all_their_events(history: Events) -> None:
    persons = find_persons(history)
    for record in history:
        if not record["visitor"].startswith("a:"):
            assert record in persons[record["visitor"]]
