"""Handwritten items of a tracking SDK for the tests, as `@segment/analytics-next` sends them."""

from datetime import UTC, datetime
from typing import Any

from member_analyzer.streams.interactions.tracking import read_interaction
from member_analyzer.streams.interactions.user_agent import UserAgent

RECEIVED_AT = datetime(2026, 3, 1, 12, 30, 5, tzinfo=UTC)
BROWSER = "Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/126.0.0.0 Safari/537.36"


def make_item(**changes: Any) -> dict[str, Any]:
    item = {
        "type": "track",
        "event": "Product Added",
        "messageId": "ajs-next-1772368200000-731e1e76-04cd-42ac-b117-4846f588eaf2",
        "userId": "7f26ab6a-fab7-4986-acb1-ecec12fa8471",
        "anonymousId": "b7a3fb5c-47f3-4fd1-9d70-0e6a2c7d1f11",
        "timestamp": "2026-03-01T12:30:00.000Z",
        "sentAt": "2026-03-01T12:30:04.000Z",
        "properties": {"sku": "sku-1", "price": 49.9, "cart": {"items": [{"sku": "sku-1", "count": 2}]}},
        "context": {
            "page": {
                "url": "https://shop.example/products/jam?utm_source=newsletter&utm_campaign=spring",
                "path": "/products/jam",
                "title": "Blåbærsyltetøy | Shop",
                "referrer": "https://www.search.example/",
                "search": "?utm_source=newsletter&utm_campaign=spring",
            },
            "userAgent": BROWSER,
            "locale": "nb-NO",
            "timezone": "Europe/Oslo",
            "library": {"name": "analytics.js", "version": "npm:next-1.84.0"},
        },
        "integrations": {},
        "writeKey": "key",
        "_metadata": {"bundled": ["Segment.io"]},
    }
    return {name: value for name, value in (item | changes).items() if value is not ...}


def make_page(properties: Any = ..., **changes: Any) -> dict[str, Any]:
    return make_item(type="page", event=..., properties=properties, **changes)


def describe_agent(user_agent: str) -> UserAgent:
    """A stand-in for the classifier of user agents."""
    return UserAgent("Chrome", "Linux", "desktop", "bot" in user_agent)


def read(item: object, **changes: Any) -> dict[str, Any]:
    """The interaction of an item."""
    options: dict[str, Any] = {
        "source": "web-shop",
        "zone": UTC,
        "received_at": RECEIVED_AT,
        "classify": describe_agent,
    }
    return read_interaction(item, **(options | changes))
