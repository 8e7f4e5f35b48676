"""Counts everything again from the landing tables: after a checkpoint or Cassandra was lost.

The stream begins a new generation, with empty tables and a checkpoint of its own, at the end of the topic as it is now;
all records that are not erased are published again behind that. What lies before it and was not read yet is only looked
at, so that what has to be rejected is.
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
    """What was asked for: the new generation, and how many records are published again for it."""

    generation: Generation
    records: int


def request_rebuild(connection: Connection, reader: TopicReader, tables: AnalysisTables, now: datetime) -> Rebuild:
    """Queue every record of the tables' stream again, and ask the stream to count from here on.

    The stream may run, be stopped, or refuse to start.

    What fails on the way leaves the tables as they are, and may be repeated. The days before today stay as they are.
    """
    with connection.transaction():
        # A publisher in the midst of a batch could still send the created event of a record that was erased meanwhile.
        pause_publishing(connection)
        definition = tables.definition
        written, oldest = tables.read_progress().written, reader.begin_offsets(definition.topic)
        generation = Generation(
            now.strftime("%Y%m%dT%H%M%S.%fZ"),
            begin=reader.end_offsets(definition.topic),
            look_from={partition: max(written.get(partition, -1) + 1, first) for partition, first in oldest.items()},
            topic_id=reader.topic_id(definition.topic),
        )
        records = enqueue_all(connection, definition)
    # Only now: a generation that nobody publishes for would stay empty.
    tables.want_generation(generation)
    log.info("rebuild.requested", stream=definition.name, generation=generation.name, records=records)
    return Rebuild(generation, records)
