"""How far files of interactions are imported."""

from dataclasses import dataclass

from member_analyzer.landing.connection import Connection


@dataclass(frozen=True)
class ImportProgress:
    """Everything of a file before a position is imported; the counts are numbers of lines by outcome.

    `byte_offset` is a number of bytes, decompressed; `lines` is the number of lines before it.
    """

    byte_offset: int = 0
    lines: int = 0
    accepted: int = 0
    rejected: int = 0
    skipped: int = 0


def read_progress(connection: Connection, source: str, file: str) -> ImportProgress:
    """Return the progress of a file of a source; at the beginning if it was never imported."""
    row = connection.execute(
        "SELECT byte_offset, lines, accepted, rejected, skipped FROM landing.imports WHERE source = %s AND file = %s",
        (source, file),
    ).fetchone()
    return ImportProgress(*row) if row is not None else ImportProgress()


def write_progress(connection: Connection, source: str, file: str, progress: ImportProgress) -> None:
    """Store the progress of a file of a source, unless more of it is imported already."""
    connection.execute(
        "INSERT INTO landing.imports AS known (source, file, byte_offset, lines, accepted, rejected, skipped) "
        "VALUES (%s, %s, %s, %s, %s, %s, %s) ON CONFLICT (source, file) DO UPDATE SET "
        "byte_offset = excluded.byte_offset, lines = excluded.lines, accepted = excluded.accepted, "
        "rejected = excluded.rejected, skipped = excluded.skipped, imported_at = clock_timestamp() "
        "WHERE known.byte_offset < excluded.byte_offset",
        (
            *(source, file, progress.byte_offset, progress.lines),
            *(progress.accepted, progress.rejected, progress.skipped),
        ),
    )
