"""Canonical genders and their synonyms."""

import re

# Synonyms of each gender, matched regardless of case and punctuation.
GENDERS = {
    "female": ("f", "woman", "girl"),
    "male": ("m", "man", "boy"),
    "other": ("o", "x", "d", "diverse", "non binary", "nonbinary", "nb", "enby", "genderqueer", "third gender"),
    "undisclosed": (
        *("u", "unknown", "unspecified", "not specified", "not disclosed", "not stated"),
        *("prefer not to say", "prefer not to answer", "prefer not to disclose", "rather not say"),
    ),
}


_GENDER_OF = {text: gender for gender, others in GENDERS.items() for text in (gender, *others)}


def find_gender(text: str) -> str:
    """Return the canonical gender for a text; unknown text is returned unchanged."""
    if text in GENDERS:
        return text
    return _GENDER_OF.get(" ".join(re.split(r"[\W_]+", text.casefold())).strip(), text)
