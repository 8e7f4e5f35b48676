"""Who did it: the ids of an interaction, and the visitor that they name.

Many clients send something that is not an id where they have none. Taken literally, it would make one person of all of
them, so placeholders are no ids.
"""

import hashlib
import re
from typing import NamedTuple

from member_analyzer.records.text import normalize_text
from member_analyzer.streams.interactions.item import write_integer
from member_analyzer.streams.interactions.record import MEMBER_ID

# Compared regardless of case and of quotation marks around them. Text of zeros and punctuation only, such as `0`, `-`,
# `[]` or the nil UUID, is no id either.
PLACEHOLDERS = frozenset(
    {
        # No value, as programming languages write it, and the text of an object that was not an id.
        *("null", "(null)", "<null>", "nil", "<nil>", "none", "(none)", "undefined", "nan", "void", "[object object]"),
        *("true", "false", "-1", "n/a", "na", "not set", "(not set)", "unset", "unknown", "empty", "default"),
        # Nobody: PostHog's illegal ids and Mixpanel's rejected ids.
        *("anonymous", "anon", "guest", "not_authenticated", "unauthenticated", "not_logged_in", "logged_out"),
        # The name of a field instead of its value, in PostHog's list and in templates that were not filled in.
        *("id", "uid", "email", "distinct_id", "distinctid", "user_id", "userid", "anonymous_id", "anonymousid"),
        # Ids that many devices share: an Android build (Mixpanel's list) and a defect of Android 2.2's ANDROID_ID.
        *("lmy47d", "9774d56d682e549c"),
    }
)

# The visitor's prefix says what the rest is, so that ids of two kinds with the same text are two visitors.
MEMBER_PREFIX, USER_PREFIX, ANONYMOUS_PREFIX = "m:", "u:", "a:"

# With its prefix, an id fits the field `visitor`.
LONGEST_ID = 253

# JavaScript's numbers are exact up to here, and so are ours.
_LARGEST_EXACT = 2**53

_PUNCTUATION = "0-_.:,;/\\|+*#?!()[]{}<>'\"` \t\r\n"
_fits_member = re.compile(MEMBER_ID.pattern, re.ASCII).fullmatch


class Identity(NamedTuple):
    """The ids of an interaction; `visitor` is never empty."""

    visitor: str
    member_id: str | None
    anonymous_id: str | None


def read_id(value: object) -> str | None:
    """Return an id as text without white space around it, otherwise verbatim, or None if it is not an id.

    Not ids are: placeholders, truth values, lists and objects, text without a visible character, and numbers that
    JSON parsers round (from 2^53 on, if they are not integers), because different ids would become the same.
    An id of more than LONGEST_ID characters is replaced by a digest of it, which is as unique.
    """
    kind = type(value)
    if kind is str:
        text: str = value.strip()  # type: ignore[attr-defined]
    elif kind is int:
        text = write_integer(value)  # type: ignore[arg-type]
    elif kind is float and -_LARGEST_EXACT < value < _LARGEST_EXACT:  # type: ignore[operator]
        text = str(int(value) if value.is_integer() else value)  # type: ignore[attr-defined,call-overload]
    else:
        return None
    if len(text) > LONGEST_ID:
        return "blake2b:" + hashlib.blake2b(text.encode(errors="surrogatepass"), digest_size=32).hexdigest()
    if text.strip("'\"`").strip().lower() in PLACEHOLDERS or not text.strip(_PUNCTUATION):
        return None
    return text if text.isascii() or normalize_text(text) else None


def find_identity(user_id: object, anonymous_id: object) -> Identity | None:
    """Return who did it, or None if neither is an id.

    The visitor is the member if there is a user id, else the anonymous id. A user id that cannot be a member's, such as
    an email address, is a visitor of its own kind and not a member: it is neither dropped nor taken for somebody else.
    """
    user, anonymous = read_id(user_id), read_id(anonymous_id)
    if user is not None:
        if len(user) <= MEMBER_ID.longest and _fits_member(user):
            return Identity(MEMBER_PREFIX + user, user, anonymous)
        return Identity(USER_PREFIX + user, None, anonymous)
    return None if anonymous is None else Identity(ANONYMOUS_PREFIX + anonymous, None, anonymous)
