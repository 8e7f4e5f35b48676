"""The progress and the generation of a stream."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import date, datetime

from member_analyzer.records.offsets import Offsets

# The name of a stream's query in its progress and its checkpoint.
QUERY = "stream"


@dataclass(frozen=True)
class Progress:
    """The progress of a stream, as the highest offset of each Kafka partition, and the day that it counts in.

    Up to `writing` records are counted; up to `written` their rows are written as well. Each change of the counts has a
    `number`; unless `applied` equals it, the tables may lack values of the journal. `erasures` counts erased records.
    """

    analysis_date: date | None = None
    written: Offsets = field(default_factory=dict)
    writing: Offsets = field(default_factory=dict)
    updated_at: datetime | None = None
    number: int = 0
    applied: int = 0
    erasures: int = 0

    @property
    def is_settled(self) -> bool:
        """Whether all counts and rows are written."""
        return self.number == self.applied and dict(self.written) == dict(self.writing)


@dataclass(frozen=True)
class Generation:
    """A generation of a stream's counts; a rebuild starts a new one.

    Records are counted from the offsets `begin` on; from `look_from` up to `begin` they are only validated, so that
    invalid ones are rejected.
    """

    name: str = "first"
    begin: Offsets = field(default_factory=dict)
    look_from: Offsets = field(default_factory=dict)
    topic_id: str = ""
    """The Kafka topic id of the offsets, which changes when a topic is deleted and recreated."""


@dataclass(frozen=True)
class Generations:
    """The current generation of the tables, and the one that a rebuild wants, if any."""

    current: Generation
    wanted: Generation | None


def count_unread(bounds: Mapping[int, tuple[int, int]], written: Offsets, begin: Offsets) -> dict[int, int]:
    """Count the records of each partition that the stream has not written yet.

    `bounds` are the oldest and the end offset of each partition, `written` the stream's progress, `begin` the offsets
    from which its generation reads.
    """
    return {
        partition: max(0, end - max(written.get(partition, -1) + 1, begin.get(partition, 0), oldest))
        for partition, (oldest, end) in bounds.items()
    }
