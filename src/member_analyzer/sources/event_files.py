"""Files of events: NDJSON, with one item of the tracking API in each line, and CSV.

The columns of a CSV file are named in its first row: `type`, `event`, `user_id`, `anonymous_id`, `timestamp`,
`message_id`, `url`, `referrer`, `user_agent` and any `properties.NAME`, in any order. Empty cells are missing values;
without a type, a row with an event is a `track`, and another one a `page`. Rows are separated as in RFC 4180, in UTF-8.

Items without a message id get one from the file, the place in it, and the text, so that the same file gives the same.
"""

import csv
import json
from collections import deque
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, NoReturn
from urllib.parse import urlsplit

import orjson

from member_analyzer.records.rejection import Reason, Rejection
from member_analyzer.sources.lines import (
    BEGINNING,
    LONGEST_LINE_BYTES,
    DamagedFileError,
    Line,
    Position,
    RejectedLine,
    first_lines,
    identity,
    read_lines,
    too_long,
)

# Line breaks in a cell are rare; without a limit, a missing quotation mark would swallow the rows after it.
MOST_LINES_OF_ROW = 100

_COLUMNS = {
    "type": ("type",),
    "event": ("event",),
    "user_id": ("userId",),
    "anonymous_id": ("anonymousId",),
    "timestamp": ("timestamp",),
    "message_id": ("messageId",),
    "url": ("context", "page", "url"),
    "referrer": ("context", "page", "referrer"),
    "user_agent": ("context", "userAgent"),
}
_PROPERTY = "properties."

_NOT_UTF_8 = Rejection(Reason.UNREADABLE_TEXT, "The line is not text in UTF-8.")
_NO_JSON = Rejection(Reason.UNDECODABLE, "The line is not JSON.")
_NO_OBJECT = Rejection(Reason.NOT_AN_OBJECT, "The line is not a JSON object.")
_NO_ROW = Rejection(Reason.UNDECODABLE, "The line does not begin a row of CSV: its quotation marks do not match.")
_LONG_ROW = Rejection(
    Reason.TEXT_TOO_LONG,
    f"The row is longer than {LONGEST_LINE_BYTES} bytes or {MOST_LINES_OF_ROW} lines; a quotation mark may be missing.",
)

Items = Iterator[tuple[Position, dict[str, Any] | RejectedLine]]


class CsvHeaderError(ValueError):
    """Raised for a CSV file whose first row does not name known columns, once each."""


def read_ndjson(path: Path, *, start: Position = BEGINNING, is_complete: bool = True) -> Items:
    """Read the items of a plain or compressed NDJSON file; empty lines are ignored.

    Yields the position after each line, from which reading can continue. Without `is_complete`, a last line without a
    line break is left for the next time. Raises ValueError if no line begins at `start`, and OSError.
    """
    file = identify_ndjson(path)
    try:
        for line in read_lines(path, start, is_complete=is_complete):
            if line.text is None:
                yield line.end, too_long(line)
            elif line.text.strip():
                yield line.end, _read_item(file, line, line.text)
    except DamagedFileError as error:
        yield error.position, error.rejected


def identify_ndjson(path: Path) -> str:
    """Return an identity that a file keeps when it is renamed, compressed or extended. Raises OSError."""
    return identity(*(line.text or b"" for line in first_lines(path, 1)))


def read_csv(path: Path, *, start: Position = BEGINNING, is_complete: bool = True) -> Items:
    """Read the rows of a plain or compressed CSV file as items; like `read_ndjson`.

    Raises CsvHeaderError as well, before the first row.
    """
    file = identify_csv(path)
    columns: list[str] = []
    for header in first_lines(path, 1, is_complete=is_complete):
        columns = _read_header(header)
        start = max(start, header.end, key=lambda position: position.offset)
    damaged: list[DamagedFileError] = []
    lines = _until_damaged(read_lines(path, start, is_complete=is_complete), damaged)
    for row, cells in _rows(lines, is_complete):
        if isinstance(cells, Rejection):
            yield row[-1].end, RejectedLine(row[0].end.line, cells)
        elif len(cells) != len(columns):
            message = f"The row has {len(cells)} cells, but there are {len(columns)} columns."
            yield row[-1].end, RejectedLine(row[0].end.line, Rejection(Reason.UNDECODABLE, message))
        elif any(cells):
            yield row[-1].end, _convert(file, row, dict(zip(columns, cells, strict=True)))
    for error in damaged:
        yield error.position, error.rejected


def identify_csv(path: Path) -> str:
    """Return an identity that a file keeps when it is renamed, compressed or extended. Raises OSError.

    It depends on the first row after the header, too: many files have the same columns.
    """
    return identity(*(line.text or b"" for line in first_lines(path, 2)))


