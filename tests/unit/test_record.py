from datetime import UTC, date, datetime, timedelta, timezone

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from member_analyzer.records.codec import from_json, read_moment, to_avro, to_json
from member_analyzer.records.fields import RecordType, TextField
from member_analyzer.records.rejection import Reason, RecordRejectedError
from member_analyzer.records.rules import _checks, broken_rule
from member_analyzer.streams.members.record import MEMBER
from member_samples import MOMENT, make_member


def test_a_valid_member_breaks_no_rule() -> None:
    assert broken_rule(MEMBER, make_member()) is None


@pytest.mark.parametrize(
    ("changes", "reason", "field"),
    [
        ({"id": None}, Reason.MISSING_FIELD, "id"),
        ({"city": "   "}, Reason.MISSING_FIELD, "city"),
        ({"id": 7}, Reason.WRONG_TYPE, "id"),
        ({"id": True}, Reason.WRONG_TYPE, "id"),
        ({"date_of_birth": "1976-03-02"}, Reason.WRONG_TYPE, "date_of_birth"),
        ({"date_of_birth": MOMENT}, Reason.WRONG_TYPE, "date_of_birth"),
        ({"id": "a b"}, Reason.UNKNOWN_VALUE, "id"),
        ({"id": "abc\n"}, Reason.UNKNOWN_VALUE, "id"),
        ({"id": "x" * 65}, Reason.TEXT_TOO_LONG, "id"),
        ({"kind": "changed"}, Reason.UNKNOWN_VALUE, "kind"),
        ({"gender": "Female"}, Reason.UNKNOWN_VALUE, "gender"),
        ({"nationality": "no"}, Reason.UNKNOWN_VALUE, "nationality"),
        ({"first_name": "Si\0ren"}, Reason.UNREADABLE_TEXT, "first_name"),
        ({"first_name": "Si\ufffdren"}, Reason.UNREADABLE_TEXT, "first_name"),
        ({"last_name": "Vest\ud800vik"}, Reason.UNREADABLE_TEXT, "last_name"),
        ({"date_of_birth": date(1899, 12, 31)}, Reason.BAD_DATE, "date_of_birth"),
        ({"date_of_birth": MOMENT.date() + timedelta(days=1)}, Reason.BAD_DATE, "date_of_birth"),
        ({"registered_at": datetime(1850, 1, 1, tzinfo=UTC)}, Reason.BAD_DATE, "registered_at"),
        ({"registered_at": datetime(2020, 1, 1)}, Reason.BAD_DATE, "registered_at"),
    ],
)
def test_a_broken_rule_is_told_with_its_field(changes: dict[str, object], reason: Reason, field: str) -> None:
    rejection = broken_rule(MEMBER, make_member(**changes))
    assert rejection is not None
    assert rejection.reason is reason
    assert field in rejection.message


@settings(deadline=None)
@given(st.sampled_from([field for field in MEMBER.fields if isinstance(field, TextField)]), st.data())
def test_all_rules_of_a_text_in_one_expression_say_what_they_say_one_by_one(
    field: TextField, data: st.DataObject
) -> None:
    characters = st.characters() | st.sampled_from("\0\ud800\ufffd  \n\u00a0aZ09._:-")
    texts = st.text(characters, max_size=5) | st.sampled_from([*field.allowed, "a" * field.longest, "NO", ""])
    text = data.draw(texts) + data.draw(st.sampled_from(["", "\n", " ", "a"]))
    own = next(one for one in _checks(MEMBER) if one.name == field.name)
    assert own.keeps_all is not None
    assert bool(own.keeps_all(text)) == all(keeps(text, {}) for keeps, _ in own.checks)


def test_a_rejection_does_not_repeat_the_members_data() -> None:
    rejection = broken_rule(MEMBER, make_member(id="Jane Doe"))
    assert rejection is not None
    assert "Jane" not in rejection.message


def test_a_member_may_be_born_on_the_day_it_arrives() -> None:
    assert broken_rule(MEMBER, make_member(date_of_birth=MOMENT.date())) is None


def test_the_day_of_arrival_is_the_one_in_utc() -> None:
    late = datetime(2026, 3, 1, 23, 0, tzinfo=timezone(timedelta(hours=-5)))
    assert broken_rule(MEMBER, make_member(occurred_at=late, date_of_birth=date(2026, 3, 2))) is None


def test_a_text_as_long_as_allowed_is_kept() -> None:
    assert broken_rule(MEMBER, make_member(first_name="é" * 200)) is None


def test_json_and_back_is_the_same_member() -> None:
    member = make_member(registered_at=datetime(2012, 9, 10, 22, 42, 18, 625000, tzinfo=UTC))
    restored = from_json(MEMBER, to_json(MEMBER, member))
    assert {name: value for name, value in restored.items() if value is not None} == member


def test_json_that_holds_no_day_is_rejected() -> None:
    values = to_json(MEMBER, make_member()) | {"date_of_birth": "yesterday"}
    with pytest.raises(RecordRejectedError, match="date_of_birth"):
        from_json(MEMBER, values)


def test_avro_gets_days_and_milliseconds_since_1970() -> None:
    member = make_member(date_of_birth=date(1969, 12, 31), occurred_at=datetime(1970, 1, 1, 0, 0, 1, 5000, tzinfo=UTC))
    avro = to_avro(MEMBER, to_json(MEMBER, member))
    assert avro["date_of_birth"] == -1
    assert avro["occurred_at"] == 1005
    assert avro["last_name"] is None


def test_a_moment_is_cut_to_milliseconds_in_utc() -> None:
    assert read_moment("2020-01-01T01:00:00.123999+01:00") == datetime(2020, 1, 1, 0, 0, 0, 123000, tzinfo=UTC)


@pytest.mark.parametrize("text", ["", "soon", "0001-01-01T00:00:00+14:00", "2020-13-01"])
def test_what_is_no_moment_raises_a_value_error(text: str) -> None:
    with pytest.raises(ValueError):  # noqa: PT011
        read_moment(text)


def test_a_record_type_needs_its_key_among_its_fields() -> None:
    with pytest.raises(ValueError, match="key"):
        RecordType("visits", "visit", (TextField(name="page"),))
