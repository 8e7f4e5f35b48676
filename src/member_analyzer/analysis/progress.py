"""How far a stream came, and which generation its tables are of."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import date, datetime

from member_analyzer.records.offsets import Offsets

# The one query of a stream, as its progress and its checkpoint call it.
QUERY = "stream"


@dataclass(frozen=True)
class Progress:
    """How far the stream came, as the highest Kafka offset of each partition, and in which day's partitions it counts.

    `written` is what is counted and whose rows are written, `writing` what is counted. Each change of the counts has a
    number; where `applied` is another one, some tables may lack the values of the journal. `erasures` is how many
    members were erased.
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
        """Whether all that is counted is in the tables, and its rows too."""
        return self.number == self.applied and dict(self.written) == dict(self.writing)


@dataclass(frozen=True)
class Generation:
    """One life of a stream's counts: its name, and the next offsets of each Kafka partition when it began.

    Records are counted from `begin` on; those between `look_from` and there are only rejected where they break a rule.
    """

    name: str = "first"
    begin: Offsets = field(default_factory=dict)
    look_from: Offsets = field(default_factory=dict)
    topic_id: str = ""
    """Kafka's id of the topic that the offsets are of; a topic that is deleted and made again has another one."""


@dataclass(frozen=True)
class Generations:
    """The generation that the tables are of, and another one where a rebuild wants that."""

    current: Generation
    wanted: Generation | None


def count_unread(bounds: Mapping[int, tuple[int, int]], written: Offsets, begin: Offsets) -> dict[int, int]:
    """How many records of each partition the stream has not written yet.

    `bounds` are the oldest and the next offset of each partition, `written` the stream's progress, `begin` the offsets
    from which its generation reads.
    """
    return {
        partition: max(0, end - max(written.get(partition, -1) + 1, begin.get(partition, 0), oldest))
        for partition, (oldest, end) in bounds.items()
    }
