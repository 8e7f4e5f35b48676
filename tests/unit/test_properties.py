"""What is kept of the properties of an event."""

import json
from typing import Any

import pytest

from interaction_samples import make_item, make_page, read
from member_analyzer.streams.interactions.private_names import is_private
from member_analyzer.streams.interactions.properties import MAX_LEVELS, MAX_VALUES


def properties_of(properties: Any, **changes: Any) -> Any:
    text = read(make_item(properties=properties, **changes))["properties"]
    return None if text is None else json.loads(text)


@pytest.mark.parametrize("name", ["password", "apiKey", "authToken", "creditCard", "CVV2", "session_id", "pin"])
def test_a_secret_is_dropped_at_any_depth(name: str) -> None:
    properties = {name: "s3cret", "kept": [[{"a": {name: {"deep": "s3cret"}, "city": "Oslo"}}]]}
    assert properties_of(properties) == {"kept": [[{"a": {"city": "Oslo"}}]]}
    assert properties_of({name: "s3cret"}) is None


ADDRESSES = (
    *("ip", "IP", "Ip", "$ip", "ips", "ip_address", "ipAddress", "IPAddress", "ipaddress", "ipAddr", "client_ip"),
    *("clientIp", "clientIP", "clientip", "userIp", "remote_ip", "request.ip", "remoteAddr", "REMOTE_ADDR", "ipv4"),
    *("IPv4", "IPv6", "ipv6Address", "client-ipv4", "x-forwarded-for", "X_FORWARDED_FOR", "xForwardedFor"),
    *("cf-connecting-ip", "true_client_ip", "x-real-ip", "remoteAddress", "ip1"),
)


@pytest.mark.parametrize("name", ADDRESSES)
def test_an_ip_address_is_known_by_its_name(name: str) -> None:
    assert is_private(name)
    assert properties_of({name: "192.0.2.7", "kept": 1}) == {"kept": 1}


@pytest.mark.parametrize(
    "name",
    [
        *(
            "ship",
            "shipping_address",
            "shipAddress",
            "ship_address",
            "tip",
            "zip",
            "zipCode",
            "clip",
            "address",
            "email",
        ),
        *("description", "recipient", "subscription", "ipad", "iPhone", "script", "trip_id", "membership", "forward"),
        *("key", "code", "coupon_code", "name", "pinterest", "sku", "product_id", "x" * 300),
    ],
)
def test_a_name_that_only_looks_alike_is_kept(name: str) -> None:
    assert properties_of({name: "kept"}) == {name: "kept"}


def test_the_ip_address_of_the_context_is_not_kept() -> None:
    item = make_item(context={"ip": "192.0.2.7", "page": {"ip": "192.0.2.7"}, "traits": {"ip": "192.0.2.7"}})
    record = read(item | {"ip": "192.0.2.7", "request_ip": "192.0.2.7", "requestIp": "192.0.2.7"})
    assert "192.0.2.7" not in repr(record)


def test_the_secrets_of_urls_in_properties_are_dropped() -> None:
    properties = {
        "url": "https://ann:s3cret@a.example/?token=s3cret&x=1",
        "search": "?password=s3cret",
        "links": ["/reset?code=s3cret", {"href": "https://b.example/#access_token=s3cret"}],
        "formula": "token=public",
    }
    kept = {
        "url": "https://a.example/?x=1",
        "search": "",
        "links": ["/reset", {"href": "https://b.example/"}],
        "formula": "token=public",
    }
    assert properties_of(properties) == kept
    assert json.loads(read(make_page(properties))["properties"]) == kept


def nested(levels: int) -> dict[str, Any]:
    value: dict[str, Any] = {"here": levels}
    for level in range(levels - 1, 0, -1):
        value = {"here": level, "in": value}
    return value


def test_levels_beyond_the_limit_are_dropped() -> None:
    assert properties_of(nested(MAX_LEVELS)) == nested(MAX_LEVELS)
    value = properties_of(nested(MAX_LEVELS + 5))
    for level in range(1, MAX_LEVELS + 1):
        assert value["here"] == level
        value = value.get("in")
    assert value is None


def test_lists_are_levels_too() -> None:
    value: Any = "deep"
    for _ in range(MAX_LEVELS - 1):
        value = [value]
    assert properties_of({"a": value}) == {"a": value}
    assert properties_of({"a": [[[[[[[[[["deep"]]]]]]]]]]}) == {"a": [[[[[[[[[]]]]]]]]]}


@pytest.mark.parametrize(
    "properties",
    [
        {f"p{number}": number for number in range(1500)},
        {"list": list(range(1500))},
        {"lists": [[number] for number in range(1500)]},
        {"a": {f"p{number}": number for number in range(900)}, "b": {f"p{number}": 1 for number in range(900)}},
    ],
)
def test_values_beyond_the_limit_are_dropped_and_the_event_is_not(properties: dict[str, Any]) -> None:
    def count(value: Any) -> int:
        inner = value.values() if isinstance(value, dict) else value if isinstance(value, list) else ()
        return sum(1 + count(one) for one in inner)

    assert count(properties) > MAX_VALUES
    assert count(properties_of(properties)) == MAX_VALUES


def test_exactly_as_many_values_as_allowed_are_kept() -> None:
    properties = {f"p{number}": number for number in range(MAX_VALUES)}
    assert properties_of(properties) == properties


@pytest.mark.parametrize(
    "value",
    ["", " a  b ", "line\nfeed", "\u0301", "e\u0301", None, True, 0, -1.5, 2**63, -(2**63), [], {}, [None, [1]], "🫐"],
)
def test_a_harmless_value_is_kept_as_it_is(value: Any) -> None:
    assert properties_of({"value": value}) == {"value": value}
