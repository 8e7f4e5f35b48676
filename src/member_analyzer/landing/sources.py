"""Sources: the applications that send interactions, each with a write key.

The write key of a web application is public, because it is in its pages: it can only write, and only from the
application's origins. Only the hash of a key is stored.
"""

import hashlib
import re
import secrets
import string
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from urllib.parse import urlsplit
from zoneinfo import available_timezones

from member_analyzer.landing.api_keys import NAME
from member_analyzer.landing.connection import Connection

# Jitsu's SDK accepts no other form without a colon.
KEY = re.compile(r"c[A-Za-z0-9]{24}")
KEY_CHARACTERS = string.ascii_letters + string.digits
RANDOM_CHARACTERS = 24
SALT_BYTES = 32

DEFAULT_PORTS = {"http": 80, "https": 443}
HOST = re.compile(r"(\*\.)?[a-z0-9]([a-z0-9.-]*[a-z0-9])?")


class SourceError(ValueError):
    """Raised for an invalid source; the message states what to correct."""


@dataclass(frozen=True)
class Source:
    """A source, without its write key.

    - `origins` are the web origins whose pages may send, such as `https://shop.example` or `https://*.shop.example`;
      without any, web pages may not send.
    - `time_zone` is the zone of its days, as in the tz database.
    - `honors_opt_out` is whether events with Do Not Track or Global Privacy Control are dropped.
    - `events_per_second` limits each collector process.
    - `salt` is the key of the anonymous ids of visitors in imported web logs.
    """

    name: str
    origins: tuple[str, ...] = ()
    time_zone: str = "UTC"
    honors_opt_out: bool = True
    events_per_second: int = 1000
    created_at: datetime | None = None
    revoked_at: datetime | None = None
    salt: bytes = field(default=b"", repr=False)

    def allows_origin(self, origin: str) -> bool:
        """Whether pages of an origin, as browsers send it, may send events."""
        return any(_covers(allowed, origin) for allowed in self.origins)


def _covers(allowed: str, origin: str) -> bool:
    scheme, _, host = allowed.partition("://")
    if not host.startswith("*."):
        return allowed == origin
    return (
        origin.startswith(f"{scheme}://") and origin.endswith(host[1:]) and len(origin) >= len(scheme) + 3 + len(host)
    )


def read_origin(text: str) -> str:
    """Return an origin as browsers send it: scheme, host in lower case, and the port unless it is the default.

    The host may begin with `*.`, for all subdomains. Raises SourceError.
    """
    try:
        parts = urlsplit(text.strip().lower())
        port = parts.port
    except ValueError:
        raise SourceError(f"{text!r} is not an origin: its port is invalid.") from None
    host = parts.hostname or ""
    try:
        # Browsers send internationalized host names in their ASCII form.
        host = host if host.isascii() else host.encode("idna").decode()
    except UnicodeError:
        raise SourceError(f"{text!r} is not an origin: its host name is invalid.") from None
    is_complete = parts.scheme in DEFAULT_PORTS and HOST.fullmatch(host) and "@" not in parts.netloc
    if not is_complete or parts.path not in ("", "/") or parts.query or parts.fragment:
        raise SourceError(f"{text!r} is not an origin: write it as https://shop.example or http://localhost:8080.")
    shown = "" if port in (None, DEFAULT_PORTS[parts.scheme]) else f":{port}"
    return f"{parts.scheme}://{host}{shown}"


def create_source(connection: Connection, source: Source) -> str:
    """Create a source and return its write key, which cannot be retrieved later.

    Raises SourceError if the source is invalid, or its name is already in use, also by a revoked source.
    """
    if NAME.fullmatch(source.name) is None:
        raise SourceError(f"{source.name!r} is not a valid source name: use 1 to 40 characters of a-z, 0-9 and -.")
    if source.time_zone not in available_timezones():
        raise SourceError(f"{source.time_zone!r} is not a time zone: use a name such as Europe/Oslo.")
    key = _generate_key()
    made = connection.execute(
        "INSERT INTO landing.sources (name, hash, origins, time_zone, honors_opt_out, events_per_second, salt) "
        "VALUES (%s, %s, %s, %s, %s, %s, %s) ON CONFLICT (name) DO NOTHING",
        (
            *(source.name, hash_key(key), [read_origin(one) for one in source.origins]),
            *(source.time_zone, source.honors_opt_out, source.events_per_second, secrets.token_bytes(SALT_BYTES)),
        ),
    )
    if made.rowcount == 0:
        raise SourceError(f"The source name {source.name} is already in use or revoked: choose another name.")
    return key


def rotate_key(connection: Connection, name: str) -> str | None:
    """Replace the write key of an active source and return the new one; return None if there is no such source."""
    key = _generate_key()
    changed = connection.execute(
        "UPDATE landing.sources SET hash = %s WHERE name = %s AND revoked_at IS NULL", (hash_key(key), name)
    )
    return key if changed.rowcount else None


def revoke_source(connection: Connection, name: str) -> bool:
    """Revoke a source; return False if there is no active source of this name."""
    revoked = connection.execute(
        "UPDATE landing.sources SET revoked_at = clock_timestamp() WHERE name = %s AND revoked_at IS NULL", (name,)
    )
    return revoked.rowcount > 0


def read_sources(connection: Connection) -> dict[bytes, Source]:
    """Return all sources by the hash of their write key, including revoked ones, oldest first."""
    rows = connection.execute(
        "SELECT hash, name, origins, time_zone, honors_opt_out, events_per_second, created_at, revoked_at, salt "
        "FROM landing.sources ORDER BY created_at"
    )
    return {
        bytes(hashed): Source(
            name, tuple(origins), time_zone, honors_opt_out, rate, created_at, revoked_at, bytes(salt)
        )
        for hashed, name, origins, time_zone, honors_opt_out, rate, created_at, revoked_at, salt in rows
    }


def find_source(sources: Mapping[bytes, Source], key: str) -> Source | None:
    """Return the active source with this write key, or None."""
    source = sources.get(hash_key(key)) if KEY.fullmatch(key) else None
    return source if source is not None and source.revoked_at is None else None


def split_origins(text: str) -> Collection[str]:
    """Return the comma-separated origins of a text."""
    return tuple(one for part in text.split(",") if (one := part.strip()))


def hash_key(key: str) -> bytes:
    """Return the hash by which a write key is stored. Its randomness makes a salt unnecessary."""
    return hashlib.sha256(key.encode()).digest()


def _generate_key() -> str:
    return "c" + "".join(secrets.choice(KEY_CHARACTERS) for _ in range(RANDOM_CHARACTERS))
