"""Status of one component of the platform.

Pure.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from typing import Any

# In the order of the data flow.
COMPONENTS = (
    *("user-api", "airflow", "collector", "landing", "kafka"),
    *("registry", "zookeeper", "spark", "cassandra", "rejected"),
)


class State(StrEnum):
    """Health of a component."""

    UP = "up"
    DEGRADED = "degraded"
    DOWN = "down"
    UNKNOWN = "unknown"


@dataclass(frozen=True)
class Status:
    """Result of a check: `rate` in members per second, `lag` in events, `impact` of the error on the counts."""

    state: State = State.UP
    error: str | None = None
    impact: str | None = None
    rate: float | None = None
    lag: int | None = None
    facts: Sequence[tuple[str, str]] = ()
    detail: Mapping[str, Any] | None = None


@dataclass(frozen=True)
class Component:
    """A component with its current status, which keeps the last known details during an outage."""

    name: str
    since: datetime
    status: Status = field(default_factory=lambda: Status(State.UNKNOWN, "Not checked yet."))
    checked_at: datetime | None = None

    @property
    def document(self) -> dict[str, Any]:
        """The component as JSON values."""
        return {
            "name": self.name,
            "state": self.status.state,
            "since": self.since,
            "error": self.status.error,
            "impact": self.status.impact,
            "checked_at": self.checked_at,
            "rate": self.status.rate,
            "lag": self.status.lag,
            "facts": self.status.facts,
            "detail": self.status.detail,
        }
