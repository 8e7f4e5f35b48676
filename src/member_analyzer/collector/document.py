"""What the OpenAPI document says besides the routes: texts, examples, and the page that shows it."""

import base64
import hashlib
import re
from datetime import date
from http import HTTPStatus
from importlib.resources import files
from pathlib import Path
from typing import Any

from fastapi import APIRouter, Request
from fastapi.openapi.docs import get_swagger_ui_html
from fastapi.responses import HTMLResponse

from member_analyzer.collector.answers import Problem
from member_analyzer.collector.body import LARGEST_BYTES, MOST_RECORDS
from member_analyzer.deadletters.retention import explain_retention
from member_analyzer.http.problem import MEDIA_TYPE
from member_analyzer.records.fields import DateField, Field, TextField
from member_analyzer.settings import RejectedSettings
from member_analyzer.streams.members.record import CREATED, MEMBER

TITLE = "Member Analyzer: collector"
DESCRIPTION = f"""
Takes members over HTTP and tells how they are distributed.

**Accepted means committed.** A member that is answered with `accepted` is counted once, whatever fails afterwards. It
is in the tables a second or two later.

**Keys.** Every request brings `Authorization: Bearer ma_<name>_<secret>`. A key has some of the rights *write*, *read*
and *erase*; one that is revoked is refused five seconds later at most. Each key may ask so many times a second; beyond
that the answer is 429 with `Retry-After`.

**Repeating.** Posting a member again changes nothing, so repeat whatever was not answered. A record without an id is
known by its content: the same content from the same API key is the same member, for a day unless the collector is set
otherwise. Where two people may be alike, send an id, or an `Idempotency-Key` for each request: a repeated request is
then answered as the first was.

**Forms.** Spellings are brought into one: countries by their ISO 3166 names and codes, genders by a table of synonyms,
text in NFC without invisible characters.

**Limits.** {MOST_RECORDS:,} records and {LARGEST_BYTES:,} bytes a request, also after decompression.

**Problems** are told as `{MEDIA_TYPE}` (RFC 9457). Each answer carries `X-Request-ID`: the request's own, or one that
was made for it.
"""

STATIC = Path(str(files("member_analyzer.collector").joinpath("static", "swagger-ui")))
ASSETS = "/docs/assets"

DETAILS = {
    400: "The body is not JSON: Expecting value at character 0.",
    401: "Send an API key that is in use, as `Authorization: Bearer ma_<name>_<secret>`.",
    403: "The API key shop has not the right to erase.",
    404: "There is no member of this id.",
    408: "The body did not come within 30 seconds.",
    413: "The body has more than 1,048,576 bytes, or has more of them when it is decompressed.",
    415: "Send the members with Content-Type: application/json.",
    422: "The body is an array of 1,001 records: send one member, or an array of 1 to 1,000.",
    429: "The API key shop asks too often. It may ask again in 1 seconds.",
    503: "PostgreSQL does not answer. Nothing is lost: send the request again in 2 seconds.",
}
RETRY_AFTER = {"Retry-After": {"description": "Seconds to wait.", "schema": {"type": "string"}}}


def problems(*statuses: int) -> dict[int | str, dict[str, Any]]:
    """How the problems of a route are described, by status."""
    described: dict[int | str, dict[str, Any]] = {}
    for status in statuses:
        title = HTTPStatus(status).phrase
        example = {"type": "about:blank", "title": title, "status": status, "detail": DETAILS[status]}
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
ANSWER_EXAMPLE = {
    "results": [RANDOM_USER_EXAMPLE],
    "info": {"seed": "2026", "results": 1, "page": 1, "version": "1.4"},
}
BROKEN_EXAMPLE = {"id": "broken-1", "gender": "female", "date_of_birth": "1979-08-24", "country": "Norway"}


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


# What the collector fills in where a record lacks it.
FILLED_IN = {"id", "kind", "occurred_at"}
FLAT_SCHEMA = {
    "title": "Flat member",
    "type": "object",
    "required": [field.name for field in MEMBER.fields if field.required and field.name not in FILLED_IN],
    "properties": {field.name: _flat_field(field) for field in MEMBER.fields},
    "example": FLAT_EXAMPLE,
}
_TEXT = {"type": "string"}


