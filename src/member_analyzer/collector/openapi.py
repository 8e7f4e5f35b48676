"""Descriptions, schemas and examples of the OpenAPI document, and the page that displays it."""

import base64
import hashlib
import re
from collections.abc import Mapping
from datetime import UTC, date, datetime, timedelta
from http import HTTPStatus
from importlib.resources import files
from pathlib import Path
from typing import Any

from fastapi import APIRouter, Request
from fastapi.openapi.docs import get_swagger_ui_html
from fastapi.responses import HTMLResponse

from member_analyzer.analysis.interactions.totals import LIVE_MINUTES
from member_analyzer.collector.body import MAX_BODY_BYTES, MAX_RECORDS
from member_analyzer.collector.responses import Problem
from member_analyzer.deadletters.retention import explain_retention
from member_analyzer.http.problem import MEDIA_TYPE
from member_analyzer.records.codec import write_moment
from member_analyzer.records.fields import DateField, Field, TextField
from member_analyzer.settings import RejectedSettings
from member_analyzer.streams.members.definition import MEMBERS
from member_analyzer.streams.members.record import CREATED, MEMBER

TITLE = "Member Analyzer: collector"
DESCRIPTION = f"""
Accepts members and interactions over HTTP, and serves their numbers.

**Accepted means committed.** A member with status `accepted` is counted exactly once, whatever fails afterwards. It
appears in the tables within a second or two.

**API keys.** Send `Authorization: Bearer ma_<name>_<secret>` with every request. A key has one or more of the rights
*write*, *read*, *erase* and *people* (to read what a person did). A revoked key is rejected after at most five seconds.
Requests are rate-limited per key: beyond the limit the response is 429 with `Retry-After`.

**Retries.** Posting a member again changes nothing, so retry every request that got no response. A record without an id
is identified by its content: the same content from the same API key is the same member, for one day by default. If two
people may have equal records, send an id, or an `Idempotency-Key` with each request: a retry then gets the first
response again.

**Interactions.** Their numbers are those of people, with `bots=true` those of people and bots together. Everything that
was received until `as_of` is counted, and `unread` interactions are not counted yet; both are null before the stream
has run.

**Normalisation.** Countries are normalised from ISO 3166 names and codes, genders from a table of synonyms, text to NFC
without invisible characters.

**Limits.** {MAX_RECORDS:,} records and {MAX_BODY_BYTES:,} bytes per request, before and after decompression.

**Errors** are `{MEDIA_TYPE}` documents (RFC 9457). Every response has an `X-Request-ID`: the client's own or a
generated one.
"""

STATIC = Path(str(files("member_analyzer.collector").joinpath("static", "swagger-ui")))
ASSETS = "/docs/assets"

DETAILS = {
    400: "The body is not JSON: Expecting value at character 0.",
    401: "Send a valid API key as `Authorization: Bearer ma_<name>_<secret>`.",
    403: "The API key shop does not have the right `erase`.",
    404: "No member has this id.",
    408: "The body did not arrive within 30 seconds.",
    413: "The body has more than 1,048,576 bytes, before or after decompression.",
    415: "Send the members with Content-Type: application/json.",
    422: "The body is an array of 1,001 records: send one member, or an array of 1 to 1,000.",
    429: "The API key shop exceeds its request rate. Retry in 1 seconds.",
    503: "PostgreSQL is unavailable. Nothing is lost: retry in 2 seconds.",
}
RETRY_AFTER = {"Retry-After": {"description": "Seconds to wait.", "schema": {"type": "string"}}}


def problems(*statuses: int, details: Mapping[int, str] = DETAILS) -> dict[int | str, dict[str, Any]]:
    """The OpenAPI descriptions of a route's error responses, by status, with examples of their details."""
    described: dict[int | str, dict[str, Any]] = {}
    for status in statuses:
        title = HTTPStatus(status).phrase
        example = {"type": "about:blank", "title": title, "status": status, "detail": details[status]}
        described[status] = {
            "description": title,
            "content": {MEDIA_TYPE: {"schema": {"$ref": "#/components/schemas/Problem"}, "example": example}},
            **({"headers": RETRY_AFTER} if status in (429, 503) else {}),
        }
    return described


