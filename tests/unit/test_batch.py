"""The items of a request to the tracking API."""

from typing import Any

import orjson
import pytest

from interaction_samples import make_item, read
from member_analyzer.records.rejection import RecordRejectedError
from member_analyzer.streams.interactions.batch import read_items

A, B = {"type": "track", "messageId": "a"}, {"type": "page", "messageId": "b"}


@pytest.mark.parametrize(
    ("kind", "type_"),
    [
        *((one, one) for one in ("identify", "track", "page", "screen", "group", "alias")),
        *(("i", "identify"), ("t", "track"), ("p", "page"), ("s", "screen"), ("g", "group"), ("a", "alias")),
    ],
)
def test_the_path_says_the_type_of_a_single_item(kind: str, type_: str) -> None:
    assert read_items(kind, {"messageId": "a"}) == [{"messageId": "a", "type": type_}]
    assert read_items(kind, {"messageId": "a", "type": "other"}) == [{"messageId": "a", "type": type_}]


@pytest.mark.parametrize("kind", ["batch", "import", "b", None, "unknown"])
def test_the_items_of_a_batch_say_their_types(kind: str | None) -> None:
    assert read_items(kind, {"batch": [A, B]}) == [A, B]
    assert read_items(kind, [A, B]) == [A, B]
    assert read_items(kind, A) == [A]


def test_a_batch_sent_to_the_path_of_a_type_has_it_where_an_item_states_none() -> None:
    assert read_items("track", {"batch": [{"messageId": "c"}, B]}) == [{"messageId": "c", "type": "track"}, B]


@pytest.mark.parametrize(
    "body",
    [
        *(None, [], {}, {"batch": []}, {"batch": None}, {"batch": {}}, {"batch": ""}, [None, None], {"batch": [None]}),
        *({"batch": [[], {"batch": []}, None]}, {"sentAt": "2026-03-01T12:30:04Z", "writeKey": "k"}, {"context": {}}),
    ],
)
def test_an_empty_batch_has_no_items(body: object) -> None:
    assert read_items("batch", body) == []
    assert read_items(None, body) == []


@pytest.mark.parametrize(
    "body",
    [
        {"batch": [A, None, B]},
        {"batch": [[A], [B]]},
        {"batch": [{"batch": [A]}, {"batch": [B]}]},
        {"batch": [{"batch": [[A, None], B]}]},
        {"batch": {"batch": [A, B]}},
        [{"batch": [A]}, B],
    ],
)
def test_nested_batches_are_read_in_order(body: object) -> None:
    assert read_items("batch", body) == [A, B]


def test_what_is_no_item_does_not_refuse_the_others() -> None:
    found = read_items("batch", {"batch": [A, 7, "x", True, {}, B]})
    assert [found[0], *found[1:4], found[5]] == [A, 7, "x", True, B]
    for item in found[1:5]:
        with pytest.raises(RecordRejectedError):
            read(item)


@pytest.mark.parametrize("body", [7, "text", True, {"batch": "text"}, {"batch": 7}])
def test_a_body_of_another_kind_is_an_item_to_reject(body: object) -> None:
    (item,) = read_items("batch", body)
    with pytest.raises(RecordRejectedError):
        read(item)


def test_batches_nested_without_end_are_an_item_to_reject() -> None:
    body: Any = [A]
    for _ in range(50_000):
        body = {"batch": [body]}
    (item,) = read_items("batch", body)
    with pytest.raises(RecordRejectedError):
        read(item)


@pytest.mark.parametrize(
    ("envelope", "own", "merged"),
    [
        ({"sentAt": "s"}, {}, {"sentAt": "s"}),
        ({"sentAt": "s", "writeKey": "k", "integrations": {"All": True}}, {"sentAt": "own"}, {"sentAt": "own"}),
        ({"sentAt": "s"}, {"sentAt": None}, {"sentAt": "s"}),
        ({"sentAt": None}, {"sentAt": "own"}, {"sentAt": "own"}),
        ({"context": {"locale": "nb"}}, {}, {"context": {"locale": "nb"}}),
        ({"context": {"locale": "nb"}}, {"context": None}, {"context": {"locale": "nb"}}),
        ({"context": {"locale": "nb"}}, {"context": {"timezone": "z"}}, {"context": {"locale": "nb", "timezone": "z"}}),
        ({"context": {"locale": "nb"}}, {"context": {"locale": "own"}}, {"context": {"locale": "own"}}),
        (
            {"context": {"page": {"path": "/a", "title": "A"}, "app": {"name": "x"}}},
            {"context": {"page": {"path": "/own"}}},
            {"context": {"page": {"path": "/own", "title": "A"}, "app": {"name": "x"}}},
        ),
        ({"context": {"page": {"path": "/a"}}}, {"context": {"page": "x"}}, {"context": {"page": "x"}}),
        ({"context": {"page": {"a": {"b": 1}}}}, {"context": {"page": {"a": {}}}}, {"context": {"page": {"a": {}}}}),
        ({"context": "x"}, {"context": {"locale": "nb"}}, {"context": {"locale": "nb"}}),
        ({"context": {"locale": "nb"}}, {"context": []}, {"context": []}),
        ({"userId": "u1", "timestamp": "t", "messageId": "m"}, {}, {"messageId": "a"}),
    ],
)
def test_a_batch_lends_its_items_what_they_lack(
    envelope: dict[str, Any], own: dict[str, Any], merged: dict[str, Any]
) -> None:
    (item,) = read_items("batch", {"batch": [A | own], **envelope})
    assert isinstance(item, dict)
    assert {name: item[name] for name in merged} == merged
    assert "userId" not in item


def test_an_inner_batch_comes_before_the_outer_one() -> None:
    inner = {"batch": [A], "sentAt": "inner", "context": {"locale": "nb"}}
    (item,) = read_items("batch", {"batch": [inner], "sentAt": "outer", "context": {"locale": "en", "timezone": "z"}})
    assert item == A | {"sentAt": "inner", "context": {"locale": "nb", "timezone": "z"}}


def test_the_body_is_not_changed() -> None:
    body = {"batch": [{"type": "track", "context": {"page": {"path": "/a"}}}], "context": {"page": {"title": "A"}}}
    before = orjson.dumps(body)
    read_items("batch", body)
    assert orjson.dumps(body) == before


def test_a_context_that_fits_no_item_is_not_merged_into_thousands() -> None:
    (item,) = read_items("batch", {"batch": [A], "context": {"x": "y" * 40_000}, "sentAt": "s"})
    assert item == A | {"sentAt": "s"}


def ids_of(body: object) -> list[str]:
    return [read(item)["message_id"] for item in read_items("batch", body)]


def test_items_without_a_message_id_are_different_events_and_a_repeated_request_adds_none() -> None:
    item = make_item(messageId=...)
    body = {"batch": [item, make_item(), item, item | {"event": "Other"}, item | {"messageId": "null"}]}
    ids = ids_of(body | {"sentAt": "2026-03-01T12:30:04Z"})
    assert len(set(ids)) == 5
    assert ids_of(body | {"sentAt": "2026-03-01T12:40:00Z"}) == ids
    assert ids_of({"batch": [item]}) == ids[:1]


@pytest.mark.parametrize("message_id", ["m" * 101, "m" * 1000])
def test_a_message_id_that_is_too_long_is_left_to_be_rejected(message_id: str) -> None:
    (item,) = read_items("batch", {"batch": [make_item(messageId=message_id)]})
    with pytest.raises(RecordRejectedError, match="messageId"):
        read(item)
