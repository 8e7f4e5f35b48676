"""The member in the traits of an identify."""

from datetime import UTC, date, datetime
from typing import Any

import pytest

from interaction_samples import RECEIVED_AT, make_item
from member_analyzer.records.rules import broken_rule
from member_analyzer.streams.interactions.traits import read_traits
from member_analyzer.streams.members.forms import from_either, from_flat
from member_analyzer.streams.members.record import MEMBER

TRAITS = {
    "birthday": "1976-03-02",
    "gender": "F",
    "address": {
        "street": "6036 Nybyggerveien",
        "city": "Skre",
        "country": "NO",
        "postalCode": 3181,
        "state": "Trøndelag",
    },
    "firstName": "Siren",
    "lastName": "Vestvik",
    "email": "siren.vestvik@example.com",
    "phone": "89485828",
    "username": "lazysnake750",
    "title": "VP of Engineering",
    "avatar": "https://example.com/93.jpg",
    "createdAt": "2012-09-10T22:42:18.625Z",
    "plan": "gold",
}


def identify(traits: Any = TRAITS, **changes: Any) -> dict[str, Any]:
    return make_item(type="identify", event=..., traits=traits, **changes)


def test_the_standard_traits_are_a_member() -> None:
    record = read_traits(identify())
    member = from_flat(record, RECEIVED_AT)
    assert broken_rule(MEMBER, member) is None
    assert {name: value for name, value in member.items() if value is not None} == {
        "id": "7f26ab6a-fab7-4986-acb1-ecec12fa8471",
        "kind": "created",
        "occurred_at": RECEIVED_AT,
        "gender": "female",
        "date_of_birth": date(1976, 3, 2),
        "country": "Norway",
        "city": "Skre",
        "first_name": "Siren",
        "last_name": "Vestvik",
        "email": "siren.vestvik@example.com",
        "username": "lazysnake750",
        "phone": "89485828",
        "address": "6036 Nybyggerveien, 3181 Skre, Trøndelag, NO",
        "postcode": "3181",
        "registered_at": datetime(2012, 9, 10, 22, 42, 18, 625000, tzinfo=UTC),
        "picture": "https://example.com/93.jpg",
    }
    assert from_either(record, RECEIVED_AT) == member


def test_traits_may_be_in_the_context_and_the_items_own_win() -> None:
    context = {"traits": TRAITS | {"firstName": "Old"}}
    record = read_traits(make_item(type="identify", context=context, traits={"firstName": "New"}))
    assert record is not None
    assert (record["first_name"], record["city"]) == ("New", "Skre")


@pytest.mark.parametrize(
    ("changes", "field", "value"),
    [
        ({"birthday": "1976-03-02T00:00:00.000Z"}, "date_of_birth", date(1976, 3, 2)),
        ({"birthday": 194572800}, "date_of_birth", date(1976, 3, 2)),
        ({"birthday": 194572800000}, "date_of_birth", date(1976, 3, 2)),
        ({"birthday": -1577923200}, "date_of_birth", date(1920, 1, 1)),
        ({"birthday": -1577923200000}, "date_of_birth", date(1920, 1, 1)),
        ({"firstName": None, "firstname": "Siri"}, "first_name", "Siri"),
        ({"phone": 89485828}, "phone", "89485828"),
        ({"phone": {"home": 1}}, "phone", None),
        ({"createdAt": "once"}, "registered_at", None),
        ({"createdAt": 1347316938}, "registered_at", datetime(2012, 9, 10, 22, 42, 18, tzinfo=UTC)),
        ({"email": "a\0b@example.com"}, "email", "ab@example.com"),
    ],
)
def test_traits_are_read_as_sdks_write_them(changes: dict[str, Any], field: str, value: object) -> None:
    assert from_flat(read_traits(identify(TRAITS | changes)), RECEIVED_AT)[field] == value


@pytest.mark.parametrize(
    "item",
    [
        identify({}),
        identify(None),
        identify([]),
        identify("x"),
        *(identify(TRAITS | {name: None}) for name in ("birthday", "gender", "address")),
        *(identify(TRAITS | {name: " "}) for name in ("birthday", "gender", "address")),
        identify(TRAITS | {"address": {"street": "6036 Nybyggerveien"}}),
        identify(TRAITS | {"address": {"city": "Skre"}}),
        identify(TRAITS | {"address": "Skre, Norway"}),
        identify(TRAITS | {"birthday": ["1976-03-02"]}),
        identify(userId=None),
        identify(userId="null"),
        identify(userId="ann@example.com"),
        identify() | {"type": "track"},
        identify() | {"padding": "x" * 40_000},
        *(None, 7, "x", [], {}),
    ],
)
def test_an_identify_without_a_whole_member_only_links(item: object) -> None:
    assert read_traits(item) is None
