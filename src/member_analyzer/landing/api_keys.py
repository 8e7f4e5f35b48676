"""The API keys of those who use the collector: made, checked and revoked; of a secret only its hash is kept.

A key is `ma_<name>_<secret>`: the name tells in logs and sources whose it is, the secret has 256 random bits, so that a
plain SHA-256 of it cannot be guessed from.
"""

import hashlib
import hmac
import re
import secrets
from collections.abc import Collection
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

from member_analyzer.landing.connection import Connection

NAME = re.compile(r"[a-z0-9-]{1,40}")
_KEY = re.compile(r"ma_([a-z0-9-]{1,40})_([A-Za-z0-9_-]{43})")


class Right(StrEnum):
    """What a key may be used for."""

    WRITE = "write"
    READ = "read"
    ERASE = "erase"


@dataclass(frozen=True)
class ApiKey:
    """A key as it is kept: without its secret."""

    name: str
    hash: bytes
    rights: frozenset[Right]
    created_at: datetime
    revoked_at: datetime | None


class KeyTakenError(ValueError):
    """Raised for a name that a key has or had."""


def create_key(connection: Connection, name: str, rights: Collection[Right]) -> str:
    """Make a key and give it, which nobody can do again.

    Raises ValueError for a name that is none, KeyTakenError for one that is taken.
    """
    if NAME.fullmatch(name) is None:
        raise ValueError(f"{name!r} is no name of a key: 1 to 40 of a-z, 0-9 and - make one.")
    secret = secrets.token_urlsafe(32)
    made = connection.execute(
        "INSERT INTO landing.api_keys (name, hash, rights) VALUES (%s, %s, %s) ON CONFLICT (name) DO NOTHING",
        (name, _hash(secret), sorted(rights)),
    )
    if made.rowcount == 0:
        raise KeyTakenError(f"There is, or was, a key {name}: choose another name.")
    return f"ma_{name}_{secret}"


def revoke_key(connection: Connection, name: str) -> bool:
    """Take a key out of use; false where there is none of this name that is in use."""
    revoked = connection.execute(
        "UPDATE landing.api_keys SET revoked_at = clock_timestamp() WHERE name = %s AND revoked_at IS NULL", (name,)
    )
    return revoked.rowcount > 0


def read_keys(connection: Connection) -> dict[str, ApiKey]:
    """Every key by its name, revoked ones too, the oldest first."""
    rows = connection.execute(
        "SELECT name, hash, rights, created_at, revoked_at FROM landing.api_keys ORDER BY created_at"
    )
    return {
        name: ApiKey(name, hashed, frozenset(Right(right) for right in rights), created_at, revoked_at)
        for name, hashed, rights, created_at, revoked_at in rows
    }


def split_key(text: str) -> tuple[str, str] | None:
    """The name and the secret of what may be a key; None where it has not the form of one."""
    parts = _KEY.fullmatch(text)
    return (parts[1], parts[2]) if parts else None


def is_secret_of(key: ApiKey | None, secret: str) -> bool:
    """Whether the secret is that of a key in use; takes as long for a key that there is not."""
    kept = key.hash if key is not None and key.revoked_at is None else bytes(32)
    return hmac.compare_digest(_hash(secret), kept)


def _hash(secret: str) -> bytes:
    return hashlib.sha256(secret.encode()).digest()
