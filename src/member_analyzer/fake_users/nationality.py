"""Nationalities: the names, places and number formats of a country."""

import json
from dataclasses import dataclass
from functools import cache
from importlib import resources
from typing import Any, NamedTuple

from member_analyzer.fake_users.pattern import Pattern
from member_analyzer.fake_users.transliteration import transliterate

# fmt: off
CODES = (
    "AU", "BR", "CA", "CH", "DE", "DK", "ES", "FI", "FR", "GB", "IE",
    "IN", "IR", "MX", "NL", "NO", "NZ", "RS", "TR", "UA", "US",
)
# fmt: on


class Name(NamedTuple):
    """A name in its own script and in the form that an e-mail address takes."""

    written: str
    ascii: str


class City(NamedTuple):
    """A city and its state."""

    name: str
    state: str


@dataclass(frozen=True, slots=True)
class Nationality:
    """One country, as read from its file in `nationalities/`."""

    code: str
    country: str
    first_names: dict[str, tuple[Name, ...]]
    last_names: tuple[Name, ...]
    streets: tuple[str, ...]
    cities: tuple[City, ...]
    postcode: Pattern
    postcode_is_number: bool
    phone: Pattern
    cell: Pattern
    id_name: str
    id_value: Pattern | None


@cache
def load_nationality(code: str) -> Nationality:
    """Load the nationality with a code from `CODES`."""
    file = resources.files(__package__) / "nationalities" / f"{code.lower()}.json"
    data: dict[str, Any] = json.loads(file.read_text(encoding="utf-8"))
    return Nationality(
        code=code,
        country=data["country"],
        first_names={"female": _read_names(data["female_names"]), "male": _read_names(data["male_names"])},
        last_names=_read_names(data["last_names"]),
        streets=tuple(data["streets"]),
        cities=tuple(City(name, state) for state, names in data["cities"].items() for name in names),
        postcode=Pattern(data["postcode"]["pattern"]),
        postcode_is_number=data["postcode"]["type"] == "number",
        phone=Pattern(data["phone"]),
        cell=Pattern(data["cell"]),
        id_name=data["id"]["name"],
        id_value=Pattern(data["id"]["pattern"]) if data["id"]["pattern"] else None,
    )


def _read_names(names: list[str]) -> tuple[Name, ...]:
    return tuple(Name(name, transliterate(name)) for name in names)
