"""Injects a fault into the running platform, measures the recovery, and checks the counts."""

import os
import signal
import time
from collections.abc import Callable
from dataclasses import dataclass, field

from member_analyzer.landing.counters import count_landed
from member_analyzer.local.platform import list_status
from member_analyzer.local.supervision import list_processes
from member_analyzer.streams.members.definition import MEMBERS
from patience import holds
from running_platform import Platform
from server_processes import orphans
from topic_records import Records

# The number of members that arrive during a drill; `make drills` uses more than `make test`.
MEMBER_COUNT = int(os.environ.get("DRILL_MEMBERS", "2000"))
# Otherwise the drills of a module are audited together.
AUDIT_EACH_DRILL = MEMBER_COUNT >= 10_000
KILLED_DURING_FLOW = {
    "stream": "1. Spark driver killed",
    "kafka": "2. Kafka broker killed while producing",
    "zookeeper": "3. ZooKeeper killed",
}
KILLED_BY_DRILLS = (*KILLED_DURING_FLOW, "postgres")
TABLES = ("age", "gender", "country", "city")


@dataclass
class Drill:
    """One drill on the running platform."""

    platform: Platform
    records: Records
    before: dict[str, int] = field(default_factory=dict)
    seconds: float | None = None

    def count(self) -> dict[str, int]:
        """The number of members at every station."""
        return {
            "accepted": count_landed(self.platform.landing, MEMBERS).accepted,
            "created_users": len(self.platform.created_users()),
            **{table: sum(self.platform.actual()[table].values()) for table in TABLES},
            "rejected": len(self.records.rejected()),
        }

    def pid(self, server: str) -> int:
        return list_processes(self.platform.home)[server].pid

    def kill(self, server: str) -> None:
        """Kill a server with SIGKILL, and wait until it has been restarted and has no orphans."""
        killed = self.pid(server)
        # Process id 0 would signal the tests themselves.
        assert killed, f"{server} is not running"
        os.kill(killed, signal.SIGKILL)
        self.wait_until_back(server, killed)
        home = self.platform.home
        assert holds(lambda: not orphans(home, server)), orphans(home, server)

    def wait_until_back(self, server: str, killed: int) -> None:
        def is_back() -> bool:
            status = next(one for one in list_status(self.platform.home) if one.name == server)
            return status.ready and status.pid != killed

        assert holds(is_back), f"{server} was not restarted"

    def measure_recovery(self) -> None:
        """Measure the seconds until members are counted again after the fault."""
        before = max(self.platform.totals())
        # All members may have been counted already.
        self.seconds = seconds_until(lambda: max(self.platform.totals()) > min(before, len(self.platform.taken) - 1))
        assert self.seconds is not None, "no member was counted after the fault"

    def check(self) -> None:
        """Check that every accepted member is counted exactly once at every station."""
        self.platform.wait_until_counted()
        if AUDIT_EACH_DRILL:
            audit(self.platform)


def audit(platform: Platform) -> None:
    """Check that the platform's own audit agrees."""
    result = platform.command("audit", check=False)
    assert result.returncode == 0, result.stdout + result.stderr


def seconds_until(condition: Callable[[], bool]) -> float | None:
    """The seconds until a condition is true; None on timeout."""
    began = time.monotonic()
    return time.monotonic() - began if holds(condition) else None
