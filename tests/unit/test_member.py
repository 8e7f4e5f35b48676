import json
import os
from datetime import UTC, date, datetime, timedelta
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from member_analyzer.records.canonical import canonical
from member_analyzer.records.codec import from_json, to_avro, to_json
from member_analyzer.records.rejection import Reason, RecordRejectedError
from member_analyzer.records.rules import broken_rule
from member_analyzer.records.wire import ValueReader, ValueWriter
from member_analyzer.streams.members.dimensions import AGE_GROUPS, DIMENSIONS, age_group, age_on
from member_analyzer.streams.members.forms import (
    format_address,
    from_either,
    from_flat,
    from_random_user,
    is_random_user,
    read_id,
)
from member_analyzer.streams.members.record import MEMBER, avro_schema, erased_event
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
        assert error.rejection.message  # noqa: PT017
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
        assert error.rejection.message  # noqa: PT017
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


NESTED_PLACE = {"city": "Skre", "country": "Norway"}


@pytest.mark.parametrize(
    ("record", "is_nested", "key"),
    [
        (FLAT | {"location": {"lat": 59.9}}, False, FLAT["id"]),
        (FLAT | {"login": {"provider": "x"}}, False, FLAT["id"]),
        (FLAT | {"login": {"uuid": "other"}}, False, FLAT["id"]),
        (FLAT | {"location": NESTED_PLACE, "dob": {"date": "1990-05-17"}}, False, FLAT["id"]),
        (FLAT | {"location": NESTED_PLACE, "dob": {}, "login": {"uuid": "other"}, "id": ""}, False, None),
        ({"id": "u1", "gender": "female", "login": {"provider": "x"}}, False, "u1"),
        ({"id": 42, "location": {"lat": 59.9}}, False, "42"),
        ({"id": "u1", "gender": "female", "date_of_birth": "1990-05-17", "location": NESTED_PLACE}, False, "u1"),
        ({"id": "u1", "gender": "female", "location": NESTED_PLACE}, True, "u1"),
        (make_user(id={"name": "FN", "value": "1"}), True, make_user()["login"]["uuid"]),
        (make_user(id="u1"), True, make_user()["login"]["uuid"]),
        (make_user(id="u1", login={"username": "x"}), True, "u1"),
        (make_user(id="u1", login=None), True, "u1"),
        (make_user(id={"name": "FN"}, login=None), True, None),
        (make_user(country="Norway", shoe_size=44), True, make_user()["login"]["uuid"]),
        ({"login": {}, "location": [], "dob": "1990-05-17"}, False, None),
        ({}, False, None),
    ],
)
def test_a_record_has_the_form_that_gives_more_of_it_and_keeps_its_id(
    record: dict[str, Any], is_nested: bool, key: str | None
) -> None:
    assert is_random_user(record) is is_nested
    assert read_id(record) == key


@pytest.mark.parametrize("extra", [{"location": {"lat": 59.9}}, {"login": {"provider": "x"}}, {"dob": {"year": 1976}}])
def test_an_unknown_field_that_is_nested_changes_nothing(extra: dict[str, Any]) -> None:
    assert from_either(FLAT | extra, MOMENT) == from_flat(FLAT, MOMENT)


@pytest.mark.parametrize(
    "day",
    [
        *("1990-05-17", "1990-05-17T00:00:00+09:00", "1990-05-17T23:59:59-11:00", "1990-05-17T00:30:00Z"),
        *("1990-05-17 00:00:00", " 1990-05-17T00:00:00.000+14:00 "),
    ],
)
def test_the_day_of_birth_is_the_day_as_it_is_written(day: str) -> None:
    assert from_flat(FLAT | {"date_of_birth": day}, MOMENT)["date_of_birth"] == date(1990, 5, 17)
    if day == day.strip():
        assert from_random_user(make_user(dob={"date": day}), MOMENT)["date_of_birth"] == date(1990, 5, 17)


