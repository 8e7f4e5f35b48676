"""One fault on the running platform: how it strikes, how long the flow takes to go on, and what must hold then."""

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
from server_processes import leftovers
from topic_records import Records

# How many members arrive while a fault strikes; `make drills` takes more of them than `make test`.
MEMBER_COUNT = int(os.environ.get("DRILL_MEMBERS", "2000"))
# With so many, each drill is audited on its own; otherwise the drills of a module are audited together.
IS_WHOLE = MEMBER_COUNT >= 10_000
KILLED_AMONG_MEMBERS = {
    "stream": "1. the stream's driver is killed",
    "kafka": "2. the broker is killed while producing",
    "zookeeper": "3. ZooKeeper is killed",
}
KILLED_BY_DRILLS = (*KILLED_AMONG_MEMBERS, "postgres")
TABLES = ("age", "gender", "country", "city")


@dataclass
class Drill:
    """One fault on the running platform, and what the stations hold because of it."""

    platform: Platform
    records: Records
    before: dict[str, int] = field(default_factory=dict)
    seconds: float | None = None

    def count(self) -> dict[str, int]:
        """The members at every station."""
        return {
            "accepted": count_landed(self.platform.landing, MEMBERS).accepted,
            "created_users": len(self.platform.created_users()),
            **{table: sum(self.platform.actual()[table].values()) for table in TABLES},
            "rejected": len(self.records.rejected()),
        }

    def pid(self, server: str) -> int:
        return list_processes(self.platform.home)[server].pid

    def kill(self, server: str) -> None:
        """SIGKILL, and wait until the server is back by itself, and nothing of the old one is left."""
        killed = self.pid(server)
        # The number 0 would stand for these tests themselves.
        assert killed, f"{server} does not run"
        os.kill(killed, signal.SIGKILL)
        self.wait_until_back(server, killed)
        home = self.platform.home
        assert holds(lambda: not leftovers(home, server)), leftovers(home, server)

    def wait_until_back(self, server: str, killed: int) -> None:
        def is_back() -> bool:
            status = next(one for one in list_status(self.platform.home) if one.name == server)
            return status.ready and status.pid != killed

        assert holds(is_back), f"{server} did not come back by itself"

    def measure_recovery(self) -> None:
        """Report the seconds until members are counted again, now that the fault is over."""
        before = max(self.platform.totals())
        # All of them may have been counted before the first look.
        self.seconds = seconds_until(lambda: max(self.platform.totals()) > min(before, len(self.platform.taken) - 1))
        assert self.seconds is not None, "no member was counted after the fault"

    def check(self) -> None:
        """Everything that was accepted is counted once; the audit says the same of every station."""
        self.platform.wait_until_counted()
        if IS_WHOLE:
            audit(self.platform)


def audit(platform: Platform) -> None:
    """The platform's own audit agrees."""
    ended = platform.command("audit", check=False)
    assert ended.returncode == 0, ended.stdout + ended.stderr


def seconds_until(condition: Callable[[], bool]) -> float | None:
    """After how many seconds a condition came true; None where it does not."""
    began = time.monotonic()
    return time.monotonic() - began if holds(condition) else None