def _read_item(file: str, line: Line, text: bytes) -> dict[str, Any] | RejectedLine:
    try:
        item = _parse(text)
    except UnicodeDecodeError:
        return RejectedLine(line.end.line, _NOT_UTF_8)
    except (ValueError, RecursionError):
        return RejectedLine(line.end.line, _NO_JSON)
    if not isinstance(item, dict):
        return RejectedLine(line.end.line, _NO_OBJECT)
    if item.get("messageId") in (None, ""):
        item["messageId"] = identity(file, line.start.offset, text)
    return item


def _parse(text: bytes) -> Any:
    try:
        return orjson.loads(text)
    except orjson.JSONDecodeError:
        # Python's parser also accepts lone surrogates, which are the business of the item's own rules.
        return json.loads(text.decode(), parse_constant=_refuse)


def _refuse(constant: str) -> NoReturn:
    raise ValueError(f"{constant} is not JSON")


def _read_header(line: Line) -> list[str]:
    try:
        text = "" if line.text is None else line.text.decode()
        columns = [name.strip() for name in next(csv.reader([text], strict=True), [])]
    except (UnicodeDecodeError, csv.Error):
        raise CsvHeaderError("The first row of the file is not CSV in UTF-8.") from None
    unknown = [name for name in columns if name not in _COLUMNS and not _is_property(name)]
    if unknown or not columns:
        known = ", ".join((*_COLUMNS, "properties.NAME"))
        raise CsvHeaderError(f"Unknown columns {', '.join(map(repr, unknown))}; the columns are {known}.")
    if twice := sorted({name for name in columns if columns.count(name) > 1}):
        raise CsvHeaderError(f"The columns {', '.join(twice)} occur more than once.")
    return columns


def _is_property(name: str) -> bool:
    return name.startswith(_PROPERTY) and name != _PROPERTY


def _until_damaged(lines: Iterator[Line], damaged: list[DamagedFileError]) -> Iterator[Line]:
    """The lines of a file; if it is damaged, the error is added to `damaged` at the end."""
    try:
        yield from lines
    except DamagedFileError as error:
        damaged.append(error)


class _RowError(Exception):
    def __init__(self, rejection: Rejection) -> None:
        super().__init__(rejection.message)
        self.rejection = rejection


def _rows(lines: Iterator[Line], is_complete: bool) -> Iterator[tuple[list[Line], list[str] | Rejection]]:
    """The cells of each row with its lines. A line that begins no row is rejected alone, and reading goes on after it.

    Without `is_complete`, a last row with an open quotation mark is left.
    """
    waiting: deque[Line] = deque()

    def pull() -> Line | None:
        return waiting.popleft() if waiting else next(lines, None)

    while (first := pull()) is not None:
        if first.text == b"":
            continue
        row = [first]
        try:
            cells = next(csv.reader(_texts(row, pull), strict=True))
        except _RowError as error:
            rejection = error.rejection
        except csv.Error:
            rejection = _NO_ROW
            if not is_complete:
                if (after := pull()) is None:
                    return
                waiting.appendleft(after)
        else:
            yield row, cells
            continue
        waiting.extendleft(reversed(row[1:]))
        yield row[:1], rejection


def _texts(row: list[Line], pull: Callable[[], Line | None]) -> Iterator[str]:
    """The text of the first line of a row, and of as many more as the parser asks for, which are added to the row."""
    line: Line | None = row[0]
    length = 0
    while line is not None:
        length += line.end.offset - line.start.offset
        if line.text is None or length > LONGEST_LINE_BYTES + 2 or len(row) > MOST_LINES_OF_ROW:
            raise _RowError(_LONG_ROW if len(row) > 1 else too_long(line).rejection)
        try:
            yield line.text.decode() + "\n"
        except UnicodeDecodeError:
            raise _RowError(_NOT_UTF_8) from None
        if (line := pull()) is not None:
            row.append(line)


def _convert(file: str, row: list[Line], cells: dict[str, str]) -> dict[str, Any]:
    item: dict[str, Any] = {"type": "track" if cells.get("event") else "page"}
    for name, text in cells.items():
        if text:
            *parents, key = _COLUMNS.get(name) or ("properties", name.removeprefix(_PROPERTY))
            place = item
            for parent in parents:
                place = place.setdefault(parent, {})
            place[key] = text
    if "url" in (page := item.get("context", {}).get("page", {})):
        page |= _split(page["url"])
    if "messageId" not in item:
        item["messageId"] = identity(file, row[0].start.offset, *(line.text or b"" for line in row))
    return item


def _split(url: str) -> dict[str, str]:
    """The path and the query of a URL, as the SDKs send them."""
    try:
        parts = urlsplit(url)
    except ValueError:
        return {}
    return {"path": parts.path or "/"} | ({"search": f"?{parts.query}"} if parts.query else {})