@pytest.mark.parametrize(
    ("field", "sent", "kept"),
    [
        *(
            ("city", text, "Zürich")
            for text in ("Zürich", "Zu\u0308rich", "Z\u200bürich", "Zürich\u200f", "Zü\x1b[1mrich")
        ),
        *(("city", text, "Oslo") for text in ("\u200bOslo", "Oslo\u200f", "\ufeffOslo", "Os\nlo", "\u00a0Oslo\t")),
        *(("country", text, "Germany") for text in ("germany", "Germany ", "DE", "DEU", "Ger\u200bmany")),
        *(("country", text, "Turkey") for text in ("Türkiye", "Turkey", "Tu\u0308rkiye")),
        ("country", "Atlantis ", "Atlantis"),
        *(("gender", text, "female") for text in ("female", "Female", "F", "woman", " FEMALE ")),
        *(("gender", text, "male") for text in ("M", "Male", "man")),
        *(("gender", text, "other") for text in ("non-binary", "Nonbinary", "non_binary", "X", "diverse", "Other")),
        *(("gender", text, "undisclosed") for text in ("prefer not to say", "Prefer-not-to-say", "unknown")),
    ],
)
def test_one_thing_is_counted_as_one_in_both_forms(field: str, sent: str, kept: str) -> None:
    assert from_flat(FLAT | {field: sent}, MOMENT)[field] == kept
    user = make_user()
    (user if field == "gender" else user["location"])[field] = sent
    assert from_random_user(user, MOMENT)[field] == kept


@pytest.mark.parametrize("text", ["\u200b", " \u00a0\u2060", "\x1b[0m", "\n"])
def test_text_that_cannot_be_seen_is_missing(text: str) -> None:
    with pytest.raises(RecordRejectedError) as caught:
        from_flat(FLAT | {"city": text}, MOMENT)
    assert caught.value.rejection.reason is Reason.MISSING_FIELD
    assert from_flat(FLAT | {"title": text}, MOMENT)["title"] is None


@pytest.mark.parametrize("key", ["a\u200bb", "\u200b", "a\nb", "é"])
def test_an_id_is_never_changed_into_another(key: str) -> None:
    with pytest.raises(RecordRejectedError, match="id"):
        from_flat(FLAT | {"id": key}, MOMENT)
    assert canonical(MEMBER, make_member(id=key)) == make_member(id=key)


@pytest.mark.parametrize("gender", ["?", "femal", "women and men", "1", 1, True, ["female"]])
def test_any_other_gender_is_rejected(gender: object) -> None:
    with pytest.raises(RecordRejectedError, match="gender"):
        from_flat(FLAT | {"gender": gender}, MOMENT)


@settings(deadline=None, max_examples=500)
@given(st.dictionaries(st.sampled_from(MEMBER.names), json_values | st.text("eu\u0308\u200b\n \u0301", max_size=5)))
def test_a_canonical_record_stays_as_it_is_and_what_was_read_is_canonical(changes: dict[str, Any]) -> None:
    record = canonical(MEMBER, make_member(**changes))
    assert canonical(MEMBER, record) is record
    try:
        member = from_either(FLAT | changes, MOMENT)
    except RecordRejectedError:
        return
    assert canonical(MEMBER, member) is member


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
    with pytest.raises(ValueError, match="before the date of birth"):
        age_on(date(1999, 12, 31), date(2000, 1, 1))


def test_the_avro_schema_holds_just_the_fields_of_the_record() -> None:
    schema = json.loads(avro_schema())
    assert [field["name"] for field in schema["fields"]] == list(MEMBER.names)
    optional = {field["name"] for field in schema["fields"] if isinstance(field["type"], list)}
    assert optional == {field.name for field in MEMBER.fields if not field.required}


def test_every_dimension_counts_fields_of_the_record() -> None:
    assert all(set(dimension.columns) <= set(MEMBER.names) for dimension in DIMENSIONS)
