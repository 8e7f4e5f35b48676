"""The page of an interaction: its address without secrets, where the visitor came from, and the campaign.

URLs are split by RFC 3986, appendix B, with the backslash as a slash, as browsers read it.
"""

import re
from collections.abc import Mapping
from functools import lru_cache
from typing import NamedTuple
from urllib.parse import unquote_plus

from member_analyzer.streams.interactions.item import make_storable
from member_analyzer.streams.interactions.private_names import is_private_parameter

# Of a query, a fragment or a path; the others are dropped, unread.
MAX_PARAMETERS = 100

CAMPAIGN = ("source", "medium", "campaign", "term", "content")
_NO_CAMPAIGN: list[object] = [None] * len(CAMPAIGN)

_URL = re.compile(r"([A-Za-z][A-Za-z0-9+.-]*:)?(?:([/\\]{2})([^/\\?#]*))?([^?#]*)(\?[^#]*)?(#.*)?", re.DOTALL)
_PORT = re.compile(r":\d*\Z")
_PARAMETERS = re.compile("[&;]")
_is_like_url = re.compile(r"(?:[A-Za-z][A-Za-z0-9+.-]*:)?[/\\]{2}|[/?#]\S*\Z").match

# A longer one costs more memory than splitting it again is worth.
_LONGEST_FREQUENT = 2048


class Url(NamedTuple):
    """A URL without user information and private parameters, and its parts; parts that it lacks are empty."""

    text: str
    host: str
    path: str
    query: str


def read_url(text: str) -> Url:
    """Split any text as a URL, without user information and private parameters.

    `host` is in lower case, without port and `www.`; `path` is as it was sent, `/` if there is only a host; `query`
    has its question mark.
    """
    return _read_frequent_url(text) if len(text) <= _LONGEST_FREQUENT else _split(text)


def clean_url(text: str) -> str:
    """Return text without user information and private parameters if it is like a URL or a part of one."""
    return read_url(text).text if ("=" in text or "@" in text) and _is_like_url(text) else text


def referring_domain(referrer: Url, page: Url) -> str | None:
    """Return the domain of the referrer, or None if there is none or if it is the page's own."""
    return referrer.host if referrer.host and referrer.host != page.host else None


def read_campaign(campaign: Mapping[str, object], query: str) -> list[object]:
    """Return the values of CAMPAIGN: those of the context's campaign, or else of the UTM parameters of a query.

    In the context, the name of the campaign is `name`.
    """
    if campaign:
        return [
            campaign.get("source"),
            campaign.get("medium"),
            campaign.get("name") or campaign.get("campaign"),
            campaign.get("term"),
            campaign.get("content"),
        ]
    if "utm_" not in query.lower():
        return _NO_CAMPAIGN
    values: dict[str, str] = {}
    for parameter in _PARAMETERS.split(query[1:])[:MAX_PARAMETERS]:
        name, _, value = parameter.partition("=")
        if name[:4].lower() == "utm_":
            # Decoding may yield a NUL or a replacement character.
            values.setdefault(name[4:].lower(), make_storable(unquote_plus(value)))
    return [values.get(name) for name in CAMPAIGN]


def _split(text: str) -> Url:
    scheme, slashes, authority, path, query, fragment = _URL.fullmatch(text).groups("")  # type: ignore[union-attr]
    if "=" in text or "@" in authority:
        authority = authority.rpartition("@")[2]
        path, query, fragment = _remove_private(path, query, fragment)
        text = f"{scheme}{slashes}{authority}{path}{query}{fragment}"
    host = _PORT.sub("", authority).rstrip(".").lower().removeprefix("www.") if authority else ""
    return Url(text, host, path or ("/" if host else ""), query)


# Most events are from few pages.
_read_frequent_url = lru_cache(maxsize=2048)(_split)


def _remove_private(path: str, query: str, fragment: str) -> tuple[str, str, str]:
    """Remove private parameters, also `;jsessionid=` of a path and those of a fragment, which may have a query."""
    if ";" in path:
        first, *others = path.split(";")
        path = ";".join([first, *(one for one in others[:MAX_PARAMETERS] if not _is_private(one))])
    if fragment:
        route, mark, parameters = fragment.partition("?")
        fragment = _without_private(route) + _without_private(mark + parameters)
    return path, _without_private(query), fragment


def _without_private(query: str) -> str:
    """Remove private parameters from a query with its mark (`?` or `#`), and the mark if no parameter is left."""
    if "=" not in query:
        return query
    parameters = _PARAMETERS.split(query[1:])
    kept = [one for one in parameters[:MAX_PARAMETERS] if not _is_private(one)]
    if len(kept) == len(parameters):
        return query
    return query[0] + "&".join(kept) if kept else ""


def _is_private(parameter: str) -> bool:
    name, mark, _ = parameter.partition("=")
    return mark != "" and is_private_parameter(name)
