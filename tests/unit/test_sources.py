"""Web origins of sources, and write keys."""

import base64

import pytest
from starlette.requests import Request

from member_analyzer.collector.write_keys import find_write_key
from member_analyzer.landing.sources import Source, SourceError, find_source, hash_key, read_origin, split_origins

ORIGINS = {
    "https://shop.example": "https://shop.example",
    "https://shop.example/": "https://shop.example",
    " HTTPS://Shop.Example ": "https://shop.example",
    "https://shop.example:443": "https://shop.example",
    "http://shop.example:80": "http://shop.example",
    "http://localhost:8080": "http://localhost:8080",
    "https://*.shop.example": "https://*.shop.example",
    "https://bücher.example": "https://xn--bcher-kva.example",
}
NO_ORIGINS = (
    *("", "shop.example", "ftp://shop.example", "https://", "https://shop.example/path", "https://shop.example?q=1"),
    *("https://user@shop.example", "https://shop.example:port", "https://shop.example:99999", "*", "https://*"),
    *("https://a b.example", "https://shop.example#top", "null"),
)
ALLOWED = [
    ("https://shop.example", "https://shop.example", True),
    ("https://shop.example", "http://shop.example", False),
    ("https://shop.example", "https://shop.example:8443", False),
    ("https://shop.example", "https://www.shop.example", False),
    ("https://shop.example", "https://shop.example.evil.example", False),
    ("https://shop.example", "null", False),
    ("https://*.shop.example", "https://www.shop.example", True),
    ("https://*.shop.example", "https://a.b.shop.example", True),
    ("https://*.shop.example", "https://shop.example", False),
    ("https://*.shop.example", "https://.shop.example", False),
    ("https://*.shop.example", "https://evilshop.example", False),
    ("https://*.shop.example", "http://www.shop.example", False),
    ("http://*.shop.example:8080", "http://www.shop.example:8080", True),
    ("http://*.shop.example:8080", "http://www.shop.example", False),
]


@pytest.mark.parametrize(("text", "origin"), ORIGINS.items())
def test_an_origin_is_written_as_browsers_send_it(text: str, origin: str) -> None:
    assert read_origin(text) == origin


@pytest.mark.parametrize("text", NO_ORIGINS)
def test_what_is_no_origin_is_refused(text: str) -> None:
    with pytest.raises(SourceError):
        read_origin(text)


@pytest.mark.parametrize(("allowed", "origin", "expected"), ALLOWED)
def test_pages_of_listed_origins_alone_may_send(allowed: str, origin: str, expected: bool) -> None:
    assert Source("shop", ("https://other.example", allowed)).allows_origin(origin) is expected


def test_no_page_may_use_the_key_of_a_source_without_origins() -> None:
    assert not Source("server").allows_origin("https://shop.example")


def test_origins_are_separated_by_commas() -> None:
    assert split_origins(" https://a.example, ,https://b.example,") == ("https://a.example", "https://b.example")


def basic(text: str) -> str:
    return f"Basic {base64.b64encode(text.encode()).decode()}"


KEY = "c" + "k" * 24
PLACES = {
    "the user name of Basic authentication": ({"authorization": basic(f"{KEY}:")}, ""),
    "Basic authentication without a colon": ({"authorization": basic(KEY)}, ""),
    "the header of Jitsu": ({"x-write-key": KEY}, ""),
    "the query of a beacon": ({}, f"writeKey={KEY}"),
    "the query, beside an unreadable header": ({"authorization": "Basic %%%"}, f"writeKey={KEY}"),
}


@pytest.mark.parametrize("place", PLACES)
def test_a_write_key_is_found_where_sdks_put_it(place: str) -> None:
    headers, query = PLACES[place]
    raw = [(name.encode(), value.encode()) for name, value in headers.items()]
    request = Request({"type": "http", "headers": raw, "query_string": query.encode()})
    assert find_write_key(request) == KEY


@pytest.mark.parametrize("header", ["", "Bearer x", "Basic", "Basic ====", f"Basic {base64.b64encode(b':').decode()}"])
def test_a_request_without_a_write_key_has_none(header: str) -> None:
    request = Request({"type": "http", "headers": [(b"authorization", header.encode())], "query_string": b""})
    assert find_write_key(request) is None


NO_KEYS = {
    "empty": "",
    "too short": KEY[:-1],
    "too long": KEY + "k",
    "another beginning": "k" * 25,
    "other letters": "c" + "ü" * 24,
    "a NUL": "c" + "k" * 23 + "\0",
    "very long": "c" * 10_000_000,
}


@pytest.mark.parametrize("case", NO_KEYS)
def test_text_that_cannot_be_a_write_key_finds_no_source(case: str) -> None:
    key = NO_KEYS[case]
    sources = {hash_key(KEY): Source("shop"), hash_key(key): Source("other")}
    assert find_source(sources, key) is None
    assert find_source(sources, KEY) == Source("shop")
