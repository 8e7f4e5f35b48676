import json
import os
from datetime import UTC, date, datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

import fastavro
import orjson
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from interaction_samples import BROWSER, RECEIVED_AT, make_item, make_page, read
from member_analyzer.records.canonical import canonical
from member_analyzer.records.codec import to_avro, to_json
from member_analyzer.records.fields import TextField
from member_analyzer.records.rejection import Reason, RecordRejectedError
from member_analyzer.records.rules import broken_rule
from member_analyzer.records.wire import ValueReader, ValueWriter
from member_analyzer.streams.interactions.batch import read_items
from member_analyzer.streams.interactions.item import MAX_ITEM_BYTES
from member_analyzer.streams.interactions.record import INTERACTION, TYPES, avro_schema
from member_analyzer.streams.interactions.traits import read_traits
from member_analyzer.streams.interactions.user_agent import UserAgent

WRITER, READER = ValueWriter(1, avro_schema()), ValueReader({1: avro_schema()}, avro_schema())
PARSED = fastavro.parse_schema(json.loads(avro_schema()))


def goes_the_whole_way(record: dict[str, Any]) -> None:
    """It keeps the rules, is canonical, and is the same after Kafka."""
    assert broken_rule(INTERACTION, record) is None
    assert record.keys() == set(INTERACTION.names)
    assert canonical(INTERACTION, record) == record
    landed = json.loads(json.dumps(to_json(INTERACTION, record)).encode())
    assert READER.read(WRITER.write(to_avro(INTERACTION, landed))) == record
    if record["properties"] is not None:
        assert isinstance(json.loads(record["properties"]), dict)


def deep(levels: int) -> Any:
    value: Any = {}
    for _ in range(levels):
        value = {"a": value}
    return value


# What the record holds


def test_a_track_of_a_browser_becomes_an_interaction() -> None:
    assert read(make_item()) == {
        "source": "web-shop",
        "message_id": "ajs-next-1772368200000-731e1e76-04cd-42ac-b117-4846f588eaf2",
        "visitor": "m:7f26ab6a-fab7-4986-acb1-ecec12fa8471",
        "type": "track",
        "name": "Product Added",
        "member_id": "7f26ab6a-fab7-4986-acb1-ecec12fa8471",
        "anonymous_id": "b7a3fb5c-47f3-4fd1-9d70-0e6a2c7d1f11",
        "previous_id": None,
        "group_id": None,
        "occurred_at": datetime(2026, 3, 1, 12, 30, 1, tzinfo=UTC),
        "day": date(2026, 3, 1),
        "original_at": datetime(2026, 3, 1, 12, 30, 0, tzinfo=UTC),
        "sent_at": datetime(2026, 3, 1, 12, 30, 4, tzinfo=UTC),
        "received_at": RECEIVED_AT,
        "url": "https://shop.example/products/jam?utm_source=newsletter&utm_campaign=spring",
        "path": "/products/jam",
        "title": "Blåbærsyltetøy | Shop",
        "referrer": "https://www.search.example/",
        "referring_domain": "search.example",
        "utm_source": "newsletter",
        "utm_medium": None,
        "utm_campaign": "spring",
        "utm_term": None,
        "utm_content": None,
        "user_agent": BROWSER,
        "browser": "Chrome",
        "system": "Linux",
        "device": "desktop",
        "is_bot": "false",
        "locale": "nb-NO",
        "timezone": "Europe/Oslo",
        "country": "Norway",
        "app_name": None,
        "app_version": None,
        "library": "analytics.js/npm:next-1.84.0",
        "properties": '{"cart":{"items":[{"count":2,"sku":"sku-1"}]},"price":49.9,"sku":"sku-1"}',
        "content": read(make_item())["content"],
    }
    goes_the_whole_way(read(make_item()))


def test_the_avro_schema_holds_just_the_fields_of_the_record() -> None:
    schema = json.loads(avro_schema())
    assert [field["name"] for field in schema["fields"]] == list(INTERACTION.names)
    optional = {field["name"] for field in schema["fields"] if isinstance(field["type"], list)}
    assert optional == {field.name for field in INTERACTION.fields if not field.required}
    assert all(field["default"] is None for field in schema["fields"] if field["name"] in optional)


