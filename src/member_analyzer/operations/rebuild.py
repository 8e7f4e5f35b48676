"""Rebuilds the counts from the landing tables, after the loss of a checkpoint or of Cassandra.

The stream begins a new generation, with empty tables and a new checkpoint, at the current end of the topic; all records
that are not erased are published again after it. Unread records before it are only validated, so that invalid ones are
rejected.
"""

from dataclasses import dataclass
from datetime import datetime

import structlog

from member_analyzer.analysis.progress import Generation
from member_analyzer.analysis.tables import AnalysisTables
from member_analyzer.kafka.reader import TopicReader
from member_analyzer.landing.connection import Connection
from member_analyzer.landing.outbox import enqueue_all, pause_publishing

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
            now.strftime("%Y%m%dT%H%M%S.%fZ"),
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
