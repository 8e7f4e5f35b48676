"""Written forms such as "0#-####-####": what phone numbers, postcodes and identity numbers of a country look like."""

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
    """A text in which # is a digit, * a digit but 0, @ a capital, ? a letter or digit; a {word} stays together."""

    __slots__ = ("_choices",)

    def __init__(self, text: str) -> None:
        """Compile the pattern's text."""
        # What each byte stands for at each place; what is no mark stands for itself whatever the byte.
        self._choices = [(list(_ALPHABETS.get(mark, [mark])) * 256)[:256] for mark in re.findall(r"\{\w+\}|.", text)]

    def fill(self, characters: Iterator[int]) -> str:
        """Write the pattern out with the next bytes of `characters`."""
        return "".join(map(getitem, self._choices, characters))
