"""Names of properties and URL parameters whose values are never stored: secrets and IP addresses.

As in `records.secret_names`, false positives cost little.
"""

import re
from functools import lru_cache
from urllib.parse import unquote_plus

from member_analyzer.records.secret_names import are_secret, split_name

# One word is the name of an IP address: `ip`, `client_ip`, `ipAddress`.
ADDRESS_WORDS = frozenset({"ip", "ips", "ipaddr", "clientip", "remoteip", "userip", "realip", "sourceip", "xff"})
# In the words together, such as `remote_addr`, `IPv4` and `X-Forwarded-For`, but not in `ship_address`.
_ADDRESS_PARTS = re.compile(r"(?<!sh)ipaddr|ipv(?:addr|$)|remoteaddr|forwardedfor")

# Words of URL parameters that let their bearer in: authorization codes (RFC 6749), signed URLs, SAML, session ids.
PARAMETER_WORDS = frozenset({"code", "auth", "key", "sig", "signature", "hmac", "sid", "session", "samlresponse"})

# A longer name is decided by its beginning, so that names in the cache are short.
_LONGEST_NAME = 100


def is_private(name: str) -> bool:
    """Whether a name denotes a secret or an IP address."""
    return _is_private(name if len(name) <= _LONGEST_NAME else name[:_LONGEST_NAME])


def is_private_parameter(name: str) -> bool:
    """Whether the name of a URL parameter, as in the URL, denotes a secret, an IP address or a right to access."""
    return _is_private_parameter(name if len(name) <= _LONGEST_NAME else name[:_LONGEST_NAME])


@lru_cache(maxsize=4096)
def _is_private(name: str) -> bool:
    return _are_private(split_name(name))


@lru_cache(maxsize=4096)
def _is_private_parameter(name: str) -> bool:
    words = split_name(unquote_plus(name))
    return not PARAMETER_WORDS.isdisjoint(words) or _are_private(words)


def _are_private(words: list[str]) -> bool:
    return not ADDRESS_WORDS.isdisjoint(words) or _ADDRESS_PARTS.search("".join(words)) is not None or are_secret(words)
