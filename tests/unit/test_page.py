"""The page of an interaction."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from interaction_samples import make_item, make_page, read
from member_analyzer.streams.interactions.page import clean_url, read_url


@pytest.mark.parametrize(
    ("text", "host", "path", "query"),
    [
        ("https://shop.example/a/b?x=1#top", "shop.example", "/a/b", "?x=1"),
        ("https://WWW.Shop.Example:8443", "shop.example", "/", ""),
        ("https://shop.example.", "shop.example", "/", ""),
        ("https://[2001:db8::1]:80/a", "[2001:db8::1]", "/a", ""),
        ("//shop.example/a", "shop.example", "/a", ""),
        ("https:\\\\shop.example\\a", "shop.example", "\\a", ""),
        ("/a?x=1", "", "/a", "?x=1"),
        ("android-app://com.mail.example/", "com.mail.example", "/", ""),
        ("file:///C:/a.html", "", "/C:/a.html", ""),
        ("about:blank", "", "blank", ""),
        ("$direct", "", "$direct", ""),
        ("", "", "", ""),
    ],
)
def test_a_url_is_split_as_browsers_do_it(text: str, host: str, path: str, query: str) -> None:
    url = read_url(text)
    assert (url.text, url.host, url.path, url.query) == (text, host, path, query)


@pytest.mark.parametrize(
    ("sent", "kept"),
    [
        ("https://a.example/?token=s3cret", "https://a.example/"),
        ("https://a.example/?x=1&token=s3cret&y=2", "https://a.example/?x=1&y=2"),
        ("https://a.example/?token=s3cret&x=1#top", "https://a.example/?x=1#top"),
        ("https://a.example/?x=1;password=s3cret", "https://a.example/?x=1"),
        ("https://a.example/?pass%77ord=s3cret", "https://a.example/"),
        ("https://a.example/?user[password]=s3cret", "https://a.example/"),
        ("https://a.example/?ACCESS_TOKEN=s3cret", "https://a.example/"),
        ("https://a.example/?code=s3cret&state=1", "https://a.example/?state=1"),
        ("https://a.example/?X-Amz-Signature=s3cret&X-Amz-Date=1", "https://a.example/?X-Amz-Date=1"),
        ("https://a.example/?sig=s3cret&key=s3cret&sid=s3cret", "https://a.example/"),
        ("https://a.example/?ip=192.0.2.7&client_ip=192.0.2.7&x=1", "https://a.example/?x=1"),
        ("https://a.example/#access_token=s3cret&x=1", "https://a.example/#x=1"),
        ("https://a.example/#/reset?token=s3cret", "https://a.example/#/reset"),
        ("https://a.example/#/reset?x=1&token=s3cret", "https://a.example/#/reset?x=1"),
        ("https://a.example/a;jsessionid=s3cret?x=1", "https://a.example/a?x=1"),
        ("https://a.example/a;v=1;jsessionid=s3cret", "https://a.example/a;v=1"),
        ("https://ann:s3cret@a.example/x", "https://a.example/x"),
        ("https://ann@mail:s3cret@a.example:80/x", "https://a.example:80/x"),
        ("//ann:s3cret@a.example/x", "//a.example/x"),
        ("/a?token=s3cret", "/a"),
        ("?token=s3cret&x=1", "?x=1"),
        # Nothing to hide.
        *((text, text) for text in ("https://a.example/@ann/?x=1&y=&&z", "https://a.example/?token", "#top", "a=b")),
        *((text, text) for text in ("https://a.example/?q=token%3Dx&utm_source=x", "//a.example?;x=1", "?=1")),
    ],
)
def test_a_url_loses_its_secrets_and_nothing_else(sent: str, kept: str) -> None:
    assert read_url(sent).text == kept
    assert clean_url(sent) == kept


@pytest.mark.parametrize("text", ["token=s3cret", "ann@example.com", "a = b? token=c", "E = mc²", "see #1 & key=2"])
def test_a_text_that_is_no_url_is_unchanged(text: str) -> None:
    assert clean_url(text) == text


@given(st.text() | st.text("htps:/\\@?#&;=token.a[]%", max_size=30))
def test_any_text_is_split_and_cleaned_once(text: str) -> None:
    url = read_url(text)
    assert read_url(url.text).text == url.text
    assert len(url.text) <= len(text)


def page_of(**page: Any) -> dict[str, Any]:
    return read(make_item(context={"page": page}))


@pytest.mark.parametrize(
    ("page", "fields"),
    [
        ({"url": "https://a.example/x?y=1"}, {"path": "/x", "url": "https://a.example/x?y=1"}),
        ({"url": "https://a.example/x", "path": "/own"}, {"path": "/own"}),
        ({"path": "/own?token=s3cret#top"}, {"path": "/own", "url": None}),
        ({"path": "/own;jsessionid=s3cret"}, {"path": "/own"}),
        ({"url": 7, "path": [], "title": {}, "referrer": None}, {"url": None, "path": None, "title": None}),
        ({"url": "", "path": "", "title": "", "referrer": ""}, {"url": None, "path": None, "referrer": None}),
        ({"referrer": "$direct"}, {"referrer": None, "referring_domain": None}),
        ({"title": " A\nB\u200b "}, {"title": "AB"}),
        ({"referrer": "https://ann:s3cret@b.example/?token=s3cret"}, {"referrer": "https://b.example/"}),
    ],
)
def test_the_page_is_read_from_the_context(page: dict[str, Any], fields: dict[str, Any]) -> None:
    record = page_of(**page)
    assert {name: record[name] for name in fields} == fields


def test_the_properties_of_a_page_view_come_before_the_context() -> None:
    context = {
        "page": {"url": "https://a.example/old", "path": "/old", "title": "Old", "referrer": "https://b.example/"}
    }
    properties = {"url": "https://a.example/new", "path": "/new", "title": "New", "referrer": 7}
    record = read(make_page(properties, context=context))
    assert (record["url"], record["path"], record["title"]) == ("https://a.example/new", "/new", "New")
    assert record["referring_domain"] == "b.example"
    # The properties of an event describe something else than its page.
    assert read(make_item(properties=properties, context=context))["path"] == "/old"


@pytest.mark.parametrize(
    ("referrer", "domain"),
    [
        ("https://www.search.example/?q=jam", "search.example"),
        ("https://Search.Example:443/", "search.example"),
        ("https://shop.example/cart", None),
        ("https://www.shop.example/cart", None),
        ("http://SHOP.example:8080/", None),
        ("https://blog.shop.example/", "blog.shop.example"),
        ("https://notshop.example/", "notshop.example"),
        ("https://user@shop.example/", None),
        ("android-app://com.mail.example/", "com.mail.example"),
        ("$direct", None),
        ("about:client", None),
        ("", None),
        (7, None),
    ],
)
def test_the_own_domain_refers_nobody(referrer: object, domain: str | None) -> None:
    assert page_of(url="https://shop.example/products", referrer=referrer)["referring_domain"] == domain


UTM = ("utm_source", "utm_medium", "utm_campaign", "utm_term", "utm_content")


@pytest.mark.parametrize(
    ("context", "values"),
    [
        (
            {"campaign": {"source": "s", "medium": "m", "name": "c", "term": "t", "content": "x"}},
            ("s", "m", "c", "t", "x"),
        ),
        ({"campaign": {"campaign": "c"}}, (None, None, "c", None, None)),
        (
            {"page": {"url": "https://a.example/?utm_source=s&utm_medium=m&utm_campaign=c&utm_term=t&utm_content=x"}},
            ("s", "m", "c", "t", "x"),
        ),
        ({"page": {"url": "https://a.example/?UTM_Source=a+b%20%C3%A5&x=1"}}, ("a b å", None, None, None, None)),
        ({"page": {"search": "?utm_source=s"}}, ("s", None, None, None, None)),
        ({"page": {"url": "https://a.example/?utm_source=first&utm_source=second"}}, ("first", None, None, None, None)),
        ({"page": {"url": "https://a.example/?utm_source="}}, (None,) * 5),
        ({"page": {"url": "https://a.example/#utm_source=s"}}, (None,) * 5),
        (
            {"campaign": {"source": "own"}, "page": {"url": "https://a.example/?utm_source=s&utm_medium=m"}},
            ("own", None, None, None, None),
        ),
        ({"campaign": {"source": ["s"], "medium": 7}}, (None, "7", None, None, None)),
    ],
)
def test_the_campaign_is_the_contexts_or_else_the_urls(context: dict[str, Any], values: tuple[str | None, ...]) -> None:
    record = read(make_item(context=context))
    assert tuple(record[name] for name in UTM) == values
