"""Web server logs in the Common or Combined Log Format, read as page views.

They are Apache's `common`, `combined` and `vhost_combined` and nginx's `combined`; fields that follow the user agent,
as in nginx's `main`, are ignored.

- A page view is a GET of a document with status 200, or 304, when the visitor's browser already has it (as in AWStats).
  Documents are all paths but those that end like a part of a page or a download (as in Matomo's log import). Other
  requests are skipped: nobody looked at a page.
- No address is kept. The anonymous id is a keyed hash of the day, the address and the user agent, as in Plausible: it
  cannot be reversed without the key, and does not tell that a visitor comes back on another day. The day is that of the
  source's time zone, so that its visitors of a day are exact; the price is that a visit over midnight becomes two.
- No user name of HTTP authentication is kept: it is not the id of a member.
"""

import hmac
import re
from collections.abc import Iterator
from datetime import datetime, timedelta, timezone, tzinfo
from enum import StrEnum
from functools import lru_cache
from pathlib import Path
from typing import Any
from urllib.parse import quote_from_bytes

from member_analyzer.records.rejection import Reason, Rejection
from member_analyzer.sources.lines import (
    BEGINNING,
    DamagedFileError,
    Line,
    Position,
    RejectedLine,
    first_lines,
    identity,
    read_lines,
    too_long,
)

SHORTEST_SECRET_BYTES = 16

_STRING = r'[^"\\]*+(?:\\.[^"\\]*+)*+'
_LINE = re.compile(
    # The name and the port of a virtual host come before another address, never before `-`.
    r"(?:\S+:\d{1,5} (?=\S*[.:]))?(?P<host>\S+) \S+ .*? ?"
    r"\[(?P<time>\d\d/[A-Z][a-z]{2}/\d{4}:\d\d:\d\d:\d\d [+-]\d{4})\]"
    rf' "(?P<request>{_STRING})" (?P<status>\d{{3}}|-) (?P<bytes>\d{{1,18}}|-)'
    rf'(?: "(?P<referrer>{_STRING})" "(?P<user_agent>{_STRING})"(?: .*)?)?',
    re.ASCII | re.DOTALL,
)
_TIME = re.compile(rb"\[\d\d/")
_REQUEST = re.compile(r"([A-Z]+) (.+?)(?: HTTP/\d(?:\.\d)?)?", re.DOTALL)
_ORIGIN = re.compile(r"\A[a-z]+://[^/?]*", re.IGNORECASE)
_ESCAPE = re.compile(r"\\(?:x([0-9A-Fa-f]{2})|(.))", re.DOTALL)
_ESCAPED = {"b": "\b", "n": "\n", "r": "\r", "t": "\t", "v": "\v", '"': '"', "\\": "\\"}
# RFC 3986, and the percent sign of what is encoded already.
_URL_CHARACTERS = "%:/?#[]@!$&'()*+,;=-._~"

_MONTHS = ("Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec")
_LEAP_SECOND = "60"

_VIEWED = ("200", "304")
_FILE_ENDINGS = frozenset(
    {
        *("css", "js", "mjs", "map", "json", "xml", "rss", "atom", "txt", "xsl", "wasm", "webmanifest", "class", "swf"),
        *("ico", "cur", "png", "jpg", "jpeg", "gif", "svg", "svgz", "webp", "avif", "bmp", "tif", "tiff"),
        *("eot", "otf", "ttf", "woff", "woff2"),
        *("3gp", "aac", "avi", "flac", "flv", "m3u8", "m4a", "m4v", "mkv", "mov", "mp3", "mp4", "mpeg", "mpg", "oga"),
        *("ogg", "ogv", "vtt", "wav", "webm", "wma", "wmv"),
        *("azw3", "csv", "doc", "docx", "epub", "mobi", "odp", "ods", "odt", "pdf", "ppt", "pptx", "ps", "rtf", "tsv"),
        *("xls", "xlsx"),
        *("7z", "apk", "bin", "bz2", "deb", "dmg", "exe", "gem", "gz", "img", "iso", "jar", "msi", "pkg", "rar", "rpm"),
        *("tar", "tbz", "tgz", "torrent", "war", "xz", "zip"),
    }
)


class Skipped(StrEnum):
    """Why a request is not a page view: what it asks for, how it was answered, or what it delivered."""

    METHOD = "method"
    STATUS = "status"
    FILE = "file"


def read_web_log(
    path: Path,
    *,
    secret: bytes,
    zone: tzinfo,
    site: str | None = None,
    start: Position = BEGINNING,
    is_complete: bool = True,
) -> Iterator[tuple[Position, dict[str, Any] | RejectedLine | Skipped]]:
    """Read the lines of a log, plain or compressed, as page views in the format of the tracking API.

    Yields for each line the position after it, from which reading can continue. Message ids depend on the beginning of
    the file, the place of the line and the line, not on the name of the file: reading a file again after it was
    renamed, compressed or extended gives the same ids. The order of the file is kept.

    - `secret` keys the anonymous ids; without it they cannot be reversed. Keep it for as long as a file may be read
      again, or its visitors become others. `zone` is the time zone of the source.
    - `site`, as `https://shop.example`, completes paths to URLs; logs have none.
    - Without `is_complete`, a last line without a line break is left for the next time.

    Raises ValueError for a secret of less than 16 bytes, or if no line begins at `start`, and OSError.
    """
    if len(secret) < SHORTEST_SECRET_BYTES:
        raise ValueError(f"The secret must have at least {SHORTEST_SECRET_BYTES} bytes.")
    origin = site and site.rstrip("/")
    return _read(path, _Reader(identify_web_log(path), secret, zone, origin), start, is_complete)


