"""Logins of users: UUID, username, password and its hashes."""

import json
from hashlib import md5, sha1, sha256
from importlib import resources
from uuid import UUID

from member_analyzer.fake_users.pattern import Pattern
from member_analyzer.fake_users.seeded_random import SeededRandom

_WORDS: dict[str, list[str]] = json.loads((resources.files(__package__) / "words.json").read_text(encoding="utf-8"))
_SALT = Pattern("????????")


def make_login(random: SeededRandom) -> dict[str, str]:
    """Make a login; the hashes are of the password followed by the salt."""
    salt = _SALT.fill(random.characters)
    password = random.choice(_WORDS["passwords"])
    salted = (password + salt).encode()
    return {
        "uuid": str(UUID(bytes=random.uuid_bytes, version=4)),
        "username": f"{random.choice(_WORDS['moods'])}{random.choice(_WORDS['animals'])}{100 + random.randbelow(900)}",
        "password": password,
        "salt": salt,
        "md5": md5(salted, usedforsecurity=False).hexdigest(),
        "sha1": sha1(salted, usedforsecurity=False).hexdigest(),
        "sha256": sha256(salted).hexdigest(),
    }
