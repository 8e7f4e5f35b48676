"""Query parameters of a request."""

import secrets
from collections.abc import Mapping
from dataclasses import dataclass

from member_analyzer.fake_users.nationality import CODES
from member_analyzer.fake_users.person import FIELDS, GENDERS

MAX_RESULTS = 5000
FORMATS = ("json", "pretty", "prettyjson")


class InvalidQueryError(ValueError):
    """A parameter has an invalid value; the message names both."""


@dataclass(frozen=True, slots=True)
class Query:
    """A request for one page of users, and the format of the response."""

    seed: str
    page: int = 1
    results: int = 1
    nationalities: tuple[str, ...] = CODES
    genders: tuple[str, ...] = GENDERS
    fields: tuple[str, ...] = FIELDS
    info: bool = True
    pretty: bool = False


def parse_query(parameters: Mapping[str, str]) -> Query:
    """Parse the parameters of a request; unknown and empty ones are ignored."""
    nationalities = [_check_choice("nat", code, CODES) for code in _split(parameters.get("nat", "").upper())]
    gender = parameters.get("gender", "").lower()
    included = _split(parameters.get("inc", "").lower()) or FIELDS
    excluded = _split(parameters.get("exc", "").lower())
    return Query(
        seed=parameters.get("seed") or secrets.token_hex(8),
        page=_parse_page(parameters.get("page") or "1"),
        results=_parse_results(parameters.get("results", "")),
        nationalities=tuple(sorted(set(nationalities))) or CODES,
        genders=(_check_choice("gender", gender, GENDERS),) if gender else GENDERS,
        fields=tuple(field for field in FIELDS if field in included and field not in excluded),
        info="noinfo" not in parameters,
        pretty=_check_choice("format", parameters.get("format", "").lower() or "json", FORMATS) != "json",
    )


def _split(text: str) -> list[str]:
    return [word.strip() for word in text.split(",") if word.strip()]


def _check_choice(parameter: str, value: str, choices: tuple[str, ...]) -> str:
    if value not in choices:
        raise InvalidQueryError(f"{parameter}: {value!r} is not one of {', '.join(choices)}")
    return value


def _parse_page(text: str) -> int:
    # Every JSON parser reads an integer of fifteen digits exactly.
    if not (text.isdecimal() and len(text) <= 15 and int(text) > 0):
        raise InvalidQueryError(f"page: {text!r} is not a page number from 1")
    return int(text)


def _parse_results(text: str) -> int:
    # As in randomuser.me, an invalid number means one user and is not an error.
    results = int(text) if text.isdecimal() and len(text) <= 15 else 0
    return results if 1 <= results <= MAX_RESULTS else 1
