"""A rejected item is kept without private values, and can be read again."""

import json
from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from member_analyzer.records.rejection import Reason, RecordRejectedError
from member_analyzer.streams.interactions.rejected_item import read_rejected_item, write_rejected_item
from member_analyzer.streams.interactions.user_agents import classify_user_agent

NOW = datetime(2026, 11, 21, 9, 15, tzinfo=UTC)

REDACTED: dict[str, tuple[Any, Any]] = {
    "an address": ({"context": {"ip": "203.0.113.7", "locale": "nb"}}, {"context": {"locale": "nb"}}),
    "a secret in a list": ({"properties": [{"password": "x", "a": 1}]}, {"properties": [{"a": 1}]}),
    "a parameter of a URL": (
        {"url": "https://shop.example/?token=x&q=shoes"},
        {"url": "https://shop.example/?q=shoes"},
    ),
    "a NUL in a name": ({"a\0b": "c\0d"}, {"ab": "cd"}),
    "no object": ([1, "x", None, True, 1.5], [1, "x", None, True, 1.5]),
    "an integer of more than 64 bits": ({"n": 2**70}, {"n": str(2**70)}),
}


@pytest.mark.parametrize("case", REDACTED)
def test_a_rejected_item_is_kept_without_what_may_not_be_stored(case: str) -> None:
    item, kept = REDACTED[case]
    assert json.loads(write_rejected_item(item)) == kept


def test_levels_that_only_hostile_items_have_are_dropped() -> None:
    item: Any = "x"
    for _ in range(5000):
        item = {"a": item}
    assert write_rejected_item(item).count(b"{") < 100


@given(
    st.recursive(
        st.none() | st.booleans() | st.integers() | st.floats() | st.text(st.characters(codec=None)),
        lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
    )
)
def test_any_json_value_can_be_kept_and_read_again(item: Any) -> None:
    kept = write_rejected_item(item)
    json.loads(kept)
    with pytest.raises(RecordRejectedError):
        read_rejected_item(kept, source="shop", zone=UTC, received_at=NOW, classify=classify_user_agent)


def test_an_item_that_breaks_no_rule_any_more_becomes_an_interaction() -> None:
    kept = write_rejected_item({"type": "page", "messageId": "a", "userId": "m-1"})
    record = read_rejected_item(kept, source="shop", zone=UTC, received_at=NOW, classify=classify_user_agent)
    assert (record["message_id"], record["visitor"], record["source"]) == ("a", "m:m-1", "shop")
    assert record["received_at"] == NOW


@pytest.mark.parametrize("value", [None, b"", b"\xff", b"{"])
def test_what_is_no_json_stays_rejected(value: bytes | None) -> None:
    with pytest.raises(RecordRejectedError) as error:
        read_rejected_item(value, source="shop", zone=UTC, received_at=NOW, classify=classify_user_agent)
    assert error.value.rejection.reason is Reason.UNDECODABLE