@pytest.mark.parametrize(
    ("item", "fields"),
    [
        (make_item(event=" Signed  Up\n"), {"name": "Signed Up"}),
        (make_item(event=42), {"name": "42"}),
        (make_item(event="e" * 300), {"name": "e" * 200}),
        (make_page(name="Home"), {"type": "page", "name": "Home"}),
        (make_page({"name": "Home"}), {"name": "Home"}),
        (make_page(), {"name": None, "properties": None}),
        (make_page(category="docs"), {"properties": '{"category":"docs"}'}),
        (make_page({"category": "own"}, category="docs"), {"properties": '{"category":"own"}'}),
        (make_item(type="screen", event=..., name="Cart"), {"type": "screen", "name": "Cart"}),
        (make_item(type="TRACK "), {"type": "track"}),
        (make_item(type="alias", previousId="b7a3"), {"previous_id": "b7a3"}),
        (make_item(type="alias", previousId="null"), {"previous_id": None}),
        (make_item(previousId="b7a3"), {"previous_id": None}),
        (make_item(type="group", groupId=7, traits={"plan": "b"}), {"group_id": "7", "properties": '{"plan":"b"}'}),
        (make_item(context={"groupId": "g1"}), {"group_id": "g1"}),
        (make_item(type="identify", traits={"plan": "a"}), {"name": None, "properties": '{"plan":"a"}'}),
        # RudderStack's SDKs.
        (make_item(type="identify", context={"traits": {"plan": "a"}}), {"properties": '{"plan":"a"}'}),
        (make_item(timestamp=..., originalTimestamp="2026-03-01T12:30:03Z", sentAt=...), {"sent_at": None}),
        # Lists in the place of objects, as PHP writes empty ones.
        (make_item(properties=[], context=[]), {"properties": None, "url": None, "country": None}),
        (make_item(properties="x", context="x"), {"properties": None, "title": None}),
        (make_item(properties=...), {"properties": None}),
        (make_item(context={"page": [], "campaign": [], "app": 7, "library": None, "os": "x"}), {"app_name": None}),
        (make_item(context={"app": {"name": "Shop", "version": 2.1}}), {"app_name": "Shop", "app_version": "2.1"}),
        (
            make_item(context={"app": {"name": "Sdk", "version": "3.34.1"}, "library": {"name": "Sdk"}}),
            {"app_name": None, "app_version": None, "library": "Sdk"},
        ),
        (make_item(context={"os": {"name": "iOS"}}), {"system": "iOS", "browser": None, "is_bot": None}),
        (make_item(context={"library": {"name": "analytics-python"}}), {"library": "analytics-python"}),
        (make_item(context={"timezone": "Europe/Oslo", "location": {"country": "se"}}), {"country": "Sweden"}),
        (make_item(context={"timezone": "Europe/Oslo", "location": {"country": ""}}), {"country": "Norway"}),
        (make_item(context={"location": {"country": " norway "}}), {"country": "Norway"}),
        (make_item(context={"timezone": "UTC"}), {"timezone": "UTC", "country": None}),
        (make_item(context={"locale": True, "timezone": 7}), {"locale": None, "timezone": "7", "country": None}),
        (make_item(context={"locale": float("nan")}), {"locale": None}),
        (make_item(context={"userAgent": "x" * 600}), {"user_agent": "x" * 512}),
        (make_item(context={"userAgent": "Googlebot"}), {"is_bot": "true"}),
    ],
)
def test_each_field_is_read_from_where_sdks_put_it(item: dict[str, Any], fields: dict[str, Any]) -> None:
    record = read(item)
    assert {name: record[name] for name in fields} == fields
    goes_the_whole_way(record)