FLAT_EXAMPLE = {
    "id": "0b7f8c1e-5d0a-4f3b-9c46-2f1d7a5e8b90",
    "gender": "female",
    "date_of_birth": "1979-08-24",
    "country": "Norway",
    "city": "Bodø",
    "first_name": "Ingrid",
    "last_name": "Dahl",
    "email": "ingrid.dahl@example.com",
}
RANDOM_USER_EXAMPLE = {
    "gender": "male",
    "name": {"title": "Mr", "first": "Nils", "last": "Bakke"},
    "location": {
        "street": {"number": 12, "name": "Storgata"},
        "city": "Tromsø",
        "state": "Troms",
        "country": "Norway",
        "postcode": "9008",
    },
    "email": "nils.bakke@example.com",
    "login": {"uuid": "2d931510-d99f-494a-8c67-87feb05e1594", "username": "calmotter214"},
    "dob": {"date": "1988-11-30T08:15:00.000Z", "age": 37},
    "registered": {"date": "2014-05-17T10:00:00.000Z", "age": 12},
    "phone": "77 60 00 00",
    "picture": {"large": "https://randomuser.me/api/portraits/men/12.jpg"},
    "nat": "NO",
}
RESPONSE_EXAMPLE = {
    "results": [RANDOM_USER_EXAMPLE],
    "info": {"seed": "2026", "results": 1, "page": 1, "version": "1.4"},
}
INVALID_EXAMPLE = {"id": "invalid-1", "gender": "female", "date_of_birth": "1979-08-24", "country": "Norway"}


def _flat_field(field: Field) -> dict[str, Any]:
    match field:
        case TextField():
            limits: dict[str, Any] = {"maxLength": field.longest}
            if field.required:
                limits["minLength"] = 1
            if field.allowed:
                limits["enum"] = [CREATED] if field.name == "kind" else list(field.allowed)
            if field.pattern:
                limits["pattern"] = f"^{field.pattern}$"
            return {"type": "string", **limits}
        case DateField():
            return {"type": "string", "format": "date", "description": f"Not before {field.earliest}."}
        case _:
            return {"type": "string", "format": "date-time"}


# Required fields for which the collector has defaults.
DEFAULTED = {"id", "kind", "occurred_at"}
FLAT_SCHEMA = {
    "title": "Flat member",
    "type": "object",
    "required": [field.name for field in MEMBER.fields if field.required and field.name not in DEFAULTED],
    "properties": {field.name: _flat_field(field) for field in MEMBER.fields},
    "example": FLAT_EXAMPLE,
}
_TEXT = {"type": "string"}


def _object(**properties: dict[str, Any]) -> dict[str, Any]:
    return {"type": "object", "properties": properties}


RANDOM_USER_SCHEMA = {
    "title": "Member in randomuser.me's format",
    "description": "Passwords and their hashes are discarded.",
    "required": ["gender", "location", "dob"],
    **_object(
        gender=_TEXT,
        name=_object(title=_TEXT, first=_TEXT, last=_TEXT),
        location=_object(
            street=_object(number={"type": ["integer", "string"]}, name=_TEXT),
            city=_TEXT,
            state=_TEXT,
            country=_TEXT,
            postcode={"type": ["integer", "string"]},
        ),
        email=_TEXT,
        login=_object(uuid=_TEXT, username=_TEXT),
        dob=_object(date={"type": "string", "format": "date-time"}),
        registered=_object(date={"type": "string", "format": "date-time"}),
        phone=_TEXT,
        picture=_object(large=_TEXT),
        nat=_TEXT,
    ),
    "example": RANDOM_USER_EXAMPLE,
}
_RECORD = {"anyOf": [FLAT_SCHEMA, RANDOM_USER_SCHEMA]}
_RECORDS = {"type": "array", "minItems": 1, "maxItems": MAX_RECORDS, "items": _RECORD}
REQUEST_BODY = {
    "required": True,
    "description": "One member or an array of members, in either format, or a complete user API response.",
    "content": {
        "application/json": {
            "schema": {
                "anyOf": [
                    FLAT_SCHEMA,
                    RANDOM_USER_SCHEMA,
                    _RECORDS,
                    {**_object(results=_RECORDS), "title": "User API response", "required": ["results"]},
                ]
            },
            "examples": {
                "flat": {"summary": "One member, flat", "value": FLAT_EXAMPLE},
                "randomuser": {"summary": "One member in randomuser.me's format", "value": RANDOM_USER_EXAMPLE},
                "response": {"summary": "A complete user API response", "value": RESPONSE_EXAMPLE},
                "batch": {
                    "summary": "Several members in both formats, one of them invalid",
                    "value": [FLAT_EXAMPLE, RANDOM_USER_EXAMPLE, INVALID_EXAMPLE],
                },
            },
        }
    },
}


def _landing(*records: tuple[str, str, str | None, str | None]) -> dict[str, Any]:
    outcomes = [
        {"index": index, "id": key, "status": status, "reason": reason, "message": message}
        for index, (key, status, reason, message) in enumerate(records)
    ]
    statuses = ("accepted", "duplicate", "rejected", "erased")
    return {**{one: [outcome["status"] for outcome in outcomes].count(one) for one in statuses}, "records": outcomes}


