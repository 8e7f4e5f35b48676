"""Everything again from `landing.users`: after a checkpoint or Cassandra was lost.

The stream begins a new generation, with empty tables and a checkpoint of its own, at the end of the topic as it is now;
all members that are not erased are published again behind that. What lies before it and was not read yet is only looked
at, so that what has to be rejected is.
"""

from dataclasses import dataclass
from datetime import datetime

import structlog

from member_analyzer.analysis.progress import Generation
from member_analyzer.analysis.tables import AnalysisTables
from member_analyzer.kafka.reader import TopicReader
from member_analyzer.kafka.topics import USERS
from member_analyzer.landing.connection import Connection
from member_analyzer.landing.outbox import enqueue_all, pause_publishing

log = structlog.get_logger(__name__)


@dataclass(frozen=True)
class Rebuild:
    """What was asked for: the new generation, and how many members are published again for it."""

    generation: Generation
    members: int


def request_rebuild(connection: Connection, reader: TopicReader, tables: AnalysisTables, now: datetime) -> Rebuild:
    """Enqueue every member again, and ask the stream to count from here on; it may run, stand still or refuse to start.

    What fails on the way leaves the tables as they are, and may be repeated. The days before today stay as they are.
    """
    with connection.transaction():
        # A publisher in the midst of a batch could still send the created event of a member who was erased meanwhile.
        pause_publishing(connection)
        written, oldest = tables.read_progress().written, reader.begin_offsets(USERS)
        generation = Generation(
            now.strftime("%Y%m%dT%H%M%S.%fZ"),
            begin=reader.end_offsets(USERS),
            look_from={partition: max(written.get(partition, -1) + 1, first) for partition, first in oldest.items()},
            topic_id=reader.topic_id(USERS),
        )
        members = enqueue_all(connection)
    # Only now: a generation that nobody publishes for would stay empty.
    tables.want_generation(generation)
    log.info("rebuild.requested", generation=generation.name, members=members)
    return Rebuild(generation, members)
