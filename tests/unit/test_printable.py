"""Text of unknown origin is printed without what controls a terminal or turns a line around."""

import pytest

from member_analyzer.printable import make_printable


@pytest.mark.parametrize(
    ("text", "printed"),
    [
        ("Zürich 東京 می‌خواهم 👩‍🚀\n\t", "Zürich 東京 می‌خواهم 👩‍🚀\n\t"),
        ("\x1b[2J", r"\x1b[2J"),
        ("a\rb\x00\x7f\x9b", r"a\rb\x00\x7f\x9b"),
        ("user\u202egnp.exe", r"user\u202egnp.exe"),
        ("\u2066a\u2069\u200f\ufeff\u2028", r"\u2066a\u2069\u200f\ufeff\u2028"),
        ("\ud83d", r"\ud83d"),
    ],
)
def test_what_controls_the_output_is_escaped(text: str, printed: str) -> None:
    assert make_printable(text) == printed
