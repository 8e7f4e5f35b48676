import json
import os
from datetime import UTC, date, datetime, timedelta
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from member_analyzer.member import (
    AGE_GROUPS,
    DIMENSIONS,
    MEMBER,
    age_group,
    age_on,
    avro_schema,
    erased_event,
    format_address,
    from_either,
    from_flat,
    from_random_user,
    is_random_user,
)
from member_analyzer.record import Reason, RecordRejectedError, broken_rule, from_json, to_avro, to_json
from member_analyzer.wire import ValueReader, ValueWriter
from member_samples import MOMENT, make_member, make_user, recorded_users


def test_every_recorded_user_of_the_real_api_is_a_valid_member() -> None:
    for user in recorded_users():
        member = from_random_user(user, MOMENT)
        assert broken_rule(MEMBER, member) is None
        assert member["id"] == user["login"]["uuid"]
        assert member["postcode"] == str(user["location"]["postcode"])
        assert member["date_of_birth"].isoformat() == user["dob"]["date"][:10]


def test_passwords_are_not_taken_over() -> None:
    assert "mpegs" not in json.dumps(to_json(MEMBER, from_random_user(make_user(), MOMENT)))


def test_a_postcode_may_be_a_number() -> None:
    location = make_user()["location"] | {"postcode": 36579}
    member = from_random_user(make_user(location=location), MOMENT)
    assert member["postcode"] == "36579"
    assert "36579 Skre" in member["address"]


def test_the_address_is_one_line() -> None:
    assert from_random_user(make_user(), MOMENT)["address"] == "6036 Nybyggerveien, 3181 Skre, Trøndelag, Norway"


def test_an_address_leaves_out_what_is_missing() -> None:
    assert format_address(street="", postcode=None, city="Ub", state=None, country="Serbia") == "Ub, Serbia"
    assert format_address(street=None, postcode=None, city=None, state=None, country=None) is None


@pytest.mark.parametrize("user", [None, 7, "user", [], True, 1.5])
def test_what_is_no_object_is_rejected(user: object) -> None:
    with pytest.raises(RecordRejectedError) as caught:
        from_random_user(user, MOMENT)
    assert caught.value.rejection.reason is Reason.NOT_AN_OBJECT


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"login": {}}, Reason.MISSING_FIELD),
        ({"login": "x"}, Reason.MISSING_FIELD),
        ({"dob": {}}, Reason.MISSING_FIELD),
        ({"dob": {"date": 12}}, Reason.WRONG_TYPE),
        ({"dob": {"date": "1976-02-30T00:00:00Z"}}, Reason.WRONG_TYPE),
        ({"gender": ["female"]}, Reason.WRONG_TYPE),
        ({"gender": True}, Reason.WRONG_TYPE),
        ({"nat": "Norway"}, Reason.UNKNOWN_VALUE),
        ({"phone": 10**5000}, Reason.TEXT_TOO_LONG),
    ],
)
def test_a_user_that_breaks_a_rule_is_rejected_with_the_reason(changes: dict[str, Any], reason: Reason) -> None:
    with pytest.raises(RecordRejectedError) as caught:
        from_random_user(make_user(**changes), MOMENT)
    assert caught.value.rejection.reason is reason


WRITER, READER = ValueWriter(1, avro_schema()), ValueReader({1: avro_schema()}, avro_schema())

json_values = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats()
    | st.text()
    | st.sampled_from(["female", "2000-01-01", "NO"]),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
    max_leaves=8,
)


def goes_the_whole_way(member: dict[str, Any]) -> None:
    """It keeps the rules, and is the same after landing and Kafka."""
    assert broken_rule(MEMBER, member) is None
    landed = json.loads(json.dumps(to_json(MEMBER, member)).encode())
    assert READER.read(WRITER.write(to_avro(MEMBER, landed))) == dict.fromkeys(MEMBER.names) | member


@settings(deadline=None, max_examples=int(os.environ.get("RECORD_CASES", "2000")))
@given(st.data())
def test_any_json_is_a_valid_member_or_a_rejection(data: st.DataObject) -> None:
    user: Any = make_user()
    if data.draw(st.integers(0, 9)) == 0:
        user = data.draw(json_values)
    for key in data.draw(st.lists(st.sampled_from(sorted(make_user())), max_size=4, unique=True)):
        if not isinstance(user, dict) or key not in user:
            break
        part = user[key]
        if isinstance(part, dict) and data.draw(st.booleans()):
            user[key] = part | {data.draw(st.sampled_from(sorted(part))): data.draw(json_values)}
        else:
            user[key] = data.draw(json_values)
    try:
        member = from_random_user(user, MOMENT)
    except RecordRejectedError as error:
        assert error.rejection.sentence  # noqa: PT017
    else:
        goes_the_whole_way(member)


FLAT = to_json(MEMBER, make_member()) | {"registered_at": "2020-01-01T00:00:00Z"}


