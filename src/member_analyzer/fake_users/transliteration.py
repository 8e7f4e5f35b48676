"""Transliteration of names into the letters that an e-mail address may contain."""

import re
import unicodedata

# Latin letters that Unicode does not decompose into a base letter and an accent.
_LATIN = {"ß": "ss", "ø": "o", "æ": "ae", "œ": "oe", "đ": "d", "ð": "d", "ł": "l", "ı": "i"}
# Serbian and Ukrainian.
_CYRILLIC = {
    **dict(zip("абвгґдежзиіїйјклмнопрстћуфхцчш", "abvggdezziiiijklmnoprstcufhccs", strict=True)),
    **{"ђ": "dj", "љ": "lj", "њ": "nj", "џ": "dz", "щ": "sc", "є": "ie", "ю": "iu", "я": "ia"},
}
# Persian does not write short vowels, so they are missing here too.
_PERSIAN = dict(zip("اآبپتثجچحخدذرزژسشصضطظعغفقکگلمنوهی", "aabptsjchkdzrzzsssztzagfqkglmnvhy", strict=True))

_LETTERS = str.maketrans(_LATIN | _CYRILLIC | _PERSIAN)


def transliterate(name: str) -> str:
    """Return a name in the letters a-z: "Živadinović" becomes "zivadinovic", "van der Meer" becomes "vandermeer"."""
    letters = unicodedata.normalize("NFC", name.lower()).translate(_LETTERS)
    return re.sub(r"[^a-z]", "", unicodedata.normalize("NFKD", letters))
