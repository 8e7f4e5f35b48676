"""Rebuilds the counts, after the loss of a checkpoint or of Cassandra.

A stream whose records are landed is rebuilt from the landing tables; one whose records are written to the topic
directly, from the topic.

The stream begins a new generation, with empty tables and a new checkpoint, at the current end of the topic; all records
that are not erased are published again after it. Unread records before it are only validated, so that invalid ones are
rejected.
"""

from dataclasses import dataclass
from datetime import datetime

import structlog

from member_analyzer.analysis.progress import Generation, count_unread
from member_analyzer.analysis.progress_tables import ProgressTables
from member_analyzer.analysis.tables import AnalysisTables
from member_analyzer.kafka.reader import TopicReader
from member_analyzer.landing.connection import Connection
from member_analyzer.landing.outbox import enqueue_all, pause_publishing
from member_analyzer.streams.definition import Topic

log = structlog.get_logger(__name__)


@dataclass(frozen=True)
class Rebuild:
    """The requested generation, and the number of records to publish again."""

    generation: Generation
    records: int


def request_rebuild(connection: Connection, reader: TopicReader, tables: AnalysisTables, now: datetime) -> Rebuild:
    """Queue every record of the stream again, and request a new generation.

    The stream may be running, stopped, or refusing to start. A failure leaves the tables unchanged, and the request can
    be repeated. Previous days stay unchanged.
    """
    with connection.transaction():
        # A publisher's current batch could contain the created event of a record that was erased meanwhile.
        pause_publishing(connection)
        definition = tables.definition
        bounds, topic_id = reader.bounds(definition.topic), reader.topic_id(definition.topic)
        # Offsets of a topic that was deleted and created again since mean nothing in the new one.
        is_same = tables.read_generations().current.topic_id in ("", topic_id)
        written = tables.read_progress().written if is_same else {}
        generation = Generation(
            _name(now),
            begin={partition: end for partition, (_, end) in bounds.items()},
            look_from={
                partition: max(written.get(partition, -1) + 1, oldest) for partition, (oldest, _) in bounds.items()
            },
            topic_id=topic_id,
        )
        records = enqueue_all(connection, definition)
    # After the commit: without the queued records the new generation would stay empty.
    tables.want_generation(generation)
    log.info("rebuild.requested", stream=definition.name, generation=generation.name, records=records)
    return Rebuild(generation, records)


def request_topic_rebuild(reader: TopicReader, tables: ProgressTables, topic: Topic, now: datetime) -> Generation:
    """Request a new generation that counts the records which the topic still holds.

    The stream may be running, stopped, or refusing to start.
    """
    oldest = {partition: begin for partition, (begin, _) in reader.bounds(topic).items()}
    generation = Generation(_name(now), begin=oldest, look_from=oldest, topic_id=reader.topic_id(topic))
    tables.want_generation(generation)
    log.info("rebuild.requested", topic=topic.name, generation=generation.name)
    return generation


def has_counted(tables: ProgressTables) -> bool:
    """Whether the stream has counted any record of its current generation."""
    return any(offset >= 0 for offset in tables.read_progress().written.values())


def has_rebuilt(reader: TopicReader, tables: ProgressTables, topic: Topic, generation: Generation) -> bool:
    """Whether the stream has counted all records of the topic in a generation."""
    progress = tables.read_progress()
    return (
        tables.read_generations().current.name == generation.name
        and progress.is_settled
        and not any(count_unread(reader.bounds(topic), progress.written, generation.look_from).values())
    )


def _name(now: datetime) -> str:
    return now.strftime("%Y%m%dT%H%M%S.%fZ")
