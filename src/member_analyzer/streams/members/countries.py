"""One name for each country, whichever of its names or codes it is given by.

Codes and names are those of ISO 3166-1 (pycountry); this module adds the names that English uses instead of ISO's, and
what else is common. What names no country of the list stays as it is.
Pure.
"""

import re
from functools import cache, lru_cache
from unicodedata import combining, normalize

import pycountry

# Where the short name of English is neither the common name nor the name in ISO 3166-1.
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

# What is in none of ISO 3166-1's own names.
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

# Kosovo has no code of ISO 3166-1; these, of those left to users, are what everybody uses.
_OTHER_CODES = {"XK": "XK", "XKX": "XK", "UK": "GB"}


def country_names() -> frozenset[str]:
    """The one name of each country."""
    return frozenset(_countries().names.values())


@lru_cache(maxsize=10_000)
def find_country(text: str) -> str:
    """The one name of the country that a name or a code of ISO 3166-1 means; any other text as it is."""
    known = _countries()
    code = known.codes.get(text.upper()) or known.keys.get(_key(text))
    return text if code is None else known.names[code]


class _Countries:
    """What is known of each country, by its code of two letters."""

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
    """`Korea, Republic of` as `Republic of Korea`."""
    return " ".join(reversed(name.split(", ", 1)))


_APOSTROPHES_AND_FULL_STOPS = re.compile("['’ʼ`.]")
_NO_LETTERS = re.compile(r"[\W_]+")


def _key(name: str) -> str:
    """What the spellings of one name have in common: its letters, without case, accents, signs and articles."""
    plain = "".join(one for one in normalize("NFKD", name) if not combining(one)).casefold()
    plain = _APOSTROPHES_AND_FULL_STOPS.sub("", plain.replace("&", " and "))
    words = ["saint" if word == "st" else word for word in _NO_LETTERS.split(plain)]
    return " ".join(word for word in words if word not in ("", "the"))
