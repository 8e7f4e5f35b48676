"""API keys of the collector: creation, verification and revocation. Only the hash of a secret is stored.

A key is `ma_<name>_<secret>`. The name identifies the client in logs and sources; the secret has 256 random bits, so an
unsalted SHA-256 is sufficient.
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
    """A right that a key grants."""

    WRITE = "write"
    READ = "read"
    ERASE = "erase"
    PEOPLE = "people"
    """To read what a person did; every access is logged."""


@dataclass(frozen=True)
class ApiKey:
    """A stored key, without its secret."""

    name: str
    hash: bytes
    rights: frozenset[Right]
    created_at: datetime
    revoked_at: datetime | None


class KeyTakenError(ValueError):
    """Raised when the name of a key is already in use, also by a revoked key."""


def create_key(connection: Connection, name: str, rights: Collection[Right]) -> str:
    """Create a key and return it; it cannot be retrieved later.

    Raises ValueError for an invalid name, KeyTakenError for one that is in use.
    """
    if NAME.fullmatch(name) is None:
        raise ValueError(f"{name!r} is not a valid key name: use 1 to 40 characters of a-z, 0-9 and -.")
    secret = secrets.token_urlsafe(32)
    made = connection.execute(
        "INSERT INTO landing.api_keys (name, hash, rights) VALUES (%s, %s, %s) ON CONFLICT (name) DO NOTHING",
        (name, _hash(secret), sorted(rights)),
    )
    if made.rowcount == 0:
        raise KeyTakenError(f"The key name {name} is already in use or revoked: choose another name.")
    return f"ma_{name}_{secret}"


def revoke_key(connection: Connection, name: str) -> bool:
    """Revoke a key; return False if there is no active key of this name."""
    revoked = connection.execute(
        "UPDATE landing.api_keys SET revoked_at = clock_timestamp() WHERE name = %s AND revoked_at IS NULL", (name,)
    )
    return revoked.rowcount > 0


def read_keys(connection: Connection) -> dict[str, ApiKey]:
    """Return all keys by name, including revoked ones, oldest first."""
    rows = connection.execute(
        "SELECT name, hash, rights, created_at, revoked_at FROM landing.api_keys ORDER BY created_at"
    )
    return {
        name: ApiKey(name, hashed, frozenset(Right(right) for right in rights), created_at, revoked_at)
        for name, hashed, rights, created_at, revoked_at in rows
    }


def split_key(text: str) -> tuple[str, str] | None:
    """Split a key into name and secret; return None if it is malformed."""
    parts = _KEY.fullmatch(text)
    return (parts[1], parts[2]) if parts else None


def is_secret_of(key: ApiKey | None, secret: str) -> bool:
    """Whether the secret matches an active key, in constant time even if there is no key."""
    kept = key.hash if key is not None and key.revoked_at is None else bytes(32)
    return hmac.compare_digest(_hash(secret), kept)


def _hash(secret: str) -> bytes:
    return hashlib.sha256(secret.encode()).digest()
