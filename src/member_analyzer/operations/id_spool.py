"""Ids from several sources, partitioned on disk so that one partition at a time fits into memory.

All entries of an id are in the same partition, so sets of ids can be compared partition by partition. The comparison is
exact: ids are stored, not digests.
"""

import struct
import tempfile
from collections.abc import Iterator
from types import TracebackType
from typing import Self
from zlib import crc32

PARTS = 512
# The write buffer of each part: 16 MB in total.
CHUNK_BYTES = 32 * 1024

# Source and length of the id that follows.
_ENTRY = struct.Struct(">BI")


class SpoolError(RuntimeError):
    """Raised when ids cannot be written."""


class IdSpool:
    """Entries of (source, id) in an unnamed temporary file, which disappears with the process."""

    def __init__(self, sources: int, *, parts: int = PARTS, chunk_bytes: int = CHUNK_BYTES) -> None:
        self._sources = sources
        self._chunk_bytes = chunk_bytes
        self._gathered = [bytearray() for _ in range(parts)]
        self._chunks: list[list[tuple[int, int]]] = [[] for _ in range(parts)]
        self._file = tempfile.TemporaryFile()  # noqa: SIM115
        self._end = 0

    def __enter__(self) -> Self:
        """Return the spool."""
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Delete the file."""
        self._file.close()

    def add(self, source: int, name: str) -> None:
        """Add an id of a source, which is a number below `sources`."""
        written = name.encode()
        part = crc32(written) % len(self._gathered)
        gathered = self._gathered[part]
        gathered += _ENTRY.pack(source, len(written))
        gathered += written
        if len(gathered) >= self._chunk_bytes:
            try:
                self._file.write(gathered)
            except OSError as error:
                raise SpoolError(
                    f"{error.strerror} in {tempfile.gettempdir()}, where the audit stores ids: "
                    "set TMPDIR to a folder with more space."
                ) from error
            self._chunks[part].append((self._end, len(gathered)))
            self._end += len(gathered)
            gathered.clear()

    def read_parts(self) -> Iterator[list[set[str]]]:
        """Yield the parts, each as the set of ids of every source."""
        for chunks, gathered in zip(self._chunks, self._gathered, strict=True):
            ids: list[set[str]] = [set() for _ in range(self._sources)]
            for begin, length in chunks:
                self._file.seek(begin)
                _read_entries(self._file.read(length), ids)
            _read_entries(gathered, ids)
            yield ids


def _read_entries(entries: bytes | bytearray, ids: list[set[str]]) -> None:
    place = 0
    while place < len(entries):
        source, length = _ENTRY.unpack_from(entries, place)
        place += _ENTRY.size + length
        ids[source].add(entries[place - length : place].decode())