@pytest.mark.parametrize(
    ("field", "item"),
    [
        ("title", make_item(context={"page": {"title": "x" * 5000}})),
        ("url", make_item(context={"page": {"url": "https://shop.example/" + "x" * 5000}})),
        ("path", make_item(context={"page": {"path": "/" + "x" * 5000}})),
        ("referrer", make_item(context={"page": {"referrer": "https://shop.example/" + "x" * 5000}})),
        ("user_agent", make_item(context={"userAgent": "x" * 5000})),
        ("utm_source", make_item(context={"campaign": {"source": "x" * 5000}})),
        ("utm_campaign", make_item(context={"page": {"url": "https://a.example/?utm_campaign=" + "x" * 5000}})),
        ("app_name", make_item(context={"app": {"name": "x" * 5000}})),
        ("library", make_item(context={"library": {"name": "x" * 5000}})),
        ("locale", make_item(context={"locale": "x" * 5000})),
        ("timezone", make_item(context={"timezone": "x" * 5000})),
        ("country", make_item(context={"location": {"country": "x" * 5000}})),
    ],
)
def test_a_text_that_describes_is_truncated_to_its_field(field: str, item: dict[str, Any]) -> None:
    longest = next(one.longest for one in INTERACTION.fields if isinstance(one, TextField) and one.name == field)
    assert len(read(item)[field]) == longest


def test_a_text_that_normalization_makes_longer_fits_its_field_too() -> None:
    # U+0958 is normalized to two characters.
    record = read(make_item(event="\u0958" * 200))
    assert record["name"] == "\u0915\u093c" * 100
    goes_the_whole_way(record)


@pytest.mark.parametrize(
    ("context", "header", "user_agent"),
    [
        ({"userAgent": "Own"}, BROWSER, "Own"),
        ({}, BROWSER, BROWSER),
        ({"userAgent": None}, BROWSER, BROWSER),
        ({"userAgent": ["x"]}, BROWSER, BROWSER),
        ({}, "analytics-python/2.4.0", None),
        ({}, "okhttp/4.12.0", None),
        ({}, "", None),
        ({}, None, None),
        ({}, "Mozilla/5.0 \0\ufffd", "Mozilla/5.0 \\ufffd"),
    ],
)
def test_the_user_agent_of_the_request_counts_only_if_it_is_a_browsers(
    context: dict[str, Any], header: str | None, user_agent: str | None
) -> None:
    record = read(make_item(context=context), user_agent_header=header)
    assert record["user_agent"] == user_agent
    assert (record["is_bot"] is None) == (user_agent is None)
    goes_the_whole_way(record)


def test_what_the_classifier_does_not_know_is_null() -> None:
    record = read(make_item(), classify=lambda _: UserAgent(None, None, None, True))
    assert (record["browser"], record["system"], record["device"], record["is_bot"]) == (None, None, None, "true")


def test_the_time_of_receipt_is_kept_in_utc_and_milliseconds() -> None:
    record = read(make_item(), received_at=datetime.fromisoformat("2026-03-01T13:30:05.123456+01:00"))
    assert record["received_at"] == datetime(2026, 3, 1, 12, 30, 5, 123000, tzinfo=UTC)


# Who it belongs to


@pytest.mark.parametrize(
    ("user", "anonymous", "visitor", "member"),
    [
        ("u1", "a1", "m:u1", "u1"),
        (42, None, "m:42", "42"),
        (None, "u1", "a:u1", None),
        ("null", "a1", "a:a1", None),
        ("", "a1", "a:a1", None),
        (0, "a1", "a:a1", None),
        (["u1"], "a1", "a:a1", None),
        ("ann@example.com", "a1", "u:ann@example.com", None),
        ("ann@example.com", None, "u:ann@example.com", None),
    ],
)
def test_an_interaction_belongs_to_the_member_or_else_to_the_anonymous_visitor(
    user: object, anonymous: object, visitor: str, member: str | None
) -> None:
    record = read(make_item(userId=user, anonymousId=anonymous))
    assert (record["visitor"], record["member_id"]) == (visitor, member)
    goes_the_whole_way(record)


# What is rejected


