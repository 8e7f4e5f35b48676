"""Text in one form, whoever wrote it, and text that is safe to print.

Texts that look alike must be equal, or they are counted apart. `docs/records.md` states the rule.
Pure.
"""

import re
from unicodedata import is_normalized, normalize

# Everything here is a part of a character class of a regular expression.
_LINE_BREAKS = r"\n-\r\x85\u2028\u2029"
# NUL is none of them: it is a sign of damage, and its text is rejected as unreadable.
_CONTROLS = r"\x01-\x08\x0e-\x1f\x7f-\x9f"
_WHITE_SPACE = r"\t \xa0\u1680\u2000-\u200a\u202f\u205f\u3000"
# Unicode's Default_Ignorable_Code_Point and General_Category=Cf, and what is drawn as nothing (fillers, blank Braille).
# Not in it: joiners, and the Arabic and Kaithi number signs, which are of the category Cf but visible.
_INVISIBLE = (
    r"\xad\u034f\u061c\u115f\u1160\u17b4\u17b5\u180b-\u180f\u200b\u200e\u200f\u202a-\u202e\u2060-\u206f\u2800\u3164"
    r"\ufe00-\ufe0f\ufeff\uffa0\ufff0-\ufffb\U00013430-\U0001343f\U0001bca0-\U0001bca3\U0001d173-\U0001d17a"
    r"\U000e0000-\U000e0fff"
)
# Between two characters of these blocks (Arabic to Myanmar) a joiner is a part of the spelling.
JOINED_CHARACTERS = (0x600, 0x109F)
JOINERS = "\u200c\u200d"
_JOINED = f"{chr(JOINED_CHARACTERS[0])}-{chr(JOINED_CHARACTERS[1])}"

# ECMA-48: a control sequence, or a control string with its end.
_ESCAPE_SEQUENCE = re.compile(
    r"(?:\x1b\[|\x9b)[0-?]*[ -/]*[@-~]"
    r"|(?:\x1b[\]PX^_]|[\x90\x98\x9d-\x9f])[^\x07\x1b\x9c]*(?:\x07|\x1b\\|\x9c)"
)
_LINE_BREAK = re.compile(f"[{_LINE_BREAKS}]+")
_REMOVED = re.compile(f"[{_LINE_BREAKS}{_CONTROLS}{_INVISIBLE}]+")
_STRAY_JOINER = re.compile(f"(?<![{_JOINED}])[{JOINERS}]|[{JOINERS}](?![{_JOINED}])")
_SPACES = re.compile(f"[{_WHITE_SPACE}]+")
# What `str.isprintable` takes although it cannot be seen; apart, as a set of the first alone is searched faster.
_UNSEEN = re.compile("[\u034f\u115f\u1160\u17b4\u17b5\u180b-\u180d\u180f\u2800\u3164\ufe00-\ufe0f\uffa0]")
_UNSEEN_BEYOND = re.compile("[\U000e0000-\U000e0fff]")

# Ranges of characters that `normalize_text` leaves as they are, whatever stands beside them (but for spaces at the ends
# and next to each other): most of what names and addresses are written with, not all. Unicode's stability policy keeps
# this true in every later version.
PLAIN_CHARACTERS = (
    *((0x20, 0x7E), (0xA1, 0xAC), (0xAE, 0x2FF)),  # Latin
    *((0x388, 0x38A), (0x38C, 0x38C), (0x38E, 0x3A1), (0x3A3, 0x482), (0x48A, 0x52F)),  # Greek, Cyrillic
    *((0x531, 0x556), (0x559, 0x58A), (0x5D0, 0x5EA)),  # Armenian, Hebrew
    *((0x61D, 0x64A), (0x660, 0x66F), (0x671, 0x6D5), (0x6EE, 0x6FF)),  # Arabic
    *((0x10D0, 0x10FF), (0x1E00, 0x1EFF), (0x2010, 0x2027), (0x2030, 0x205E)),  # Georgian, Latin, punctuation
    *((0x3001, 0x3029), (0x3041, 0x3096), (0x309B, 0x30FF), (0x3400, 0xA48C)),  # kana, Chinese
    *((0xAC00, 0xD7A3), (0xFF01, 0xFF5E)),  # Korean, full-width forms
)

# Python's `isprintable` speaks of the category; the rest can move, hide or delete what stands on a terminal.
_UNPRINTABLE = re.compile(rf"[\x00-\x1f\x7f-\x9f\u2028\u2029{_INVISIBLE}\ud800-\udfff]")


def normalize_text(text: str, *, multiline: bool = False) -> str:
    """The text in the one form in which it is kept; empty where nothing of it can be seen.

    Unicode's form NFC without control and invisible characters and terminal escape sequences; white space of any kind
    is one space, and none at the ends. A line break is left out, or is a space where the text may be `multiline`.
    Repeating it changes nothing.
    """
    return text if is_normal(text) or not text else _normalize(text, multiline)


def is_normal(text: str) -> bool:
    """Whether a text is known at first sight to be as `normalize_text` gives it; most are that are."""
    if not text.isprintable() or "  " in text or not text or text[0] == " " or text[-1] == " ":
        return False
    try:
        # Nothing of Latin-1 is composed or, if it is printable, unseen.
        text.encode("latin-1")
    except UnicodeEncodeError:
        return is_normalized("NFC", text) and _UNSEEN.search(text) is None and _UNSEEN_BEYOND.search(text) is None
    return True


def _normalize(text: str, multiline: bool) -> str:
    text = _ESCAPE_SEQUENCE.sub("", text)
    if multiline:
        text = _LINE_BREAK.sub(" ", text)
    text = _REMOVED.sub("", text)
    before = None
    # What is left out, and the order of marks in NFC, may change what a joiner stands between.
    while text != before:
        before = text
        text = normalize("NFC", _STRAY_JOINER.sub("", text))
    return _SPACES.sub(" ", text).strip(" ")


def printable(text: str, *, multiline: bool = False) -> str:
    r"""The text with everything escaped (as `\x1b` or `\u202e`) that could control a terminal or hide in it.

    Tabs and line feeds stay where the text may be `multiline`.
    """
    if text.isascii() and text.isprintable():
        return text
    return _UNPRINTABLE.sub(lambda found: found[0] if multiline and found[0] in "\t\n" else _escape(found[0]), text)


def _escape(character: str) -> str:
    code = ord(character)
    if code < 0x100:
        return f"\\x{code:02x}"
    return f"\\u{code:04x}" if code < 0x10000 else f"\\U{code:08x}"
