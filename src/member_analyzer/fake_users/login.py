"""The login of a user: identity, name, password and its hashes."""

import json
from hashlib import md5, sha1, sha256
from importlib import resources
from uuid import UUID

from member_analyzer.fake_users.noise import Noise
from member_analyzer.fake_users.pattern import Pattern

_WORDS: dict[str, list[str]] = json.loads((resources.files(__package__) / "words.json").read_text(encoding="utf-8"))
_SALT = Pattern("????????")


def make_login(noise: Noise) -> dict[str, str]:
    """Make the login; its hashes are those of the password followed by the salt."""
    salt = _SALT.fill(noise.characters)
    password = noise.pick(_WORDS["passwords"])
    salted = (password + salt).encode()
    return {
        "uuid": str(UUID(bytes=noise.identity, version=4)),
        "username": f"{noise.pick(_WORDS['moods'])}{noise.pick(_WORDS['animals'])}{100 + noise.below(900)}",
        "password": password,
        "salt": salt,
        "md5": md5(salted, usedforsecurity=False).hexdigest(),
        "sha1": sha1(salted, usedforsecurity=False).hexdigest(),
        "sha256": sha256(salted).hexdigest(),
    }
