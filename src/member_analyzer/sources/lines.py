"""Lines of a plain or compressed file, read from any position in constant memory."""

import bz2
import gzip
import hashlib
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from io import BufferedReader
from pathlib import Path

from member_analyzer.records.rejection import Reason, Rejection

# As long as an item of the tracking API.
LONGEST_LINE_BYTES = 32 * 1024
_CHUNK_BYTES = 1024 * 1024

_GZIP, _BZIP2 = b"\x1f\x8b", b"BZh"
_BYTE_ORDER_MARK = b"\xef\xbb\xbf"


@dataclass(frozen=True, slots=True)
class Position:
    """Where a line begins: the number of bytes, decompressed, and of lines before it."""

    offset: int
    line: int


BEGINNING = Position(offset=0, line=0)


@dataclass(frozen=True, slots=True)
class Line:
    """A line without its line break, or None if it is too long, and the positions before and after it."""

    start: Position
    end: Position
    text: bytes | None


@dataclass(frozen=True, slots=True)
class RejectedLine:
    """Why a line is rejected; lines are numbered from 1."""

    number: int
    rejection: Rejection


class DamagedFileError(Exception):
    """Raised where a compressed file ends early or cannot be decompressed."""

    def __init__(self, position: Position) -> None:
        super().__init__(f"The compressed file is damaged after line {position.line}.")
        self.position = position
        self.rejected = RejectedLine(position.line + 1, Rejection(Reason.UNDECODABLE, str(self)))


def read_lines(path: Path, start: Position = BEGINNING, *, is_complete: bool = True) -> Iterator[Line]:
    """Read the lines from `start` on of a file that is plain or compressed with gzip or bzip2, whatever its name.

    Without `is_complete`, a last line without a line break is left for the next time: it may not be whole yet.
    Raises ValueError if no line begins at `start`, DamagedFileError, and OSError.
    """
    position = start
    with _open(path) as file:
        try:
            _go_to(file, start.offset)
            while text := file.readline(LONGEST_LINE_BYTES + 1):
                length, is_too_long = len(text), False
                while not text.endswith(b"\n") and (more := file.readline(_CHUNK_BYTES)):
                    text, length, is_too_long = more, length + len(more), True
                if not is_complete and not text.endswith(b"\n"):
                    return
                end = Position(position.offset + length, position.line + 1)
                yield Line(position, end, None if is_too_long else _strip(text, position))
                position = end
        except (EOFError, zlib.error) as error:
            raise DamagedFileError(position) from error
        except OSError as error:
            # Errors of the system have a number; gzip and bz2 raise the same type for wrong data.
            if error.errno is None:
                raise DamagedFileError(position) from error
            raise


def first_lines(path: Path, count: int, *, is_complete: bool = True) -> list[Line]:
    """Return the first lines that are neither empty nor too long, without an error if the file is damaged.

    Raises OSError.
    """
    found: list[Line] = []
    try:
        for line in read_lines(path, is_complete=is_complete):
            found += [line] if line.text else []
            if len(found) == count:
                break
    except DamagedFileError:
        # Reading the file reports it.
        pass
    return found


def too_long(line: Line) -> RejectedLine:
    """Return the rejection of a line that is too long."""
    message = f"The line is longer than {LONGEST_LINE_BYTES} bytes."
    return RejectedLine(line.end.line, Rejection(Reason.TEXT_TOO_LONG, message))


def identity(*parts: bytes | str | int) -> str:
    """Return 32 hexadecimal digits that identify these parts."""
    encoded = (part if isinstance(part, bytes) else str(part).encode() for part in parts)
    return hashlib.sha256(b"\n".join(encoded)).hexdigest()[:32]


def _open(path: Path) -> BufferedReader | gzip.GzipFile | bz2.BZ2File:
    with path.open("rb") as file:
        beginning = file.read(3)
    if beginning.startswith(_GZIP):
        return gzip.open(path)
    if beginning.startswith(_BZIP2):
        return bz2.open(path)
    return BufferedReader(path.open("rb", buffering=0), _CHUNK_BYTES)


def _go_to(file: BufferedReader | gzip.GzipFile | bz2.BZ2File, offset: int) -> None:
    if offset == 0:
        return
    file.seek(offset - 1)
    before = file.read(1)
    if not before or (before != b"\n" and file.peek(1)):
        raise ValueError(f"No line begins at byte {offset}: this is not the file that was read before.")


def _strip(text: bytes, start: Position) -> bytes:
    text = text.removesuffix(b"\n").removesuffix(b"\r")
    return text.removeprefix(_BYTE_ORDER_MARK) if start.offset == 0 else text