@pytest.mark.parametrize(
    ("item", "reason"),
    [
        *((value, Reason.NOT_AN_OBJECT) for value in (None, 7, "item", [], True, 1.5, [make_item()])),
        ({}, Reason.MISSING_FIELD),
        (make_item(type=...), Reason.MISSING_FIELD),
        (make_item(type=""), Reason.MISSING_FIELD),
        (make_item(type="charge"), Reason.UNKNOWN_VALUE),
        (make_item(type=["track"]), Reason.UNKNOWN_VALUE),
        (make_item(userId=None, anonymousId=None), Reason.MISSING_FIELD),
        (make_item(userId="undefined", anonymousId=" "), Reason.MISSING_FIELD),
        (make_item(type="alias", userId=..., anonymousId=..., previousId="b7a3"), Reason.MISSING_FIELD),
        *((make_item(event=event), Reason.MISSING_FIELD) for event in (..., "", " \u200b", None, {}, [], True)),
        (make_item(messageId="x" * 101), Reason.TEXT_TOO_LONG),
        (make_item(messageId="x" * 1000), Reason.TEXT_TOO_LONG),
        (make_item(properties={"x": "y" * MAX_ITEM_BYTES}), Reason.TOO_LARGE),
        (make_item(properties={"x": "\0y" * MAX_ITEM_BYTES}), Reason.TOO_LARGE),
        (make_item(unknown="\ud800" * MAX_ITEM_BYTES), Reason.TOO_LARGE),
    ],
)
def test_an_item_that_cannot_be_used_is_rejected_with_the_reason(item: object, reason: Reason) -> None:
    with pytest.raises(RecordRejectedError) as caught:
        read(item)
    assert caught.value.rejection.reason is reason
    assert caught.value.rejection.message


def test_an_item_may_have_exactly_32_kilobytes() -> None:
    item = make_item()
    size = len(orjson.dumps(item | {"padding": ""}))
    goes_the_whole_way(read(item | {"padding": "x" * (MAX_ITEM_BYTES - size)}))
    with pytest.raises(RecordRejectedError, match="32,768"):
        read(item | {"padding": "x" * (MAX_ITEM_BYTES - size + 1)})


# Hostile input


@pytest.mark.parametrize(
    "item",
    [
        make_item(properties=deep(5000)),
        make_item(context=deep(5000)),
        make_item(traits=deep(300), type="identify"),
        make_item(x=deep(100_000)),
        make_item(properties={"n": 10**400, "m": 2**64, "k": -(2**63) - 1, "x": float("nan"), "y": float("inf")}),
        make_item(properties={"n": 10**5000}),
        make_item(userId=10**5000),
        make_item(messageId=2**70, event=2**70),
        make_item(event="Sign\0ed \ud800Up \ufffd", **{"us\0erId": 7, "\ud800": 1}),
        make_item(properties={"\0a\ud800": "\0\udfff", "b": ["\0", {"\ufffd": "\ud800\udc00"}]}),
        make_item(messageId="m\ud800\0"),
        make_item(event="Sign\0ed Up"),
        make_item(event="Signed \ufffd"),
        make_item(**{"us\0erId": 7}),
        make_item(properties={"a\0": ["\0"]}),
        make_item(properties={"\ufffd": ["\ufffd"]}),
        make_item(context={"page": {"url": "https://shop.example/?utm_source=%00%ff%ed%a0%80&utm_term=a%00b"}}),
        make_item(context={"page": {"url": "\ud800\0", "title": "\ufffd" * 200}}),
        make_item(anonymousId="\ud800", userId="\0"),
        make_item(timestamp="9999-12-31T23:59:59Z", sentAt="0001-01-01T00:00:00Z"),
        make_item(timestamp=10**400, sentAt=-(10**400)),
        make_item(properties={"note": "line\n\u0301 feed"}),
    ],
)
def test_hostile_values_become_an_interaction_that_every_system_can_store(item: dict[str, Any]) -> None:
    goes_the_whole_way(read(item))


