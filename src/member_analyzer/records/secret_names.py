"""Which names of fields say that their value is a secret, which is not stored with a rejected record.

The rule, in any case and with any separators: a name is split into words (`apiKey`, `api_key` and `API-KEY` are the
words *api* and *key*). It is secret where one of its words is one of WORDS, or where its words, written as one, contain
one of PARTS. So `pin` and `pin_code` are secret and `pinterest` is not; `passport` is not, for it is no way to log in.
A field too many that is left out costs little: of a rejected record only the fields of a member matter.
"""

import re
import unicodedata
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

# Between a small letter and a capital one, before the last of several capitals (`APIKey`), and around digits.
_BOUNDARY = re.compile(r"(?<=[^\W\d_A-Z])(?=[A-Z])|(?<=[A-Z])(?=[A-Z][a-z])|(?<=\D)(?=\d)|(?<=\d)(?=\D)")
_SEPARATORS = re.compile(r"[\W\d_]+")


@lru_cache(maxsize=4096)
def is_secret(name: str) -> bool:
    """Whether a field of this name holds a secret."""
    text = unicodedata.normalize("NFKC", name[:200])
    words = [word for word in _SEPARATORS.split(_BOUNDARY.sub(" ", text).casefold()) if word]
    whole = "".join(words)
    return not WORDS.isdisjoint(words) or any(part in whole for part in PARTS)
