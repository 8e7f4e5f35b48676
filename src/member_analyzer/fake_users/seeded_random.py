"""Deterministic random numbers: a seed always yields the same ones."""

import hashlib
import struct
from collections.abc import Iterator, Sequence
from typing import TypeVar

T = TypeVar("T")

_USER = struct.Struct(">16s 96s 24I")


class SeededRandom:
    """The random numbers of one user; the methods are named as in the modules `random` and `secrets`."""

    __slots__ = ("_numbers", "characters", "uuid_bytes")

    def __init__(self, block: tuple[bytes, bytes, *tuple[int, ...]]) -> None:
        self.uuid_bytes, characters, *numbers = block
        self.characters = iter(characters)
        self._numbers = iter(numbers)

    def randbelow(self, limit: int) -> int:
        """Return a number from 0 to limit - 1."""
        return next(self._numbers) * limit >> 32

    def choice(self, options: Sequence[T]) -> T:
        """Return one of the options."""
        return options[next(self._numbers) * len(options) >> 32]


def make_randoms(key: str, users: int) -> Iterator[SeededRandom]:
    """Yield the random numbers of the first users of a key; fewer users are a prefix of more."""
    # An extendable-output function: one call for a page, and the same result on every Python version and platform.
    stream = hashlib.shake_128(key.encode()).digest(users * _USER.size)
    return map(SeededRandom, _USER.iter_unpack(stream))
