"""Starts a server after ending what an earlier process of the same server left running when it was killed.

Run as `python -m member_analyzer.local.succession COMMAND...`, for servers whose children outlive them.
"""

import os
import sys

from member_analyzer.local.leftovers import MARKER, SERVER_MARKER, end_processes, find_marked


def succeed(command: list[str]) -> None:
    """End the children of the predecessor, then become the server."""
    end_processes(find_marked({name: os.environ[name] for name in (MARKER, SERVER_MARKER)}), patience=5)
    os.execv(command[0], command)  # noqa: S606 - no shell is wanted


if __name__ == "__main__":
    succeed(sys.argv[1:])