def identify_web_log(path: Path) -> str:
    """Return an identity that a log keeps when it is renamed, compressed or extended, from its first line.

    The host and the user in the line are left out: all addresses can be tried. Raises OSError.
    """
    text = b"".join(line.text or b"" for line in first_lines(path, 1))
    time = _TIME.search(text)
    return identity(text[time.start() :] if time else text.partition(b" ")[2])


def _read(
    path: Path, reader: "_Reader", start: Position, is_complete: bool
) -> Iterator[tuple[Position, dict[str, Any] | RejectedLine | Skipped]]:
    try:
        for line in read_lines(path, start, is_complete=is_complete):
            if line.text is None:
                yield line.end, too_long(line)
            elif text := line.text.strip(b" \t\0"):
                yield line.end, reader.read(line, text)
    except DamagedFileError as error:
        yield error.position, error.rejected


class _Reader:
    """Reads lines of one log."""

    def __init__(self, log: str, secret: bytes, zone: tzinfo, origin: str | None) -> None:
        self._log = log
        self._secret = secret
        self._origin = origin
        # Many lines in a row have the same time.
        self._read_time = lru_cache(maxsize=256)(lambda text: _read_time(text, zone))

    def read(self, line: Line, text: bytes) -> dict[str, Any] | RejectedLine | Skipped:
        # Latin-1 keeps all bytes; those of UTF-8 are decoded field by field.
        found = _LINE.fullmatch(text.decode("latin-1"))
        if found is None:
            return _rejected(line, Reason.UNDECODABLE, "The line is not in the Common or Combined Log Format.")
        try:
            moment, day = self._read_time(found["time"])
        except (ValueError, OverflowError):
            return _rejected(line, Reason.BAD_DATE, "The time of the line does not exist.")
        request = _REQUEST.fullmatch(_unescape(found["request"]))
        if request is None or request[1] != "GET":
            return Skipped.METHOD
        if found["status"] not in _VIEWED:
            return Skipped.STATUS
        target = _ORIGIN.sub("", request[2])
        path, mark, query = target.partition("?")
        path = _encode(path if path.startswith("/") else f"/{path}")
        if _is_file(path):
            return Skipped.FILE
        search = _encode(mark + query) if query else ""
        page = {"path": path}
        if self._origin:
            page["url"] = self._origin + path + search
        if search:
            page["search"] = search
        if referrer := _field(found["referrer"]):
            page["referrer"] = _encode(referrer)
        context: dict[str, Any] = {"page": page}
        properties: dict[str, Any] = {"method": "GET", "status": int(found["status"])}
        user_agent = _field(found["user_agent"])
        if user_agent:
            context["userAgent"] = user_agent.encode("latin-1").decode("utf-8", "replace")
        if found["bytes"] != "-":
            properties["bytes"] = int(found["bytes"])
        return {
            "type": "page",
            # Without the host and the user, which could be found by trying all addresses.
            "messageId": identity(self._log, line.start.offset, text[found.start("time") :]),
            "anonymousId": self._visitor(day, found["host"], user_agent),
            "timestamp": moment,
            "context": context,
            "properties": properties,
        }

    def _visitor(self, day: str, host: str, user_agent: str) -> str:
        visitor = f"{day} {host.lower()} {user_agent}".encode("latin-1")
        return hmac.digest(self._secret, visitor, "sha256")[:16].hex()


def _read_time(text: str, zone: tzinfo) -> tuple[str, str]:
    """Return a time such as `17/May/2015:10:05:03 +0200` in ISO 8601, with its offset, and its day in `zone`.

    Raises ValueError and OverflowError for a time that does not exist.
    """
    offset = timedelta(hours=int(text[22:24]), minutes=int(text[24:26]))
    moment = datetime(
        int(text[7:11]),
        _MONTHS.index(text[3:6]) + 1,
        int(text[0:2]),
        int(text[12:14]),
        int(text[15:17]),
        59 if text[18:20] == _LEAP_SECOND else int(text[18:20]),
        tzinfo=timezone(-offset if text[21] == "-" else offset),
    )
    return moment.isoformat(), moment.astimezone(zone).date().isoformat()


def _field(text: str | None) -> str:
    """Return the text of a field, empty if the field is missing or `-`."""
    return "" if text is None or text == "-" else _unescape(text)


def _unescape(text: str) -> str:
    r"""Replace the escapes of Apache and nginx (`\"`, `\\`, `\n`, `\x22`); others are kept as they are."""
    return _ESCAPE.sub(_unescaped, text) if "\\" in text else text


def _unescaped(found: re.Match[str]) -> str:
    return chr(int(found[1], 16)) if found[1] else _ESCAPED.get(found[2], found[0])


def _encode(url: str) -> str:
    """Percent-encode what browsers encode in URLs, so that equal pages have equal paths."""
    return quote_from_bytes(url.encode("latin-1"), safe=_URL_CHARACTERS)


def _is_file(path: str) -> bool:
    _, dot, ending = path.rpartition("/")[2].rpartition(".")
    return bool(dot) and ending.lower() in _FILE_ENDINGS


def _rejected(line: Line, reason: Reason, message: str) -> RejectedLine:
    return RejectedLine(line.end.line, Rejection(reason, message))
