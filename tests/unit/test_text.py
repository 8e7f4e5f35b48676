import unicodedata

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from member_analyzer.records.text import JOINERS, PLAIN_CHARACTERS, is_normal, normalize_text, printable

# Of the category Cf, but drawn: signs that enclose a number or end a verse.
VISIBLE_FORMATS = {*range(0x600, 0x606), 0x6DD, 0x70F, 0x890, 0x891, 0x8E2, 0x110BD, 0x110CD}


@pytest.mark.parametrize(
    ("written", "kept"),
    [
        ("Zürich", "Zürich"),
        ("Zu\u0308rich", "Zürich"),
        ("Zu\u200b\u0308rich", "Zürich"),
        ("\u200bOslo", "Oslo"),
        ("Oslo\u200f", "Oslo"),
        ("\ufeffOslo", "Oslo"),
        ("Os\u00adlo", "Oslo"),
        ("Oslo\ufe0f", "Oslo"),
        ("\u202eOslo\u202c", "Oslo"),
        ("Os\nlo", "Oslo"),
        ("Oslo\r\n", "Oslo"),
        ("Os\x07lo\x7f", "Oslo"),
        ("\x1b[31mOslo\x1b[0m", "Oslo"),
        ("\x1b]0;title\x07Oslo\x1b[2J", "Oslo"),
        ("\x9b31mOslo", "Oslo"),
        ("\x1bOslo", "Oslo"),
        ("  New \t York\u00a0", "New York"),
        ("New\u2003\u3000York", "New York"),
        ("New\u00a0York", "New York"),
        ("\u200b", ""),
        (" \u00a0\u200d\u2800\u3164\n", ""),
        ("می\u200cخواهم", "می\u200cخواهم"),
        ("می\u200c\u200cخواهم\u200c", "میخواهم"),
        ("क्\u200dष", "क्\u200dष"),
        ("👩\u200d💻", "👩💻"),
        ("Os\u200clo", "Oslo"),
        ("Si\0ren", "Si\0ren"),
        ("Si\ufffdren\ud800", "Si\ufffdren\ud800"),
        ("", ""),
    ],
)
def test_what_looks_alike_is_kept_alike(written: str, kept: str) -> None:
    assert normalize_text(written) == kept


def test_the_lines_of_an_address_stay_words() -> None:
    assert normalize_text("Storgata 1\r\n0150 Oslo\n", multiline=True) == "Storgata 1 0150 Oslo"


texts = st.text(max_size=8) | st.text(
    st.sampled_from(
        "aeU بمख्ä\u0301\u0308\u0653\u064b\u0323\t\n\x1b[0m]\x07\0\u00a0\u200b\u200c\u200d\u202e\ufe0f\ud800"
    ),
    max_size=12,
)


@settings(max_examples=3000, deadline=None)
@given(texts, st.booleans())
def test_the_form_is_final_and_holds_nothing_that_cannot_be_seen(text: str, multiline: bool) -> None:
    kept = normalize_text(text, multiline=multiline)
    assert normalize_text(kept, multiline=multiline) == kept
    assert unicodedata.is_normalized("NFC", kept)
    assert kept == kept.strip()
    assert "  " not in kept
    for one in kept:
        category = unicodedata.category(one)
        assert category not in ("Zl", "Zp")
        assert category != "Zs" or one == " "
        assert category != "Cc" or one == "\0"
        assert category != "Cf" or one in JOINERS or ord(one) in VISIBLE_FORMATS


@settings(max_examples=2000, deadline=None)
@given(texts)
def test_text_that_is_normal_at_first_sight_is_left_as_it_is(text: str) -> None:
    kept = normalize_text(text)
    assert is_normal(text) <= (kept == text)


def test_every_invisible_character_of_unicode_is_left_out() -> None:
    invisible = {n for n in range(0x110000) if unicodedata.category(chr(n)) == "Cf"} - VISIBLE_FORMATS
    assert [hex(n) for n in invisible if normalize_text(f"a{chr(n)}b") != "ab"] == []


def test_plain_characters_are_kept_whatever_stands_beside_them() -> None:
    plain = [chr(n) for first, last in PLAIN_CHARACTERS for n in range(first, last + 1)]
    halves = [unicodedata.decomposition(chr(n)).split() for n in range(0x110000)]
    composing = {chr(int(half[1], 16)) for half in halves if len(half) == 2 and not half[0].startswith("<")}
    for one in plain:
        # A starter that is no second half of a composed character stays apart from what is before it.
        assert unicodedata.combining(one) == 0
        assert one not in composing
        assert one == " " or normalize_text(f"a{one}b") == f"a{one}b"
    assert not any("\u1100" <= one <= "\u11ff" for one in plain)


@pytest.mark.parametrize(
    ("text", "printed"),
    [
        ("Oslo, Zürich, ساوه", "Oslo, Zürich, ساوه"),
        ("\x1b[2J\x1b]0;x\x07", r"\x1b[2J\x1b]0;x\x07"),
        ("a\r\nb\x9b", r"a\x0d\x0ab\x9b"),
        ("\u202eabc\u2028", r"\u202eabc\u2028"),
        ("a\u200bb\ufeff\U000e0041", r"a\u200bb\ufeff\U000e0041"),
        ("\ud800", r"\ud800"),
    ],
)
def test_nothing_that_is_printed_controls_a_terminal(text: str, printed: str) -> None:
    assert printable(text) == printed


def test_what_is_shown_on_several_lines_keeps_tabs_and_line_feeds() -> None:
    assert printable("می‌خواهم\t1\r\n\x1b[2J", multiline=True) == "می‌خواهم\t1\\x0d\n\\x1b[2J"
