"""The processes of the platform's servers."""

import psutil

from member_analyzer.local.home import Home
from member_analyzer.local.orphans import MARKER, SERVER_MARKER, find_marked
from member_analyzer.local.supervision import list_processes


def server_processes(home: Home, name: str) -> set[psutil.Process]:
    """All processes of a server, including orphans."""
    return set(find_marked({MARKER: str(home.root), SERVER_MARKER: name}))


def orphans(home: Home, name: str) -> set[psutil.Process]:
    """The processes of a server that are not descendants of its main process."""
    try:
        process = psutil.Process(list_processes(home)[name].pid)
        return server_processes(home, name) - {process, *process.children(recursive=True)}
    except psutil.NoSuchProcess:
        return server_processes(home, name)