LANDING_EXAMPLES = {
    "flat": {"summary": "One member", "value": _landing((FLAT_EXAMPLE["id"], "accepted", None, None))},
    "batch": {
        "summary": "Several members, one of them invalid",
        "value": _landing(
            (FLAT_EXAMPLE["id"], "duplicate", None, None),
            ("2d931510-d99f-494a-8c67-87feb05e1594", "accepted", None, None),
            ("invalid-1", "rejected", "missing_field", "The field city is missing or empty."),
        ),
    },
}
ERASED_EXAMPLE = {
    "id": FLAT_EXAMPLE["id"],
    "status": "erased",
    "message": explain_retention(MEMBERS, RejectedSettings()),
}
ANALYSIS_EXAMPLES = {
    "country": {
        "summary": "The two largest countries",
        "value": {
            "date": date(2026, 11, 21).isoformat(),
            "table": "country",
            "total": 5000,
            "buckets": [
                {"country": "Norway", "members": 262, "percent": 5.24},
                {"country": "Spain", "members": 251, "percent": 5.02},
            ],
        },
    },
    "age": {
        "summary": "The largest age group",
        "value": {
            "date": date(2026, 11, 21).isoformat(),
            "table": "age",
            "total": 5000,
            "buckets": [{"age_group": "31-45", "members": 1391, "percent": 27.82}],
        },
    },
}
_LAG_EXAMPLE = {"as_of": "2026-11-21T09:20:31.000Z", "unread": 0}
DAY_EXAMPLE = {
    "source": "shop",
    "date": date(2026, 11, 21).isoformat(),
    "events": 20412,
    "visitors": 1630,
    "sessions": 2105,
    "bounces": 611,
    "seconds": 402117.25,
    "late": 3,
    "erased": 0,
    **_LAG_EXAMPLE,
}
TOP_EXAMPLES = {
    "page": {
        "summary": "The two pages with the most visitors",
        "value": {
            "source": "shop",
            "date": date(2026, 11, 21).isoformat(),
            "by": "page",
            "buckets": [
                {"name": "/", "events": 3120, "visitors": 1402, "sessions": 1811},
                {"name": "/checkout", "events": 644, "visitors": 402, "sessions": 420},
            ],
            **_LAG_EXAMPLE,
        },
    },
    "city": {
        "summary": "The city with the most visitors",
        "value": {
            "source": "shop",
            "date": date(2026, 11, 21).isoformat(),
            "by": "city",
            "buckets": [{"name": "Bodø", "country": "Norway", "events": 71, "visitors": 4, "sessions": 6}],
            **_LAG_EXAMPLE,
        },
    },
}
_FIRST_MINUTE = datetime(2026, 11, 21, 8, 51, tzinfo=UTC)
LIVE_EXAMPLE = {
    "source": "shop",
    "active": 41,
    "minutes": [
        {
            "minute": write_moment(_FIRST_MINUTE + timedelta(minutes=number)),
            "events": 12 + number,
            "visitors": 9,
            "sessions": 2,
        }
        for number in range(LIVE_MINUTES)
    ],
    **_LAG_EXAMPLE,
}
SESSIONS_EXAMPLE = {
    "person": f"m:{FLAT_EXAMPLE['id']}",
    "sessions": [
        {
            "started_at": "2026-11-21T09:02:11.120Z",
            "ended_at": "2026-11-21T09:15:00.000Z",
            "seconds": 768.88,
            "source": "shop",
            "is_bot": False,
            "day": date(2026, 11, 21).isoformat(),
            "events": 14,
            "views": 9,
            "is_bounce": False,
            "entry_page": "/",
            "exit_page": "/checkout",
            "utm_source": "newsletter",
            "browser": "Firefox",
            "system": "Linux",
            "device": "desktop",
            "country": "Norway",
        }
    ],
    "next": "2026-11-21T09:02:11.120Z~shop~false",
    **_LAG_EXAMPLE,
}
TIMELINE_EXAMPLE = {
    "person": f"m:{FLAT_EXAMPLE['id']}",
    "events": [
        {
            "occurred_at": "2026-11-21T09:15:00.000Z",
            "received_at": "2026-11-21T09:15:00.412Z",
            "source": "shop",
            "message_id": "5e2c9d0e-8f0b-4f7e-9c11-0d8a3c1f6b7a",
            "visitor": f"m:{FLAT_EXAMPLE['id']}",
            "type": "track",
            "name": "Order Completed",
            "path": "/checkout",
            "url": "https://shop.example/checkout?utm_source=newsletter",
            "utm_source": "newsletter",
            "browser": "Firefox",
            "system": "Linux",
            "device": "desktop",
            "country": "Norway",
            "is_bot": False,
            "is_late": False,
            "properties": {"total": 42.5, "currency": "EUR"},
        }
    ],
    "next": "2026-11-21T09:15:00.000Z~shop~5e2c9d0e-8f0b-4f7e-9c11-0d8a3c1f6b7a",
    "omitted_ids": 0,
    **_LAG_EXAMPLE,
}