@settings(deadline=None, max_examples=int(os.environ.get("RECORD_CASES", "2000")))
@given(st.dictionaries(st.sampled_from([*FLAT, *MEMBER.names]), json_values, max_size=4) | json_values)
def test_any_json_in_the_flat_form_is_a_valid_member_or_a_rejection(changes: Any) -> None:
    record = FLAT | changes if isinstance(changes, dict) else changes
    try:
        member = from_flat(record, MOMENT)
    except RecordRejectedError as error:
        assert error.rejection.sentence  # noqa: PT017
    else:
        goes_the_whole_way(member)


def test_the_flat_form_needs_neither_a_kind_nor_a_moment_and_may_hold_more() -> None:
    record = {name: value for name, value in FLAT.items() if name not in ("kind", "occurred_at")}
    assert from_flat(record | {"shoe_size": 44}, MOMENT) == dict.fromkeys(MEMBER.names) | make_member(
        registered_at=datetime(2020, 1, 1, tzinfo=UTC)
    )


def test_text_is_trimmed_in_the_flat_form_and_a_postcode_may_be_a_number() -> None:
    member = from_flat(FLAT | {"city": " Skre ", "postcode": 3181, "title": ""}, MOMENT)
    assert (member["city"], member["postcode"], member["title"]) == ("Skre", "3181", None)


def test_nobody_is_erased_by_being_posted() -> None:
    with pytest.raises(RecordRejectedError) as caught:
        from_flat(FLAT | {"kind": "erased"}, MOMENT)
    assert caught.value.rejection.reason is Reason.UNKNOWN_VALUE


def test_a_member_of_the_flat_form_may_be_a_day_ahead_and_no_more() -> None:
    ahead = MOMENT + timedelta(days=1)
    assert from_flat(FLAT | {"occurred_at": ahead.isoformat()}, MOMENT)["occurred_at"] == ahead
    with pytest.raises(RecordRejectedError, match="future"):
        from_flat(FLAT | {"occurred_at": (ahead + timedelta(seconds=1)).isoformat()}, MOMENT)


@given(
    occurred_at=st.datetimes(datetime(1970, 1, 1), datetime(9999, 12, 30), timezones=st.just(UTC)),
    erased_at=st.datetimes(datetime(1970, 1, 1), datetime(9999, 12, 30), timezones=st.just(UTC)),
)
def test_the_erasure_of_any_valid_member_is_valid(occurred_at: datetime, erased_at: datetime) -> None:
    member = make_member(occurred_at=occurred_at, date_of_birth=occurred_at.date())
    assert broken_rule(MEMBER, member) is None
    erased = erased_event(to_json(MEMBER, member), erased_at)
    assert broken_rule(MEMBER, from_json(MEMBER, erased)) is None


@pytest.mark.parametrize("part", ["login", "location", "dob"])
def test_both_forms_are_told_apart_by_their_shape(part: str) -> None:
    assert from_either(FLAT, MOMENT) == from_flat(FLAT, MOMENT)
    assert from_either(make_user(), MOMENT) == from_random_user(make_user(), MOMENT)
    assert is_random_user({part: make_user()[part]})
    assert not is_random_user(FLAT)


@given(st.integers(min_value=0, max_value=150))
def test_each_age_is_in_exactly_one_group(age: int) -> None:
    holding = [g.label for g in AGE_GROUPS if g.youngest <= age and (g.oldest is None or age <= g.oldest)]
    assert holding == [age_group(age)]


def test_a_negative_age_has_no_group() -> None:
    with pytest.raises(ValueError, match="-1"):
        age_group(-1)


@pytest.mark.parametrize(
    ("born", "day", "age"),
    [
        (date(2000, 6, 15), date(2016, 6, 14), 15),
        (date(2000, 6, 15), date(2016, 6, 15), 16),
        (date(2000, 2, 29), date(2021, 2, 28), 20),
        (date(2000, 2, 29), date(2021, 3, 1), 21),
        (date(2000, 2, 29), date(2024, 2, 29), 24),
        (date(2026, 1, 1), date(2026, 1, 1), 0),
    ],
)
def test_members_grow_older_on_their_birthday(born: date, day: date, age: int) -> None:
    assert age_on(day, born) == age


def test_nobody_has_an_age_before_birth() -> None:
    with pytest.raises(ValueError, match="born"):
        age_on(date(1999, 12, 31), date(2000, 1, 1))


def test_the_avro_schema_holds_just_the_fields_of_the_record() -> None:
    schema = json.loads(avro_schema())
    assert [field["name"] for field in schema["fields"]] == list(MEMBER.names)
    optional = {field["name"] for field in schema["fields"] if isinstance(field["type"], list)}
    assert optional == {field.name for field in MEMBER.fields if not field.required}


def test_every_dimension_counts_fields_of_the_record() -> None:
    assert all(set(dimension.columns) <= set(MEMBER.names) for dimension in DIMENSIONS)
