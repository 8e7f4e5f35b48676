"""Kills an Airflow server that hangs, so that the supervisor restarts it.

Run as `python -m member_analyzer.local.watchdog COMPONENT HEALTH_URL SECONDS COMMAND...`: it starts a watchdog process
and then becomes the server. A scheduler that briefly loses its database may wait for its own workers indefinitely.
"""

import os
import signal
import subprocess
import sys
import time
from typing import Any

from member_analyzer.local.http import fetch_json
from member_analyzer.local.server import NotReadyError
from member_analyzer.stopwatch import Stopwatch

WATCH = "--watch"
POLL_INTERVAL_SECONDS = 1
# The longest poll with its timeout. A longer gap means that the machine was suspended, not that the server hung.
MAX_POLL_SECONDS = 10


def read_heartbeat(component: str, url: str) -> Any:
    """The component's last heartbeat in Airflow's health report. Raises NotReadyError if it is unknown."""
    health = fetch_json(url)
    if health["metadatabase"]["status"] != "healthy":
        raise NotReadyError("Airflow's database is unavailable, so that no heartbeat can arrive")
    return health[component][f"latest_{component}_heartbeat"]


def watch(component: str, url: str, timeout: float) -> None:
    """Kill the parent process, which is the server, once its heartbeat has not changed for `timeout` seconds.

    Returns when the server has exited. The time in which the heartbeat is unknown does not count.
    """
    server = os.getppid()
    last, silence = None, Stopwatch(max_step=MAX_POLL_SECONDS)
    while os.getppid() == server:
        time.sleep(POLL_INTERVAL_SECONDS)
        try:
            heartbeat = read_heartbeat(component, url)
        except NotReadyError:
            silence.restart()
            continue
        if heartbeat != last:
            last = heartbeat
            silence.restart()
        if silence.read() > timeout and os.getppid() == server:
            print(f"{component}: no heartbeat for {timeout:.0f} seconds; killing it to have it restarted", flush=True)
            os.kill(server, signal.SIGKILL)
            return


def start(component: str, url: str, timeout: str, command: list[str]) -> None:
    """Start the watchdog, then replace this process by the server."""
    subprocess.Popen([sys.executable, "-m", __spec__.name, WATCH, component, url, timeout])
    os.execv(command[0], command)  # noqa: S606 - no shell needed


if __name__ == "__main__":
    if sys.argv[1] == WATCH:
        watch(sys.argv[2], sys.argv[3], float(sys.argv[4]))
    else:
        start(sys.argv[1], sys.argv[2], sys.argv[3], sys.argv[4:])
