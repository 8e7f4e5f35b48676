"""Imports files of interactions: web logs, NDJSON and CSV.

An import is resumable and idempotent: the position in the file is stored after the interactions before it are in Kafka,
and interactions that are written again have the same message ids.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from enum import StrEnum
from itertools import islice
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import structlog

from member_analyzer.landing.connection import Connection
from member_analyzer.landing.imports import ImportProgress, read_progress, write_progress
from member_analyzer.landing.sources import Source, read_sources
from member_analyzer.publishing.topic_encoder import TopicEncoder
from member_analyzer.publishing.transactions import TopicRecord, TransactionalWriter
from member_analyzer.records.rejection import RecordRejectedError
from member_analyzer.sources.event_files import identify_csv, identify_ndjson, read_csv, read_ndjson
from member_analyzer.sources.lines import Position, RejectedLine
from member_analyzer.sources.web_logs import Skipped, identify_web_log, read_web_log
from member_analyzer.streams.interactions.batch import read_items
from member_analyzer.streams.interactions.clock import read_time
from member_analyzer.streams.interactions.rejected_item import write_rejected_item
from member_analyzer.streams.interactions.tracking import read_interaction
from member_analyzer.streams.interactions.user_agents import classify_user_agent

log = structlog.get_logger(__name__)

LINES_AT_ONCE = 2000
WRITE_SECONDS = 60
TRANSACTIONAL_ID = "member-analyzer-import"

Entry = dict[str, Any] | RejectedLine | Skipped


class FileFormat(StrEnum):
    """The formats that can be imported."""

    WEB_LOG = "web_log"
    NDJSON = "ndjson"
    CSV = "csv"


class ImportFileError(ValueError):
    """Raised for a file or a source that cannot be used; the message states what to correct."""


@dataclass(frozen=True)
class ImportFile:
    """A file of a source; `site`, such as `https://shop.example`, completes the paths of a web log to URLs."""

    path: Path
    format: FileFormat
    source: Source
    site: str | None = None

    def identify(self) -> str:
        """Return an identity that the file keeps when it is renamed, compressed or extended. Raises OSError."""
        identify = {
            FileFormat.WEB_LOG: identify_web_log,
            FileFormat.NDJSON: identify_ndjson,
            FileFormat.CSV: identify_csv,
        }
        return f"{self.format.value}:{identify[self.format](self.path)}"

    def read(self, start: Position) -> Iterator[tuple[Position, Entry]]:
        """Yield what each line contains, and the position after it. Raises ValueError and OSError."""
        match self.format:
            case FileFormat.WEB_LOG:
                zone = ZoneInfo(self.source.time_zone)
                # A server may still be writing the last line.
                yield from read_web_log(
                    self.path, secret=self.source.salt, zone=zone, site=self.site, start=start, is_complete=False
                )
            case FileFormat.NDJSON:
                yield from read_ndjson(self.path, start=start)
            case FileFormat.CSV:
                yield from read_csv(self.path, start=start)


def find_file(directory: Path | None, name: str) -> Path:
    """Return a file below the directory of imports. Raises ImportFileError."""
    if directory is None:
        raise ImportFileError("There is no directory of imports: set IMPORT_DIRECTORY.")
    path = (directory / name).resolve()
    if not path.is_relative_to(directory.resolve()):
        raise ImportFileError(f"{name!r} is not in the directory of imports.")
    if not path.is_file():
        raise ImportFileError(f"There is no file {name!r} in the directory of imports, {directory}.")
    return path


def find_active_source(connection: Connection, name: str) -> Source:
    """Return an active source by name. Raises ImportFileError."""
    for source in read_sources(connection).values():
        if source.name == name and source.revoked_at is None:
            return source
    raise ImportFileError(f"There is no active source {name!r}: create it with `member-analyzer sources create`.")


def import_file(
    file: ImportFile, connection: Connection, writer: TransactionalWriter, encoder: TopicEncoder
) -> ImportProgress:
    """Import what was not imported of a file; return the progress of the whole file.

    Raises ImportFileError for a file that cannot be read or has become shorter, and KafkaUnavailableError; what was
    imported until then stays imported.
    """
    try:
        name = file.identify()
        progress = read_progress(connection, file.source.name, name)
        entries = file.read(Position(progress.byte_offset, progress.lines))
        while batch := list(islice(entries, LINES_AT_ONCE)):
            records, counted = encode_entries(file.source, [entry for _, entry in batch], encoder)
            writer.write(records).result(WRITE_SECONDS)
            end = batch[-1][0]
            progress = ImportProgress(
                end.offset,
                end.line,
                progress.accepted + counted.accepted,
                progress.rejected + counted.rejected,
                progress.skipped + counted.skipped,
            )
            write_progress(connection, file.source.name, name, progress)
            log.info("interactions.imported", source=file.source.name, lines=progress.lines, accepted=progress.accepted)
    except (OSError, ValueError) as error:
        raise ImportFileError(f"{file.path.name} cannot be imported: {error}") from error
    return progress


def encode_entries(
    source: Source, entries: list[Entry], encoder: TopicEncoder
) -> tuple[list[TopicRecord], ImportProgress]:
    """Return the records of entries, and their numbers by outcome.

    The time of receipt of an imported interaction is its own time: it is as old as it says.
    """
    records: list[TopicRecord] = []
    accepted = rejected = skipped = 0
    now, zone = datetime.now(UTC), ZoneInfo(source.time_zone)
    for entry in entries:
        match entry:
            case Skipped():
                skipped += 1
            case RejectedLine():
                rejected += 1
                message = entry.rejection.message
                log.warning("interactions.line_rejected", source=source.name, line=entry.number, cause=message)
            case _:
                for item in read_items(None, entry):
                    at = min(now, read_time(entry.get("timestamp")) or now)
                    try:
                        record = read_interaction(
                            item, source=source.name, zone=zone, received_at=at, classify=classify_user_agent
                        )
                    except RecordRejectedError as error:
                        rejected += 1
                        kept = write_rejected_item(item)
                        records.append(encoder.encode_rejected(kept, error.rejection, source.name, at))
                    else:
                        accepted += 1
                        records.append(encoder.encode(record))
    return records, ImportProgress(accepted=accepted, rejected=rejected, skipped=skipped)
