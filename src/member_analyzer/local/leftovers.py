"""The processes of a platform that nobody supervises any more: found by what marks them, and ended."""

import os
from collections.abc import Mapping
from pathlib import Path

import psutil

# In the environment of every process of a platform; its value is the home.
MARKER = "MEMBER_ANALYZER_HOME"
# In the environment of the processes of one server; its value is the server's name.
SERVER_MARKER = "MEMBER_ANALYZER_SERVER"


def find_processes(root: Path, programs: Path) -> list[psutil.Process]:
    """Every process of the platform at `root`; PostgreSQL, which overwrites its environment, by its `programs`."""
    return find_marked({MARKER: str(root)}) + [
        process for process in list_others() if runs_from(process, programs.resolve())
    ]


def find_marked(marks: Mapping[str, str]) -> list[psutil.Process]:
    """Every other process with `marks` in its environment."""
    return [process for process in list_others() if marks.items() <= environment_of(process).items()]


def list_others() -> list[psutil.Process]:
    """Every process but this one and those that started it."""
    own = {os.getpid(), *(parent.pid for parent in psutil.Process().parents())}
    return [process for process in psutil.process_iter() if process.pid not in own]


def environment_of(process: psutil.Process) -> dict[str, str]:
    """A process's environment, empty if it is gone or another user's."""
    try:
        return process.environ()
    except psutil.Error:
        return {}


def runs_from(process: psutil.Process, folder: Path) -> bool:
    """Whether a process's program lies in a folder."""
    try:
        return Path(process.exe()).is_relative_to(folder)
    except psutil.Error:
        return False


def end_processes(processes: list[psutil.Process], patience: float = 15) -> None:
    """Ask the processes to end, and end those that do not."""
    for process in processes:
        try:
            process.terminate()
        except psutil.NoSuchProcess:
            continue
    _, alive = psutil.wait_procs(processes, timeout=patience)
    for process in alive:
        try:
            process.kill()
        except psutil.NoSuchProcess:
            continue
    psutil.wait_procs(alive, timeout=10)


def clear_leftovers(root: Path, programs: Path) -> int:
    """End whatever is left of the platform, and say how many processes that were."""
    ended: set[int] = set()
    # What is ended may have started something a moment before.
    for _ in range(5):
        found = find_processes(root, programs)
        if not found:
            break
        ended.update(process.pid for process in found)
        # The supervisor first: it would start anew what ends before it.
        found.sort(key=lambda process: "supervisor.supervisord" not in command_line(process))
        if "supervisor.supervisord" in command_line(found[0]):
            end_processes(found[:1], patience=60)
        end_processes(found)
    return len(ended)


def command_line(process: psutil.Process) -> list[str]:
    """A process's command, empty if it is gone."""
    try:
        return process.cmdline()
    except psutil.Error:
        return []