def _object(**properties: dict[str, Any]) -> dict[str, Any]:
    return {"type": "object", "properties": properties}


RANDOM_USER_SCHEMA = {
    "title": "Member in randomuser.me's form",
    "description": "Passwords and their hashes are not kept.",
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
_EITHER = {"anyOf": [FLAT_SCHEMA, RANDOM_USER_SCHEMA]}
_SEVERAL = {"type": "array", "minItems": 1, "maxItems": MOST_RECORDS, "items": _EITHER}
POSTED = {
    "required": True,
    "description": "One member, or an array of them, in either form; or the whole answer of a user API.",
    "content": {
        "application/json": {
            "schema": {
                "anyOf": [
                    FLAT_SCHEMA,
                    RANDOM_USER_SCHEMA,
                    _SEVERAL,
                    {**_object(results=_SEVERAL), "title": "Answer of a user API", "required": ["results"]},
                ]
            },
            "examples": {
                "flat": {"summary": "One member, flat", "value": FLAT_EXAMPLE},
                "randomuser": {"summary": "One member in randomuser.me's form", "value": RANDOM_USER_EXAMPLE},
                "answer": {"summary": "The whole answer of a user API", "value": ANSWER_EXAMPLE},
                "batch": {
                    "summary": "Several, in both forms, one of them broken",
                    "value": [FLAT_EXAMPLE, RANDOM_USER_EXAMPLE, BROKEN_EXAMPLE],
                },
            },
        }
    },
}


def _landing(*records: tuple[str, str, str | None, str | None]) -> dict[str, Any]:
    told = [
        {"index": index, "id": key, "status": status, "reason": reason, "message": message}
        for index, (key, status, reason, message) in enumerate(records)
    ]
    statuses = ("accepted", "duplicate", "rejected", "erased")
    return {**{one: [record["status"] for record in told].count(one) for one in statuses}, "records": told}


LANDING_EXAMPLES = {
    "flat": {"summary": "One member", "value": _landing((FLAT_EXAMPLE["id"], "accepted", None, None))},
    "batch": {
        "summary": "Several, one of them broken",
        "value": _landing(
            (FLAT_EXAMPLE["id"], "duplicate", None, None),
            ("2d931510-d99f-494a-8c67-87feb05e1594", "accepted", None, None),
            ("broken-1", "rejected", "missing_field", "The field city is missing or empty."),
        ),
    },
}
ERASED_EXAMPLE = {
    "id": FLAT_EXAMPLE["id"],
    "status": "erased",
    "message": explain_retention(RejectedSettings()),
}
ANALYSIS_EXAMPLES = {
    "country": {
        "summary": "Two of the countries",
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

router = APIRouter(include_in_schema=False)


@router.get("/docs")
async def show_document(request: Request) -> HTMLResponse:
    """The OpenAPI document as a page that loads nothing from elsewhere."""
    page = get_swagger_ui_html(
        openapi_url="/openapi.json",
        title=TITLE,
        swagger_js_url=f"{ASSETS}/swagger-ui-bundle.js",
        swagger_css_url=f"{ASSETS}/swagger-ui.css",
        swagger_favicon_url=f"{ASSETS}/favicon-32x32.png",
    )
    page.headers["Content-Security-Policy"] = (
        "default-src 'none'; connect-src 'self'; img-src 'self' data:; style-src 'self' 'unsafe-inline'; "
        f"script-src 'self' {_hash_of_script(bytes(page.body))}; base-uri 'none'; frame-ancestors 'none'"
    )
    page.headers["X-Content-Type-Options"] = "nosniff"
    return page


def _hash_of_script(page: bytes) -> str:
    """The one script that stands in the page itself, as a Content-Security-Policy names it."""
    scripts = re.findall(rb"<script>(.*?)</script>", page, re.DOTALL)
    digests = (base64.b64encode(hashlib.sha256(script).digest()).decode() for script in scripts)
    return " ".join(f"'sha256-{digest}'" for digest in digests)


def complete(document: dict[str, Any]) -> dict[str, Any]:
    """Add the problem document to an OpenAPI document, whose routes refer to it; repeatable."""
    document["components"]["schemas"]["Problem"] = Problem.model_json_schema()
    return document
