"""The processes of the platform's servers."""

import psutil

from member_analyzer.local.home import Home
from member_analyzer.local.leftovers import MARKER, SERVER_MARKER, find_marked
from member_analyzer.local.supervision import list_processes


def server_processes(home: Home, name: str) -> set[psutil.Process]:
    """Every process that belongs to a server, whoever started it."""
    return set(find_marked({MARKER: str(home.root), SERVER_MARKER: name}))


def leftovers(home: Home, name: str) -> set[psutil.Process]:
    """What belongs to a server, but neither is its process nor was started by it."""
    try:
        process = psutil.Process(list_processes(home)[name].pid)
        return server_processes(home, name) - {process, *process.children(recursive=True)}
    except psutil.NoSuchProcess:
        return server_processes(home, name)
