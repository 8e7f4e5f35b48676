"""The country of a time zone.

`zones.json` lists the zones of each country (ISO 3166-1 alpha-2), with their former names, which browsers still report:
`zone.tab` of the tz database 2026f, and the territories and aliases of Unicode CLDR 47 for the names that it lacks.
Zones that belong to no single country, such as UTC, EST and CET, are missing.
Pure.
"""

import json
from collections.abc import Mapping
from functools import cache
from importlib.resources import files

from member_analyzer.streams.members.countries import find_country


def country_of_zone(zone: str) -> str | None:
    """Return the canonical name of the country of a time zone of the tz database; None if unknown or ambiguous."""
    return _countries().get(zone)


@cache
def _countries() -> Mapping[str, str]:
    text = files("member_analyzer.streams.interactions").joinpath("zones.json").read_text(encoding="utf-8")
    return {zone: find_country(code) for code, zones in json.loads(text).items() for zone in zones}
