"""Field names that denote secrets, whose values are not stored with a rejected record or an interaction.

A name is split into words, ignoring case and separators: `apiKey`, `api_key` and `API-KEY` are *api* and *key*. It is
secret if one of the words is in WORDS, or if the joined words contain one of PARTS. So `pin` and `pin_code` are secret;
`pinterest` and `passport` are not. False positives cost little: only the fields of a member matter.
"""

import re
import unicodedata
from collections.abc import Collection
from functools import lru_cache

WORDS = frozenset(
    {
        *("pwd", "pass", "pin", "pins", "otp", "totp", "puk", "tan"),
        *("secret", "secrets", "token", "tokens", "credential", "credentials", "bearer", "authorization", "cookie"),
        *("jwt", "salt", "hash", "md", "sha", "bcrypt", "argon", "scrypt", "pbkdf"),
        *("cvv", "cvc", "cvn", "csc", "pan", "iban", "ssn"),
    }
)
PARTS = (
    *("password", "passwd", "passphrase", "passcode", "pincode"),
    *("apikey", "secretkey", "privatekey", "accesskey", "signingkey", "encryptionkey", "sessionid", "sessionkey"),
    *("authtoken", "accesstoken", "refreshtoken", "idtoken", "clientsecret", "credential"),
    *("creditcard", "debitcard", "cardnumber", "cardno", "securitycode", "socialsecurity"),
)

# Between a lowercase and an uppercase letter, before the last of several capitals (`APIKey`), and around digits.
_BOUNDARY = re.compile(r"(?<=[^\W\d_A-Z])(?=[A-Z])|(?<=[A-Z])(?=[A-Z][a-z])|(?<=\D)(?=\d)|(?<=\d)(?=\D)")
_SEPARATORS = re.compile(r"[\W\d_]+")


@lru_cache(maxsize=4096)
def is_secret(name: str) -> bool:
    """Whether the name of a field denotes a secret."""
    return are_secret(split_name(name))


def are_secret(words: Collection[str]) -> bool:
    """Whether the words of a name, as `split_name` returns them, denote a secret."""
    whole = "".join(words)
    return not WORDS.isdisjoint(words) or any(part in whole for part in PARTS)


def split_name(name: str) -> list[str]:
    """Split the first 200 characters of a name into words, in lower case and without digits."""
    text = unicodedata.normalize("NFKC", name[:200])
    return [word for word in _SEPARATORS.split(_BOUNDARY.sub(" ", text).casefold()) if word]
