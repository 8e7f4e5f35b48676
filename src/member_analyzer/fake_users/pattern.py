"""Patterns such as "0#-####-####": the formats of phone numbers, postcodes and identity numbers."""

import re
import string
from collections.abc import Iterator
from operator import getitem

_ALPHABETS = {
    "#": string.digits,
    "*": string.digits.replace("0", ""),
    "@": string.ascii_uppercase,
    "?": string.ascii_letters + string.digits,
}


class Pattern:
    """A format in which # is a digit, * a digit except 0, @ a capital letter, ? a letter or digit; a {word} is kept."""

    __slots__ = ("_choices",)

    def __init__(self, text: str) -> None:
        # For each position the character for every byte; a character without a meaning maps to itself.
        self._choices = [(list(_ALPHABETS.get(mark, [mark])) * 256)[:256] for mark in re.findall(r"\{\w+\}|.", text)]

    def fill(self, characters: Iterator[int]) -> str:
        """Fill in the pattern with the next bytes of `characters`."""
        return "".join(map(getitem, self._choices, characters))
