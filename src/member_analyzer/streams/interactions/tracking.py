"""From an item of the Segment HTTP tracking API to an interaction."""

import hashlib
from collections.abc import Callable, Mapping
from datetime import UTC, datetime, tzinfo
from math import isfinite
from operator import itemgetter
from typing import Any

import orjson

from member_analyzer.records.canonical import canonical
from member_analyzer.records.fields import TextField
from member_analyzer.records.rejection import Reason, RecordRejectedError, Rejection
from member_analyzer.records.text import normalize_text
from member_analyzer.streams.interactions.clock import correct_time, read_time
from member_analyzer.streams.interactions.identity import find_identity, read_id
from member_analyzer.streams.interactions.item import make_storable, read_item
from member_analyzer.streams.interactions.message_id import derive_message_id, read_message_id
from member_analyzer.streams.interactions.page import Url, read_campaign, read_url, referring_domain
from member_analyzer.streams.interactions.properties import write_properties
from member_analyzer.streams.interactions.record import (
    ALIAS,
    GROUP,
    IDENTIFY,
    INTERACTION,
    PAGE,
    SCREEN,
    TRACK,
    TYPES,
)
from member_analyzer.streams.interactions.traits import merge_traits
from member_analyzer.streams.interactions.user_agent import UserAgent
from member_analyzer.streams.interactions.zones import country_of_zone
from member_analyzer.streams.members.countries import find_country

Classify = Callable[[str], UserAgent]

_TEXTS = tuple(field for field in INTERACTION.fields if isinstance(field, TextField))
_LONGEST = {field.name: field.longest for field in _TEXTS}
_DESCRIBED = tuple((field.name, field.longest) for field in _TEXTS if not field.verbatim)

# What happened, by the fields that follow from the client's words alone and are the same in each delivery of an item.
# Not who did it: analytics-next gives an item that it sends again the user id of that moment.
_CONTENT = (
    *("type", "previous_id", "group_id", "name", "url", "path", "title", "referrer"),
    *("utm_source", "utm_medium", "utm_campaign", "utm_term", "utm_content", "properties"),
)

_read_content = itemgetter(*_CONTENT)

# The fields of a page, in the context or in the properties of a page view.
_PAGE = ("url", "path", "title", "referrer", "search")

_END_OF_PATH = frozenset("?#;")

# Every browser's user agent begins so; those of HTTP clients do not.
_BROWSERS = ("Mozilla/", "Opera/")

_NOTHING: dict[str, Any] = {}
_NO_URL = Url("", "", "", "")
# RudderStack's SDK has a name for the referrer of a visit without one.
_NO_URLS = ("", "$direct")

_NO_TYPE = Rejection(Reason.MISSING_FIELD, "The item has no type.")
_UNKNOWN_TYPE = Rejection(Reason.UNKNOWN_VALUE, f"The type of the item must be one of: {', '.join(TYPES)}.")
_NO_ID = Rejection(Reason.MISSING_FIELD, "The item has neither a userId nor an anonymousId.")
_NO_EVENT = Rejection(Reason.MISSING_FIELD, "The track has no event.")


def read_interaction(
    item: object,
    *,
    source: str,
    zone: tzinfo,
    received_at: datetime,
    classify: Classify,
    user_agent_header: str | None = None,
) -> dict[str, Any]:
    """Convert an item of `read_items` to an interaction.

    `zone` is the time zone of the source's days; `received_at` is an aware time; `classify` describes a user agent. The
    request's user agent is only taken if the context has none and if it is a browser's, because the HTTP client of a
    server is not the visitor.

    Text that describes an event but does not identify it is truncated. A value of a wrong type is taken as missing, a
    number as text; lists in the place of objects are empty, as PHP writes them. A page view's properties are preferred
    to the context's page. What becomes of properties is stated in `write_properties`.
    Raises only RecordRejectedError, whatever the JSON contains: if the item is no object, too large or of no known
    type, if it has no usable id, if a track has no event, or if the message id is too long.
    """
    values = read_item(item)
    kind = _read_type(values.get("type"))
    identity = find_identity(values.get("userId"), values.get("anonymousId"))
    if identity is None:
        raise RecordRejectedError(_NO_ID)
    message_id = read_message_id(values) or derive_message_id(values)
    context, properties = _object(values, "context"), _read_properties(kind, values)
    original_at = read_time(values.get("originalTimestamp")) or read_time(values.get("timestamp"))
    sent_at, received_at = read_time(values.get("sentAt")), _truncate(received_at)
    occurred_at = correct_time(received_at, sent_at=sent_at, original_at=original_at)
    record = {
        "source": source,
        "message_id": message_id,
        "visitor": identity.visitor,
        "type": kind,
        "name": _find_name(kind, values, properties),
        "member_id": identity.member_id,
        "anonymous_id": identity.anonymous_id,
        "previous_id": read_id(values.get("previousId")) if kind == ALIAS else None,
        "group_id": read_id(values.get("groupId")) or read_id(context.get("groupId")),
        "occurred_at": occurred_at,
        "day": occurred_at.astimezone(zone).date(),
        "original_at": original_at,
        "sent_at": sent_at,
        "received_at": received_at,
        **_describe_page(kind, context, properties),
        **_describe_client(context, user_agent_header, classify),
        "properties": write_properties(properties),
    }
    _truncate_texts(record)
    if (normalized := canonical(INTERACTION, record)) is not record:
        record = normalized
        # Normalized text can be longer than it was.
        _truncate_texts(record)
    if kind == TRACK and record["name"] is None:
        raise RecordRejectedError(_NO_EVENT)
    record["content"] = _digest_content(record)
    return record


