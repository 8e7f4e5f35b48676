"""What one station's look saw that another one needs; each is replaced as a whole, so that any thread may read it."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from member_analyzer.airflow_api import RunTimes
from member_analyzer.tables import Generation, Progress

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
