"""Finds and terminates processes of the platform that are no longer supervised."""

import os
from collections.abc import Mapping
from pathlib import Path

import psutil

# In the environment of every process of a platform; its value is the home directory.
MARKER = "MEMBER_ANALYZER_HOME"
# In the environment of the processes of one server; its value is the server's name.
SERVER_MARKER = "MEMBER_ANALYZER_SERVER"


def find_processes(root: Path, programs: Path) -> list[psutil.Process]:
    """All processes of the platform at `root`; PostgreSQL's, which overwrite their environment, by executable."""
    return find_marked({MARKER: str(root)}) + [
        process for process in list_others() if runs_from(process, programs.resolve())
    ]


def find_marked(variables: Mapping[str, str]) -> list[psutil.Process]:
    """All other processes with these variables in their environment."""
    return [process for process in list_others() if variables.items() <= environment_of(process).items()]


def list_others() -> list[psutil.Process]:
    """All processes except this one and its ancestors."""
    own = {os.getpid(), *(parent.pid for parent in psutil.Process().parents())}
    return [process for process in psutil.process_iter() if process.pid not in own]


def environment_of(process: psutil.Process) -> dict[str, str]:
    """A process's environment; empty if it has exited or belongs to another user."""
    try:
        return process.environ()
    except psutil.Error:
        return {}


def runs_from(process: psutil.Process, folder: Path) -> bool:
    """Whether a process's executable is in a directory."""
    try:
        return Path(process.exe()).is_relative_to(folder)
    except psutil.Error:
        return False


def terminate(processes: list[psutil.Process], timeout: float = 15) -> None:
    """Send SIGTERM, and after a timeout SIGKILL."""
    for process in processes:
        try:
            process.terminate()
        except psutil.NoSuchProcess:
            continue
    _, alive = psutil.wait_procs(processes, timeout=timeout)
    for process in alive:
        try:
            process.kill()
        except psutil.NoSuchProcess:
            continue
    psutil.wait_procs(alive, timeout=10)


def terminate_orphans(root: Path, programs: Path) -> int:
    """Terminate all processes of the platform; return their number."""
    terminated: set[int] = set()
    # A terminated process may have started another one just before.
    for _ in range(5):
        found = find_processes(root, programs)
        if not found:
            break
        terminated.update(process.pid for process in found)
        # The supervisor first: it would restart the others.
        found.sort(key=lambda process: "supervisor.supervisord" not in command_line(process))
        if "supervisor.supervisord" in command_line(found[0]):
            terminate(found[:1], timeout=60)
        terminate(found)
    return len(terminated)


def command_line(process: psutil.Process) -> list[str]:
    """A process's command line; empty if it has exited."""
    try:
        return process.cmdline()
    except psutil.Error:
        return []
