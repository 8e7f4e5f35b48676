"""What a stream does with the records of its topic."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Protocol

from pyspark.sql import DataFrame

from member_analyzer.analysis.live_progress import LiveProgress
from member_analyzer.analysis.progress_tables import ProgressTables
from member_analyzer.streaming.batch import Round


@dataclass(frozen=True)
class Part:
    """A part of a batch: the rows of Spark's Kafka source, how many offsets they cover, and the last ones."""

    rows: DataFrame
    size: int
    positions: Mapping[int, int]


class Sink(Protocol):
    """Writes the records of one stream to Cassandra, and the rejected ones to its dead letter topic.

    Only one thread calls it at a time, with the lock of `live`.
    """

    @property
    def tables(self) -> ProgressTables:
        """The tables of the stream's progress."""

    @property
    def live(self) -> LiveProgress:
        """The progress; `load` reads it."""

    @property
    def largest_batch(self) -> int | None:
        """The largest number of offsets of a batch, if it is limited."""

    @property
    def remedy(self) -> str:
        """What to do if the tables and the topic are not consistent, as the end of a sentence."""

    def load(self) -> None:
        """Read the state from Cassandra."""

    def begin_round(self, begun: Round) -> None:
        """Use these schemas and this generation."""

    def write(self, part: Part) -> None:
        """Write rows and dead letters, count the records once, and record the progress. Idempotent."""

    def maintain(self) -> None:
        """Do what is due without records."""