def test_a_nul_is_removed_and_damaged_text_stays_different() -> None:
    record = read(make_item(userId="u\0" + "1", event="Sign\0ed \ufffd", properties={"\0a": "b\0"}))
    assert (record["member_id"], record["name"], record["properties"]) == ("u1", "Signed \\ufffd", '{"a":"b"}')
    visitors = {read(make_item(userId=f"J{one}rg"))["visitor"] for one in ("\ufffd", "\ud800", "\ud801", "ö", "")}
    assert len(visitors) == 5


json_values: st.SearchStrategy[Any] = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.integers(-(10**400), 10**400)
    | st.floats()
    | st.text(st.characters(codec=None) | st.sampled_from("\0\ud800\ufffd\u200b\u0958 =&?#;@/:%\\"), max_size=20)
    | st.sampled_from(
        [
            *("null", "0", "u1", "page", "track", "2026-03-01T12:30:00Z", "0001-01-01T00:00:00+14:00", "Europe/Oslo"),
            *("https://a:b@shop.example/x;y=1?token=1&utm_source=%00#a=b", "//x", "?utm_term=%ff", "\u0301", "  "),
        ]
    ),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
    max_leaves=8,
)
NESTED = {
    "context": ("page", "campaign", "app", "library", "location", "os", "userAgent", "locale", "timezone", "groupId"),
    "page": ("url", "path", "title", "referrer", "search"),
    "campaign": ("name", "source", "medium", "term", "content"),
    "app": ("name", "version"),
    "library": ("name", "version"),
    "location": ("country",),
    "os": ("name",),
    "properties": ("url", "path", "title", "referrer", "search", "name", "category", "ip", "password", "a"),
    "traits": ("birthday", "gender", "address", "createdAt", "email"),
    "address": ("street", "city", "country", "postalCode", "state"),
}
FIELDS = (
    *("type", "event", "name", "category", "messageId", "userId", "anonymousId", "previousId", "groupId", "timestamp"),
    *("originalTimestamp", "sentAt", "properties", "context", "traits", "integrations", "batch"),
)


@st.composite
def items(draw: st.DrawFn) -> Any:
    """An item of a real SDK in which some values, at any level, are any JSON values."""

    def change(value: Any, name: str) -> Any:
        names = NESTED.get(name)
        if names is None or draw(st.integers(0, 5)) == 0:
            return draw(json_values)
        kept = value if isinstance(value, dict) else {}
        return kept | {one: change(kept.get(one), one) for one in draw(st.lists(st.sampled_from(names), max_size=3))}

    if draw(st.integers(0, 19)) == 0:
        return draw(json_values)
    item = make_item(type=draw(st.sampled_from(TYPES)))
    for name in draw(st.lists(st.sampled_from(FIELDS), max_size=4, unique=True)):
        item[name] = change(item.get(name), name)
    return item


@settings(deadline=None, max_examples=int(os.environ.get("RECORD_CASES", "2000")))
@given(items(), st.none() | st.text(), st.datetimes(datetime(2000, 1, 1), datetime(2100, 1, 1), timezones=st.just(UTC)))
def test_any_json_is_a_valid_interaction_or_a_rejection(item: Any, header: str | None, received_at: datetime) -> None:
    try:
        record = read(item, user_agent_header=header, received_at=received_at)
    except RecordRejectedError as error:
        assert error.rejection.message  # noqa: PT017
    else:
        goes_the_whole_way(record)
        assert received_at - timedelta(days=30, milliseconds=1) <= record["occurred_at"]
        assert record["occurred_at"] <= received_at + timedelta(minutes=1)
        assert read(item, user_agent_header=header, received_at=received_at) == record


@settings(deadline=None, max_examples=int(os.environ.get("RECORD_CASES", "1000")))
@given(
    st.sampled_from([None, "track", "identify", "batch", "import", "b", "t", "?"]),
    json_values
    | items()
    | st.lists(items() | json_values, max_size=3)
    | st.fixed_dictionaries({"batch": st.lists(items() | json_values, max_size=3), "context": json_values}),
)
def test_any_body_gives_items_that_are_read_or_rejected(kind: str | None, body: Any) -> None:
    for item in read_items(kind, body):
        assert item is not None
        read_traits(item)
        try:
            goes_the_whole_way(read(item))
        except RecordRejectedError as error:
            assert error.rejection.message  # noqa: PT017


