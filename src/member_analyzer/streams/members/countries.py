"""Canonical country names, by any common name or ISO 3166-1 code.

Codes and names are from ISO 3166-1 (pycountry), with common English names added. Unknown names are unchanged.
Pure.
"""

import re
from functools import cache, lru_cache
from unicodedata import combining, normalize

import pycountry

# Common English short names that differ from ISO 3166-1.
_NAMES = {
    "BN": "Brunei",
    "BQ": "Caribbean Netherlands",
    "CC": "Cocos Islands",
    "CD": "Democratic Republic of the Congo",
    "CG": "Republic of the Congo",
    "FK": "Falkland Islands",
    "FM": "Micronesia",
    "MF": "Saint Martin",
    "PS": "Palestine",
    "RU": "Russia",
    "SX": "Sint Maarten",
    "TR": "Turkey",
    "VA": "Vatican City",
    "VG": "British Virgin Islands",
    "VI": "U.S. Virgin Islands",
    "XK": "Kosovo",
}

# Common names that ISO 3166-1 lacks.
_OTHER_NAMES = {
    "AE": ("UAE", "Emirates"),
    "BA": ("Bosnia", "Bosnia Herzegovina"),
    "CD": ("Congo Kinshasa", "DR Congo", "DRC", "Zaire"),
    "CG": ("Congo Brazzaville",),
    "CI": ("Ivory Coast",),
    "CN": ("Mainland China", "PRC"),
    "CV": ("Cape Verde",),
    "CZ": ("Czech Republic",),
    "GB": ("Britain", "England", "Great Britain", "Northern Ireland", "Scotland", "UK", "Wales"),
    "HK": ("Hong Kong SAR", "Hong Kong SAR China"),
    "IE": ("Eire", "Republic of Ireland"),
    "KP": ("DPRK",),
    "KR": ("Korea",),
    "LA": ("Lao",),
    "MK": ("FYROM", "Macedonia"),
    "MM": ("Burma", "Myanmar Burma"),
    "MO": ("Macau", "Macao SAR China", "Macau SAR China"),
    "NL": ("Holland",),
    "PN": ("Pitcairn Islands",),
    "PS": ("Palestinian Territories", "Palestinian Territory"),
    "SH": ("Saint Helena",),
    "SZ": ("Swaziland",),
    "TL": ("East Timor",),
    "US": ("U.S.", "U.S.A.", "United States of America"),
    "VA": ("Holy See", "Vatican"),
    "VI": ("US Virgin Islands", "United States Virgin Islands"),
}

# Kosovo has no ISO 3166-1 code; these user-assigned codes are in common use.
_OTHER_CODES = {"XK": "XK", "XKX": "XK", "UK": "GB"}


def country_names() -> frozenset[str]:
    """Return the canonical name of every country."""
    return frozenset(_countries().names.values())


@lru_cache(maxsize=10_000)
def find_country(text: str) -> str:
    """Return the canonical name for a country name or code; unknown text is returned unchanged."""
    known = _countries()
    code = known.codes.get(text.upper()) or known.keys.get(_key(text))
    return text if code is None else known.names[code]


class _Countries:
    """Names and codes of all countries, by alpha-2 code."""

    def __init__(self) -> None:
        self.names = {one.alpha_2: getattr(one, "common_name", one.name) for one in pycountry.countries} | _NAMES
        self.codes = {
            code: one.alpha_2 for one in pycountry.countries for code in (one.alpha_2, one.alpha_3, one.numeric)
        } | _OTHER_CODES
        self.keys: dict[str, str] = {}
        for one in pycountry.countries:
            official = getattr(one, "official_name", one.name)
            for name in (one.name, official, _turned(one.name), _turned(official)):
                self.keys[_key(name)] = one.alpha_2
        for code, name in self.names.items():
            self.keys[_key(name)] = code
        for code, others in _OTHER_NAMES.items():
            self.keys |= {_key(name): code for name in others}


@cache
def _countries() -> _Countries:
    return _Countries()


def _turned(name: str) -> str:
    """Turn `Korea, Republic of` into `Republic of Korea`."""
    return " ".join(reversed(name.split(", ", 1)))


_APOSTROPHES_AND_FULL_STOPS = re.compile("['’ʼ`.]")
_NO_LETTERS = re.compile(r"[\W_]+")


def _key(name: str) -> str:
    """Return the lookup key of a name: without case, accents, punctuation and articles."""
    plain = "".join(one for one in normalize("NFKD", name) if not combining(one)).casefold()
    plain = _APOSTROPHES_AND_FULL_STOPS.sub("", plain.replace("&", " and "))
    words = ["saint" if word == "st" else word for word in _NO_LETTERS.split(plain)]
    return " ".join(word for word in words if word not in ("", "the"))
