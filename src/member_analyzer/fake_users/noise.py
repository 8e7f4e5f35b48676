"""Numbers that look random, always the same for the same user."""

import hashlib
import struct
from collections.abc import Iterator, Sequence
from typing import TypeVar

T = TypeVar("T")

_USER = struct.Struct(">16s 96s 24I")


class Noise:
    """What one user is made of: an identity, characters for patterns, and numbers to choose with."""

    __slots__ = ("_numbers", "characters", "identity")

    def __init__(self, block: tuple[bytes, bytes, *tuple[int, ...]]) -> None:
        """Take the numbers from one unpacked block."""
        self.identity, characters, *numbers = block
        self.characters = iter(characters)
        self._numbers = iter(numbers)

    def below(self, limit: int) -> int:
        """Draw a number from 0 to limit - 1."""
        return next(self._numbers) * limit >> 32

    def pick(self, options: Sequence[T]) -> T:
        """Draw one of the options."""
        return options[next(self._numbers) * len(options) >> 32]


def make_noise(key: str, users: int) -> Iterator[Noise]:
    """Make the noise of the first users of a key; a smaller number of users is a prefix of a larger one."""
    # An extendable-output function gives a page in one call, and the same on every Python version and machine.
    stream = hashlib.shake_128(key.encode()).digest(users * _USER.size)
    return map(Noise, _USER.iter_unpack(stream))
