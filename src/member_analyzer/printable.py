"""Text of unknown origin as it is safe to print and to show: nothing in it controls a terminal or turns a line around.

Pure.
"""

import re

# Control characters but for the tab and the new line, direction marks and overrides, line separators, the byte order
# mark and lone surrogates. Joiners stay: names in several scripts need them.
UNPRINTABLE = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069\ufeff\ud800-\udfff]")


def make_printable(text: str) -> str:
    r"""The text with each unprintable character as its escape sequence, such as \x1b or \u202e."""
    return UNPRINTABLE.sub(lambda found: found[0].encode("unicode_escape").decode(), text)
