"""Names of every script in the letters that an e-mail address takes."""

import re
import unicodedata

# Latin letters that do not come apart into a base letter and an accent.
_LATIN = {"ß": "ss", "ø": "o", "æ": "ae", "œ": "oe", "đ": "d", "ð": "d", "ł": "l", "ı": "i"}
# Serbian and Ukrainian.
_CYRILLIC = {
    **dict(zip("абвгґдежзиіїйјклмнопрстћуфхцчш", "abvggdezziiiijklmnoprstcufhccs", strict=True)),
    **{"ђ": "dj", "љ": "lj", "њ": "nj", "џ": "dz", "щ": "sc", "є": "ie", "ю": "iu", "я": "ia"},
}
# Without the vowels that Persian does not write.
_PERSIAN = dict(zip("اآبپتثجچحخدذرزژسشصضطظعغفقکگلمنوهی", "aabptsjchkdzrzzsssztzagfqkglmnvhy", strict=True))

_LETTERS = str.maketrans(_LATIN | _CYRILLIC | _PERSIAN)


def transliterate(name: str) -> str:
    """Write a name with a-z alone: "Živadinović" becomes "zivadinovic", "van der Meer" becomes "vandermeer"."""
    letters = unicodedata.normalize("NFC", name.lower()).translate(_LETTERS)
    return re.sub(r"[^a-z]", "", unicodedata.normalize("NFKD", letters))
