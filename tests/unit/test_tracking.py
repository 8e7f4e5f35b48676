"""The tracking API of the collector, without servers."""

from typing import Any

import orjson
import pytest

from member_analyzer.collector.responses import RejectedItem
from member_analyzer.collector.tracking import describe_rejection, find_key_in_body, is_page_path
from member_analyzer.records.rejection import Reason, Rejection

REJECTION = Rejection(Reason.MISSING_FIELD, "The item has no type.")

MESSAGE_IDS: dict[str, tuple[Any, str | None]] = {
    "text": ({"messageId": "a"}, "a"),
    "a lone surrogate, which is no JSON": ({"messageId": "a\ud800"}, "a\\ud800"),
    "a NUL": ({"messageId": "a\0b"}, "ab"),
    "very long text": ({"messageId": "x" * 400_000}, "x" * 100),
    "a number": ({"messageId": 7}, None),
    "none": ({}, None),
    "no object": ([], None),
}


@pytest.mark.parametrize("case", MESSAGE_IDS)
def test_the_response_names_a_rejected_item_whatever_its_message_id_is(case: str) -> None:
    item, expected = MESSAGE_IDS[case]
    described = describe_rejection(3, item, REJECTION)
    assert orjson.loads(orjson.dumps(described)) == described
    assert RejectedItem(**described).messageId == expected
    assert (described["index"], described["reason"]) == (3, "missing_field")


@pytest.mark.parametrize(("body", "key"), [({"writeKey": "k"}, "k"), ({"writeKey": 7}, None), ([], None), (None, None)])
def test_the_key_in_a_body_is_text(body: Any, key: str | None) -> None:
    assert find_key_in_body(body) == key


@pytest.mark.parametrize(
    ("path", "expected"),
    [
        *(("/v1/track", True), ("/v1/t/", True), ("/b", True), ("/beacon/v1/batch", True), ("/api/s/page", True)),
        *(("/sourceConfig/", True), ("/v1/projects/key/settings", True), ("/m", True)),
        *(("/v1/users", False), ("/v1/analysis/age", False), ("/docs", False), ("/", False), ("/metrics", False)),
    ],
)
def test_pages_may_call_the_paths_of_sdks_alone(path: str, expected: bool) -> None:
    assert is_page_path(path) is expected
