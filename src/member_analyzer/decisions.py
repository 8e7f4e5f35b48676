"""Up to which offsets it is decided which records are rejected: one query of a stream decides, the other one counts.

Spark repeats a batch that failed, and takes for granted that it comes out the same: what the failed attempt left of its
state in the checkpoint may be what the batch after the repeated one is computed from. So nothing may be counted while
it can still change what a record is, as it does when the schema that it names is registered meanwhile. The query that
counts stops in front of such a record, and goes on in the next round, once the other one has decided.
"""

from collections.abc import Mapping
from threading import Condition

Offsets = Mapping[int, int]


class RoundIsOverError(RuntimeError):
    """Raised when a batch is to be read again in the next round."""


class Decisions:
    """The decisions of one round, for the threads of both queries. Offsets are the next ones, by Kafka partition."""

    def __init__(self, decided: Offsets) -> None:
        self._decided = dict(decided)
        self._is_over = False
        self._changed = Condition()

    def decide(self, ends: Offsets) -> None:
        """Everything before these offsets is decided for good: it comes out the same in every later round."""
        with self._changed:
            self._decided.update(ends)
            self._changed.notify_all()

    def wait_for(self, ends: Offsets) -> None:
        """Wait until everything before these offsets is decided. Raises RoundIsOverError when it will not be."""
        with self._changed:
            self._changed.wait_for(lambda: self._is_over or self._reaches(ends))
        self.refuse_if_over()

    def end_round(self) -> None:
        """From now on, both queries give up their batches."""
        with self._changed:
            self._is_over = True
            self._changed.notify_all()

    @property
    def decided(self) -> Offsets:
        """Everything before these offsets is decided."""
        with self._changed:
            return dict(self._decided)

    @property
    def is_over(self) -> bool:
        """Whether the round has ended."""
        return self._is_over

    def refuse_if_over(self) -> None:
        """Raise RoundIsOverError when the round is over: the next one may have written the same, and more, already."""
        if self._is_over:
            raise RoundIsOverError("The round is over: the batch is read again in the next one.")

    def _reaches(self, ends: Offsets) -> bool:
        return all(self._decided.get(partition, 0) >= end for partition, end in ends.items())