def _read_type(value: object) -> str:
    if value in TYPES:
        return str(value)
    kind = value.strip().lower() if isinstance(value, str) else value
    if kind in TYPES:
        return str(kind)
    raise RecordRejectedError(_NO_TYPE if kind in (None, "") else _UNKNOWN_TYPE)


def _find_name(kind: str, item: Mapping[str, Any], properties: Mapping[str, Any]) -> object:
    if kind == TRACK:
        return item.get("event")
    return item.get("name") or properties.get("name") if kind in (PAGE, SCREEN) else None


def _read_properties(kind: str, item: Mapping[str, Any]) -> dict[str, Any]:
    """Return the properties, or the traits of an identify or group, with the category of a page or screen."""
    if kind == IDENTIFY:
        return merge_traits(item)
    if kind == GROUP:
        return _object(item, "traits")
    properties = _object(item, "properties")
    category = item.get("category")
    return {"category": category, **properties} if category and kind in (PAGE, SCREEN) else properties


def _describe_page(kind: str, context: Mapping[str, Any], properties: Mapping[str, Any]) -> dict[str, Any]:
    page = _object(context, "page")
    if kind == PAGE:
        page = {**page, **{name: value for name in _PAGE if isinstance(value := properties.get(name), str) and value}}
    url, referrer = _read_url(page.get("url")), _read_url(page.get("referrer"))
    path = page.get("path")
    if not isinstance(path, str) or not path:
        path = url.path
    elif not _END_OF_PATH.isdisjoint(path):
        path = read_url(path).path
    search = page.get("search")
    query = url.query or (search if isinstance(search, str) else "")
    source, medium, campaign, term, content = read_campaign(_object(context, "campaign"), query)
    return {
        "url": url.text,
        "path": path,
        "title": page.get("title"),
        "referrer": referrer.text,
        "referring_domain": referring_domain(referrer, url),
        "utm_source": source,
        "utm_medium": medium,
        "utm_campaign": campaign,
        "utm_term": term,
        "utm_content": content,
    }


def _describe_client(context: Mapping[str, Any], header: str | None, classify: Classify) -> dict[str, Any]:
    user_agent = context.get("userAgent")
    if not isinstance(user_agent, str) or not user_agent:
        user_agent = make_storable(header) if header is not None and header.startswith(_BROWSERS) else ""
    user_agent = user_agent[: _LONGEST["user_agent"]]
    agent = classify(user_agent) if user_agent else None
    app, library, timezone = _object(context, "app"), _object(context, "library"), context.get("timezone")
    if app.get("name") == library.get("name"):
        # RudderStack's SDK for browsers, where there is no app, gives its own name and version.
        app = _NOTHING
    country = _object(context, "location").get("country")
    if isinstance(country, str) and country:
        country = find_country(country[: _LONGEST["country"]])
    else:
        country = country_of_zone(timezone) if isinstance(timezone, str) else None
    return {
        "user_agent": user_agent,
        "browser": agent and agent.browser,
        # The SDKs of phones say it themselves.
        "system": (agent and agent.system) or _object(context, "os").get("name"),
        "device": agent and agent.device,
        "is_bot": None if agent is None else "true" if agent.is_bot else "false",
        "locale": context.get("locale"),
        "timezone": timezone,
        "country": country,
        "app_name": app.get("name"),
        "app_version": app.get("version"),
        "library": "/".join(
            part for name in ("name", "version") if isinstance(part := library.get(name), str) and part
        ),
    }


def _truncate_texts(record: dict[str, Any]) -> None:
    """Make text of the values of fields that describe the event, no longer than the fields, in place."""
    for name, longest in _DESCRIBED:
        value = record[name]
        kind = type(value)
        if kind is str:
            if len(value) > longest:
                record[name] = normalize_text(normalize_text(value[:longest])[:longest]) or None
            elif not value:
                record[name] = None
        elif value is not None:
            record[name] = str(value)[:longest] if kind is int or (kind is float and isfinite(value)) else None


def _digest_content(record: Mapping[str, Any]) -> str:
    original_at = record["original_at"]
    content = [original_at and original_at.timestamp(), *_read_content(record)]
    return hashlib.blake2b(orjson.dumps(content), digest_size=16).hexdigest()


def _truncate(moment: datetime) -> datetime:
    """Return an aware time in UTC, truncated to milliseconds."""
    if moment.tzinfo is not UTC:
        moment = moment.astimezone(UTC)
    excess = moment.microsecond % 1000
    return moment.replace(microsecond=moment.microsecond - excess) if excess else moment


def _read_url(value: object) -> Url:
    return read_url(value) if isinstance(value, str) and value not in _NO_URLS else _NO_URL


def _object(parent: Mapping[str, Any], name: str) -> dict[str, Any]:
    value = parent.get(name)
    return value if isinstance(value, dict) else _NOTHING
