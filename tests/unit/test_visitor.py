"""Who an interaction belongs to."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from member_analyzer.streams.interactions.identity import (
    LONGEST_ID,
    PLACEHOLDERS,
    Identity,
    find_identity,
    read_id,
)


@pytest.mark.parametrize(
    "value",
    [
        *(None, True, False, [], {}, ["u1"], {"id": "u1"}, "", " ", "\t\n", "\u200b", "\u00a0", "\ufeff"),
        *(0, 0.0, -0.0, -1, "0", "00", "-1", "0.0", float("nan"), float("inf"), 1e22, 2.0**53),
        *("null", "NULL", " null ", '"null"', "'null'", "(null)", "<null>", "undefined", "Undefined", "NaN", "None"),
        *("nil", "<nil>", "none", "false", "true", "anonymous", "Anonymous", "anon", "guest", "unknown", "N/A"),
        *("[object Object]", "[]", "{}", "-", "--", "...", "?", "''", '""', "(not set)", "userId", "user_id", "email"),
        *("00000000-0000-0000-0000-000000000000", "00000000000000000000000000000000", "00:00:00:00:00:00"),
        *("LMY47D", "9774d56d682e549c", *PLACEHOLDERS),
    ],
)
def test_a_placeholder_is_no_id(value: object) -> None:
    assert read_id(value) is None
    assert find_identity(value, None) is None
    assert find_identity(None, value) is None
    assert find_identity(value, "a1") == Identity("a:a1", None, "a1")


@pytest.mark.parametrize(
    ("value", "text"),
    [
        *((one, one) for one in ("u1", "7", "guest1", "Nullable", "a b", "é", "用户", "anonymous-7", "x" * LONGEST_ID)),
        *((one, one) for one in ("7f26ab6a-fab7-4986-acb1-ecec12fa8471", "000000000001", "id-1", "\u200bu1")),
        (" u1\n", "u1"),
        (42, "42"),
        (42.0, "42"),
        (-7, "-7"),
        (1.5, "1.5"),
        (2**53 + 1, "9007199254740993"),
        (10**20, "1" + "0" * 20),
    ],
)
def test_an_id_is_kept_as_text_and_otherwise_unchanged(value: object, text: str) -> None:
    assert read_id(value) == text


def test_a_number_that_was_rounded_is_no_id_because_strangers_would_share_it() -> None:
    # What a JSON parser makes of 100000000000000000000001 and of 100000000000000000000002.
    assert read_id(float("100000000000000000000001")) is None


def test_ids_that_are_too_long_stay_different() -> None:
    ids = {read_id("x" * 300 + end) for end in "abc\ud800"} | {read_id(10**5000 + end) for end in range(3)}
    assert len(ids) == 7
    assert all(one is not None and len(one) <= LONGEST_ID for one in ids)
    assert read_id("x" * 300) == read_id("x" * 300)


@pytest.mark.parametrize(
    ("user", "visitor", "member"),
    [
        ("u1", "m:u1", "u1"),
        ("a.b_c:d-e", "m:a.b_c:d-e", "a.b_c:d-e"),
        ("x" * 64, "m:" + "x" * 64, "x" * 64),
        (7, "m:7", "7"),
        # Ids that no member can have are visitors, and not members.
        ("ann@example.com", "u:ann@example.com", None),
        ("x" * 65, "u:" + "x" * 65, None),
        ("a b", "u:a b", None),
        ("-7", "u:-7", None),
        ("٣", "u:٣", None),
        ("u1\u0301", "u:u1\u0301", None),
    ],
)
def test_a_user_id_is_a_members_only_if_a_member_can_have_it(user: object, visitor: str, member: str | None) -> None:
    assert find_identity(user, "a1") == Identity(visitor, member, "a1")


def test_ids_of_two_kinds_with_the_same_text_are_two_visitors() -> None:
    found = [
        find_identity("u1", None),
        find_identity(None, "u1"),
        find_identity(None, "m:u1"),
        find_identity("é", None),
    ]
    visitors = {one.visitor for one in found if one is not None}
    assert visitors == {"m:u1", "a:u1", "a:m:u1", "u:é"}


@given(st.text() | st.integers() | st.floats(), st.text() | st.integers() | st.floats())
def test_two_ids_are_one_visitor_only_if_they_are_the_same_text(one: Any, other: Any) -> None:
    first, second = find_identity(one, None), find_identity(other, None)
    if first is not None and second is not None and first.visitor == second.visitor:
        assert str(one).strip().removesuffix(".0") == str(other).strip().removesuffix(".0")