@settings(deadline=None, max_examples=500)
@given(items())
def test_a_record_of_dates_is_encoded_as_its_json_is(item: Any) -> None:
    try:
        record = read(item)
    except RecordRejectedError:
        return
    assert fastavro.validate(record, PARSED)


@pytest.mark.parametrize(
    ("zone", "occurred", "day"),
    [
        ("UTC", "2026-03-01T23:30:00Z", date(2026, 3, 1)),
        ("Europe/Oslo", "2026-03-01T23:30:00Z", date(2026, 3, 2)),
        ("America/New_York", "2026-03-02T04:30:00Z", date(2026, 3, 1)),
        # The clocks change at 01:00 UTC.
        ("Europe/Oslo", "2026-03-29T00:59:59Z", date(2026, 3, 29)),
        ("Europe/Oslo", "2026-03-29T22:00:00Z", date(2026, 3, 30)),
        ("Europe/Oslo", "2026-03-29T21:59:59Z", date(2026, 3, 29)),
        ("Asia/Kathmandu", "2026-03-01T18:15:00Z", date(2026, 3, 2)),
    ],
)
def test_the_day_is_that_of_the_sources_zone(zone: str, occurred: str, day: date) -> None:
    at = datetime.fromisoformat(occurred)
    item = make_item(timestamp=occurred, sentAt=occurred)
    assert read(item, received_at=at, zone=ZoneInfo(zone))["day"] == day


# The digest of the content


def test_a_delivery_of_the_same_item_has_the_same_content() -> None:
    first = read(make_item())
    again = read(
        make_item(sentAt="2026-03-01T12:31:04.000Z", _metadata={"retryCount": 2}, writeKey="other"),
        received_at=RECEIVED_AT + timedelta(minutes=1),
        classify=lambda _: UserAgent(None, None, None, False),
    )
    assert again["content"] == first["content"]
    assert again["occurred_at"] == first["occurred_at"]


@pytest.mark.parametrize(
    "changes",
    [
        {"event": "Product Removed"},
        {"type": "screen"},
        {"timestamp": "2026-03-01T12:29:59.000Z"},
        {"timestamp": None},
        {"properties": {"sku": "sku-2"}},
        {"properties": {}},
        {"groupId": "g1"},
        {"context": {}},
        {"type": "alias", "previousId": "p1"},
    ],
)
def test_another_content_under_the_same_message_id_shows(changes: dict[str, Any]) -> None:
    record, other = read(make_item()), read(make_item(**changes))
    assert other["message_id"] == record["message_id"]
    assert other["content"] != record["content"]


@pytest.mark.parametrize("changes", [{"userId": "other"}, {"userId": None}, {"anonymousId": "other"}])
def test_the_ids_of_the_visitor_are_no_content(changes: dict[str, Any]) -> None:
    assert read(make_item(**changes))["content"] == read(make_item())["content"]


def test_the_order_of_properties_is_no_content() -> None:
    properties = make_item()["properties"]
    backwards = dict(reversed(properties.items()))
    assert read(make_item(properties=backwards))["content"] == read(make_item())["content"]


# The message id


@pytest.mark.parametrize("message_id", [..., None, "", "null", "undefined", 0, [], {}, float("nan"), " "])
def test_an_item_without_a_message_id_gets_one_from_its_content(message_id: object) -> None:
    item = make_item(messageId=message_id)
    record = read(item)
    assert len(record["message_id"]) == 32
    assert read(item | {"sentAt": "2026-03-01T12:40:00Z"})["message_id"] == record["message_id"]
    assert read(item | {"event": "Other"})["message_id"] != record["message_id"]


@pytest.mark.parametrize(("sent", "kept"), [("m1", "m1"), (" m1 ", "m1"), (17, "17"), ("x" * 100, "x" * 100)])
def test_a_message_id_is_kept_as_it_is(sent: object, kept: str) -> None:
    assert read(make_item(messageId=sent))["message_id"] == kept
