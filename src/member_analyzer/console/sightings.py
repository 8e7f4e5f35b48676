"""What one station's look saw that another one needs; each is replaced as a whole, so that any thread may read it."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from member_analyzer.analysis.progress import Generation, Progress, count_unread
from member_analyzer.console.rejected_index import RejectedIndex
from member_analyzer.operations.airflow import RunTimes

# Partition -> its oldest and its next offset.
Bounds = Mapping[int, tuple[int, int]]


@dataclass
class Sightings:
    """The newest of each."""

    bounds: Mapping[str, Bounds] = field(default_factory=dict)
    """By topic."""
    progress: Mapping[str, Progress] = field(default_factory=dict)
    """By query of the stream."""
    generation: Generation = field(default_factory=Generation)
    runs: Mapping[str, Sequence[RunTimes]] = field(default_factory=dict)
    """By DAG, the newest first."""
    rejected: RejectedIndex = field(default_factory=RejectedIndex)

    def count_unread(self, query: str, bounds: Bounds) -> dict[int, int]:
        """How many records of each partition of `users` a query has still to write; its progress has to be known."""
        return count_unread(bounds, self.progress[query].written, self.generation.look_from)
