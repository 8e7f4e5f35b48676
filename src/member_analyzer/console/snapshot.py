"""Results of one component's probes that another component's probes need.

Each field is replaced as a whole, so that any thread may read it.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from member_analyzer.analysis.interactions.reader import Lag
from member_analyzer.analysis.progress import Generation, Progress, count_unread
from member_analyzer.console.rejected_index import RejectedIndex
from member_analyzer.operations.airflow import RunTimes

# Partition -> its oldest and its next offset.
Bounds = Mapping[int, tuple[int, int]]


@dataclass
class Snapshot:
    """The newest result of each kind."""

    bounds: Mapping[str, Bounds] = field(default_factory=dict)
    """By topic."""
    progress: Mapping[str, Progress] = field(default_factory=dict)
    """By query of the stream."""
    generation: Generation = field(default_factory=Generation)
    interactions: Lag = field(default_factory=Lag)
    """How far the stream has counted the interactions."""
    refusals: Mapping[str, str] = field(default_factory=dict)
    """Why streams refuse to start, by topic."""
    runs: Mapping[str, Sequence[RunTimes]] = field(default_factory=dict)
    """By DAG, newest first."""
    rejected: RejectedIndex = field(default_factory=RejectedIndex)

    def count_unread(self, query: str, bounds: Bounds) -> dict[int, int]:
        """Lag of a query in each partition of `users`; its progress must be known."""
        return count_unread(bounds, self.progress[query].written, self.generation.look_from)
