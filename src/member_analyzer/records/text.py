"""Text normalization, and escaping of text for terminals.

Texts that look the same must be equal, or they are counted separately. `docs/records.md` states the rules.
Pure.
"""

import re
from unicodedata import is_normalized, normalize

# The following constants are parts of regular expression character classes.
_LINE_BREAKS = r"\n-\r\x85\u2028\u2029"
# Without NUL, which indicates corruption: text that contains it is rejected as unreadable.
_CONTROLS = r"\x01-\x08\x0e-\x1f\x7f-\x9f"
_WHITE_SPACE = r"\t \xa0\u1680\u2000-\u200a\u202f\u205f\u3000"
# Unicode's Default_Ignorable_Code_Point and General_Category=Cf, and blank glyphs (fillers, blank Braille). Without
# joiners and without the Arabic and Kaithi number signs, which have the category Cf but are visible.
_INVISIBLE = (
    r"\xad\u034f\u061c\u115f\u1160\u17b4\u17b5\u180b-\u180f\u200b\u200e\u200f\u202a-\u202e\u2060-\u206f\u2800\u3164"
    r"\ufe00-\ufe0f\ufeff\uffa0\ufff0-\ufffb\U00013430-\U0001343f\U0001bca0-\U0001bca3\U0001d173-\U0001d17a"
    r"\U000e0000-\U000e0fff"
)
# Between two characters of these blocks (Arabic to Myanmar) a joiner is part of the spelling.
JOINED_CHARACTERS = (0x600, 0x109F)
JOINERS = "\u200c\u200d"
_JOINED = f"{chr(JOINED_CHARACTERS[0])}-{chr(JOINED_CHARACTERS[1])}"

# ECMA-48: a control sequence, or a terminated control string.
_ESCAPE_SEQUENCE = re.compile(
    r"(?:\x1b\[|\x9b)[0-?]*[ -/]*[@-~]"
    r"|(?:\x1b[\]PX^_]|[\x90\x98\x9d-\x9f])[^\x07\x1b\x9c]*(?:\x07|\x1b\\|\x9c)"
)
_LINE_BREAK = re.compile(f"[{_LINE_BREAKS}]+")
_REMOVED = re.compile(f"[{_LINE_BREAKS}{_CONTROLS}{_INVISIBLE}]+")
_STRAY_JOINER = re.compile(f"(?<![{_JOINED}])[{JOINERS}]|[{JOINERS}](?![{_JOINED}])")
_SPACES = re.compile(f"[{_WHITE_SPACE}]+")
# Invisible although `str.isprintable`. Two expressions, because the first alone is searched faster.
_UNSEEN = re.compile("[\u034f\u115f\u1160\u17b4\u17b5\u180b-\u180d\u180f\u2800\u3164\ufe00-\ufe0f\uffa0]")
_UNSEEN_BEYOND = re.compile("[\U000e0000-\U000e0fff]")

# Character ranges that `normalize_text` leaves unchanged in any context, except leading, trailing and repeated spaces.
# They cover most names and addresses. Unicode's stability policy guarantees this for later versions.
PLAIN_CHARACTERS = (
    *((0x20, 0x7E), (0xA1, 0xAC), (0xAE, 0x2FF)),  # Latin
    *((0x388, 0x38A), (0x38C, 0x38C), (0x38E, 0x3A1), (0x3A3, 0x482), (0x48A, 0x52F)),  # Greek, Cyrillic
    *((0x531, 0x556), (0x559, 0x58A), (0x5D0, 0x5EA)),  # Armenian, Hebrew
    *((0x61D, 0x64A), (0x660, 0x66F), (0x671, 0x6D5), (0x6EE, 0x6FF)),  # Arabic
    *((0x10D0, 0x10FF), (0x1E00, 0x1EFF), (0x2010, 0x2027), (0x2030, 0x205E)),  # Georgian, Latin, punctuation
    *((0x3001, 0x3029), (0x3041, 0x3096), (0x309B, 0x30FF), (0x3400, 0xA48C)),  # kana, Chinese
    *((0xAC00, 0xD7A3), (0xFF01, 0xFF5E)),  # Korean, full-width forms
)

# Characters that can move, hide or delete terminal output; `isprintable` only checks the category.
_UNPRINTABLE = re.compile(rf"[\x00-\x1f\x7f-\x9f\u2028\u2029{_INVISIBLE}\ud800-\udfff]")


def normalize_text(text: str, *, multiline: bool = False) -> str:
    """Normalize text; the result is empty if no character is visible.

    The result is in NFC, without control characters, invisible characters and terminal escape sequences. White space is
    collapsed to single spaces and stripped. Line breaks are removed, or become spaces if `multiline`. Idempotent.
    """
    return text if is_normal(text) or not text else _normalize(text, multiline)


def is_normal(text: str) -> bool:
    """Whether a fast check shows that the text is normalized; false for some normalized texts."""
    if not text.isprintable() or "  " in text or not text or text[0] == " " or text[-1] == " ":
        return False
    try:
        # Latin-1 text is always NFC, and its printable characters are visible.
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
    # Removing characters, and reordering marks in NFC, may change the neighbours of a joiner.
    while text != before:
        before = text
        text = normalize("NFC", _STRAY_JOINER.sub("", text))
    return _SPACES.sub(" ", text).strip(" ")


def printable(text: str, *, multiline: bool = False) -> str:
    r"""Escape characters (as `\x1b` or `\u202e`) that could control a terminal or are invisible in it.

    Tabs and line feeds are kept if `multiline`.
    """
    if text.isascii() and text.isprintable():
        return text
    return _UNPRINTABLE.sub(lambda found: found[0] if multiline and found[0] in "\t\n" else _escape(found[0]), text)


def _escape(character: str) -> str:
    code = ord(character)
    if code < 0x100:
        return f"\\x{code:02x}"
    return f"\\u{code:04x}" if code < 0x10000 else f"\\U{code:08x}"
