"""The genders that members have, and what each of them is also written as."""

import re

# What each gender is also given as, in any case, with any sign or space between the words.
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
    """The gender that a text means, as it is kept; any other text as it is."""
    if text in GENDERS:
        return text
    return _GENDER_OF.get(" ".join(re.split(r"[\W_]+", text.casefold())).strip(), text)
