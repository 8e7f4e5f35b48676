"""The search for a record that a stream cannot process, by bisection over a batch that keeps failing.

Pure. The stream writes the state down before each attempt, because what it looks for may kill its process: an attempt
that a new process finds begun has failed. A part that fails is halved, one that succeeds lets the next one be twice as
large, until a single record has failed alone, twice.
"""

import json
import re
from dataclasses import asdict, dataclass, replace

from member_analyzer.records.offsets import Offsets

LARGEST_PART = 1 << 20
# A single record is to blame once it failed so often by itself.
FAILURES_ALONE = 2
LONGEST_ERROR = 500
MOST_NAMES = 5

_JAVA_ERROR = re.compile(r"\b(?:[a-z][\w]*\.)+[A-Z]\w*(?:Exception|Error)\b")


@dataclass(frozen=True)
class Isolation:
    """How far the search came. `limit` is the number of records in the next part; 0 while there is no search."""

    starts: int = 0
    """How often a process began while a batch was unfinished."""
    limit: int = 0
    is_attempting: bool = False
    failures_alone: int = 0
    rejected_in_a_row: int = 0
    error: str = ""

    @property
    def is_active(self) -> bool:
        """Whether a search is on."""
        return self.limit > 0

    @property
    def has_failed_alone(self) -> bool:
        """Whether the next part is a single record, and is to blame."""
        return self.limit == 1 and self.failures_alone >= FAILURES_ALONE

    def restart(self, most_starts: int) -> "Isolation":
        """The state of a new process that finds a batch unfinished; the search begins once that was so too often."""
        if self.is_attempting:
            return self.fail(self.error or "The process ended.")
        starts = self.starts + 1
        return replace(self, starts=starts, limit=self.limit or (LARGEST_PART if starts >= most_starts else 0))

    def attempt(self, left: int) -> "Isolation":
        """The state while a part is processed of what is left of the batch, a number of offsets."""
        return replace(self, is_attempting=True, limit=max(1, min(self.limit, left)))

    def fail(self, error: str) -> "Isolation":
        """The state after a part failed."""
        alone = self.failures_alone + 1 if self.limit == 1 else 0
        return replace(
            self,
            is_attempting=False,
            limit=max(1, self.limit // 2),
            failures_alone=alone,
            error=error[:LONGEST_ERROR],
        )

    def succeed(self) -> "Isolation":
        """The state after a part succeeded."""
        return Isolation(starts=self.starts, limit=min(LARGEST_PART, self.limit * 2))

    def reject(self) -> "Isolation":
        """The state after the record to blame was rejected."""
        return replace(self.succeed(), rejected_in_a_row=self.rejected_in_a_row + 1, error=self.error)

    def encode(self) -> str:
        """The state as JSON."""
        return json.dumps(asdict(self))

    @classmethod
    def decode(cls, encoded: str | None) -> "Isolation":
        """The state that `encode` gave; none is the one without a search."""
        return cls() if encoded is None else cls(**json.loads(encoded))


def name_errors(error: Exception) -> str:
    """What failed, as the names of the error and of Java's errors in it: its text may quote a record."""
    names = dict.fromkeys([type(error).__name__, *_JAVA_ERROR.findall(str(error))])
    return " < ".join([*names][:MOST_NAMES])


def next_ends(begins: Offsets, ends: Offsets, limit: int) -> dict[int, int]:
    """Up to which offsets the next part of so many records goes: partition by partition, in their order.

    Partitions of which nothing is in the part are left out.
    """
    part: dict[int, int] = {}
    for partition in sorted(ends):
        size = min(limit, ends[partition] - begins.get(partition, 0))
        if size > 0:
            part[partition] = begins.get(partition, 0) + size
            limit -= size
    return part
