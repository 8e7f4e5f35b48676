"""Isolates a record that a stream cannot process, by bisecting a batch that fails repeatedly.

Pure. The stream persists the state before each attempt, because the record may kill its process: an attempt that a new
process finds unfinished has failed. A failed part is halved, and a successful one doubles the size of the next, until a
single record has failed alone, twice.
"""

import json
import re
from dataclasses import asdict, dataclass, replace

from member_analyzer.records.offsets import Offsets

LARGEST_PART = 1 << 20
# A record is isolated once it has failed this often alone.
FAILURES_ALONE = 2
LONGEST_ERROR = 500
MOST_NAMES = 5

_JAVA_ERROR = re.compile(r"\b(?:[a-z][\w]*\.)+[A-Z]\w*(?:Exception|Error)\b")


@dataclass(frozen=True)
class Isolation:
    """The state of the search. `limit` is the number of records in the next part; 0 if no search is active."""

    starts: int = 0
    """How often a process started with an unfinished batch."""
    limit: int = 0
    is_attempting: bool = False
    failures_alone: int = 0
    rejected_in_a_row: int = 0
    error: str = ""

    @property
    def is_active(self) -> bool:
        """Whether a search is active."""
        return self.limit > 0

    @property
    def has_failed_alone(self) -> bool:
        """Whether the next part is a single record that is isolated."""
        return self.limit == 1 and self.failures_alone >= FAILURES_ALONE

    def restart(self, most_starts: int) -> "Isolation":
        """Return the state of a new process with an unfinished batch; the search begins after `most_starts`."""
        if self.is_attempting:
            return self.fail(self.error or "The process ended.")
        starts = self.starts + 1
        return replace(self, starts=starts, limit=self.limit or (LARGEST_PART if starts >= most_starts else 0))

    def attempt(self, left: int) -> "Isolation":
        """Return the state during an attempt; `left` is the number of remaining offsets of the batch."""
        return replace(self, is_attempting=True, limit=max(1, min(self.limit, left)))

    def fail(self, error: str) -> "Isolation":
        """Return the state after a failed attempt."""
        alone = self.failures_alone + 1 if self.limit == 1 else 0
        return replace(
            self,
            is_attempting=False,
            limit=max(1, self.limit // 2),
            failures_alone=alone,
            error=error[:LONGEST_ERROR],
        )

    def succeed(self) -> "Isolation":
        """Return the state after a successful attempt."""
        return Isolation(starts=self.starts, limit=min(LARGEST_PART, self.limit * 2))

    def reject(self) -> "Isolation":
        """Return the state after the isolated record was rejected."""
        return replace(self.succeed(), rejected_in_a_row=self.rejected_in_a_row + 1, error=self.error)

    def encode(self) -> str:
        """Encode the state as JSON."""
        return json.dumps(asdict(self))

    @classmethod
    def decode(cls, encoded: str | None) -> "Isolation":
        """Decode the result of `encode`; None means no search."""
        return cls() if encoded is None else cls(**json.loads(encoded))


def name_errors(error: Exception) -> str:
    """Return the names of an error and of the Java errors in its text, which itself may contain personal data."""
    names = dict.fromkeys([type(error).__name__, *_JAVA_ERROR.findall(str(error))])
    return " < ".join([*names][:MOST_NAMES])


def next_ends(begins: Offsets, ends: Offsets, limit: int) -> dict[int, int]:
    """Return the end offsets of the next part of up to `limit` records, filled partition by partition.

    Partitions without records in the part are omitted.
    """
    part: dict[int, int] = {}
    for partition in sorted(ends):
        size = min(limit, ends[partition] - begins.get(partition, 0))
        if size > 0:
            part[partition] = begins.get(partition, 0) + size
            limit -= size
    return part
