"""Ends a server of Airflow that is silent without having ended, so that the supervisor starts it anew.

Run as `python -m member_analyzer.local.heartbeat COMPONENT HEALTH_URL SECONDS COMMAND...`: it becomes the server, with
a watcher beside it. A scheduler whose database is away for a moment may wait for its own workers for ever.
"""

import os
import signal
import subprocess
import sys
import time
from typing import Any

from member_analyzer.local.http import ask
from member_analyzer.local.server import NotReadyError
from member_analyzer.stopwatch import Stopwatch

WATCH = "--watch"
SECONDS_BETWEEN_LOOKS = 1
# What a look takes with its timeout. A longer gap was the sleep of the machine, and says nothing of the server.
LONGEST_LOOK_SECONDS = 10


def heartbeat_of(component: str, url: str) -> Any:
    """The last sign of life that Airflow's health report knows of; NotReadyError where it cannot tell."""
    health = ask(url)
    if health["metadatabase"]["status"] != "healthy":
        raise NotReadyError("Airflow's database is away, and nobody's sign of life arrives")
    return health[component][f"latest_{component}_heartbeat"]


def watch(component: str, url: str, patience: float) -> None:
    """Kill the server that this process is a child of once its heartbeat stood still for `patience` seconds.

    Returns when the server has ended. As long as the report cannot tell, no time passes.
    """
    server = os.getppid()
    seen, silence = None, Stopwatch(longest_step=LONGEST_LOOK_SECONDS)
    while os.getppid() == server:
        time.sleep(SECONDS_BETWEEN_LOOKS)
        try:
            heartbeat = heartbeat_of(component, url)
        except NotReadyError:
            silence.restart()
            continue
        if heartbeat != seen:
            seen = heartbeat
            silence.restart()
        if silence.read() > patience and os.getppid() == server:
            print(
                f"{component}: no sign of life for {patience:.0f} seconds; it is ended, to be started anew", flush=True
            )
            os.kill(server, signal.SIGKILL)
            return


def become(component: str, url: str, patience: str, command: list[str]) -> None:
    """Start the watcher, and become the server."""
    subprocess.Popen([sys.executable, "-m", __spec__.name, WATCH, component, url, patience])
    os.execv(command[0], command)  # noqa: S606 - no shell is wanted


if __name__ == "__main__":
    if sys.argv[1] == WATCH:
        watch(sys.argv[2], sys.argv[3], float(sys.argv[4]))
    else:
        become(sys.argv[1], sys.argv[2], sys.argv[3], sys.argv[4:])