TRACK_EXAMPLE = {
    "type": "track",
    "event": "Order Completed",
    "messageId": "5e2c9d0e-8f0b-4f7e-9c11-0d8a3c1f6b7a",
    "anonymousId": "23adfd82-aa0f-45a7-a756-24f2a7a4c895",
    "userId": FLAT_EXAMPLE["id"],
    "properties": {"total": 42.5, "currency": "EUR"},
    "timestamp": "2026-11-21T09:15:00.000Z",
    "context": {"page": {"url": "https://shop.example/checkout?utm_source=newsletter"}, "locale": "nb-NO"},
}
_ITEM = {
    "title": "Item",
    "type": "object",
    "properties": {
        "type": {"type": "string", "enum": ["identify", "track", "page", "screen", "group", "alias"]},
        "messageId": {"type": "string", "maxLength": 100, "description": "Identifies the interaction in its source."},
        "anonymousId": {"type": ["string", "null"]},
        "userId": {"type": ["string", "integer", "null"], "description": "The id of the member."},
        "event": {"type": "string", "description": "The name of a `track` item."},
        "name": {"type": "string", "description": "The name of a `page` or `screen` item."},
        "properties": {"type": "object"},
        "traits": {"type": "object", "description": "What is known about the user of an `identify` item."},
        "context": {"type": "object"},
        "timestamp": {"type": "string", "format": "date-time"},
        "sentAt": {"type": "string", "format": "date-time"},
    },
    "example": TRACK_EXAMPLE,
}
TRACKING_BODY = {
    "required": True,
    "description": "An item, or a batch of items. The `context` of a batch applies to all of its items.",
    "content": {
        "application/json": {
            "schema": {
                "anyOf": [_ITEM, {**_object(batch={"type": "array", "items": _ITEM}), "title": "Batch"}],
            },
            "examples": {
                "item": {"summary": "One item", "value": TRACK_EXAMPLE},
                "batch": {"summary": "A batch", "value": {"batch": [TRACK_EXAMPLE]}},
            },
        }
    },
}
TRACKING_EXAMPLES = {
    "accepted": {"summary": "All items are accepted", "value": {"success": True, "ok": True}},
    "rejected": {
        "summary": "One item is rejected",
        "value": {
            "success": True,
            "ok": True,
            "rejected": [
                {
                    "index": 1,
                    "messageId": "a-2",
                    "reason": "missing_field",
                    "message": "The item has neither a user id nor an anonymous id.",
                }
            ],
        },
    },
}

router = APIRouter(include_in_schema=False)


@router.get("/docs")
async def show_docs(request: Request) -> HTMLResponse:
    """Swagger UI, without any external resources."""
    page = get_swagger_ui_html(
        openapi_url="/openapi.json",
        title=TITLE,
        swagger_js_url=f"{ASSETS}/swagger-ui-bundle.js",
        swagger_css_url=f"{ASSETS}/swagger-ui.css",
        swagger_favicon_url=f"{ASSETS}/favicon-32x32.png",
    )
    page.headers["Content-Security-Policy"] = (
        "default-src 'none'; connect-src 'self'; img-src 'self' data:; style-src 'self' 'unsafe-inline'; "
        f"script-src 'self' {_hash_scripts(bytes(page.body))}; base-uri 'none'; frame-ancestors 'none'"
    )
    page.headers["X-Content-Type-Options"] = "nosniff"
    return page


def _hash_scripts(page: bytes) -> str:
    """The page's inline scripts as Content-Security-Policy sources."""
    scripts = re.findall(rb"<script>(.*?)</script>", page, re.DOTALL)
    digests = (base64.b64encode(hashlib.sha256(script).digest()).decode() for script in scripts)
    return " ".join(f"'sha256-{digest}'" for digest in digests)


def add_problem_schema(document: dict[str, Any]) -> dict[str, Any]:
    """Add the schema of problem documents, to which the routes refer; idempotent."""
    document["components"]["schemas"]["Problem"] = Problem.model_json_schema()
    return document
