"""Starts a server after terminating the child processes that outlived its killed predecessor.

Run as `python -m member_analyzer.local.clean_start COMMAND...`.
"""

import os
import sys

from member_analyzer.local.orphans import MARKER, SERVER_MARKER, find_marked, terminate


def start_clean(command: list[str]) -> None:
    """Terminate what is left of the server, then replace this process by the server."""
    terminate(find_marked({name: os.environ[name] for name in (MARKER, SERVER_MARKER)}), timeout=5)
    os.execv(command[0], command)  # noqa: S606 - no shell needed


if __name__ == "__main__":
    start_clean(sys.argv[1:])
