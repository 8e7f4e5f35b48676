"""Checks of the machine before anything is started."""

import os
import platform
import shutil
import socket
import sys
from collections.abc import Iterable
from pathlib import Path

import psutil

from member_analyzer.local.failure import LocalError
from member_analyzer.local.home import Home
from member_analyzer.local.server import Server

GIGABYTE = 1024**3


def check_machine() -> None:
    """Check the operating system, the processor and the Python version."""
    if sys.platform != "linux" or platform.machine() not in ("x86_64", "aarch64"):
        raise LocalError(
            f"this is {platform.system()} on {platform.machine()}; the platform requires Linux on x86_64 or aarch64"
        )
    if not (3, 11) <= sys.version_info[:2] <= (3, 12):
        raise LocalError(f"this is Python {platform.python_version()}; the platform requires 3.11 or 3.12")


def check_space(home: Home) -> None:
    """Check the free memory and disk space."""
    settings = home.settings
    memory = free_memory() / GIGABYTE
    if memory < settings.minimum_memory_gigabytes:
        raise LocalError(
            f"{memory:.1f} GB of memory are free, but the platform needs {settings.minimum_memory_gigabytes:g} GB;"
            " stop other programs, or lower LOCAL_MINIMUM_MEMORY_GIGABYTES to try anyway"
        )
    if os.statvfs(home.root).f_flag & os.ST_NOEXEC:
        raise LocalError(
            f"{home.path} is on a file system mounted noexec, but PostgreSQL must run from it;"
            " choose another directory with LOCAL_HOME"
        )
    disk = shutil.disk_usage(home.root).free / GIGABYTE
    if disk < settings.minimum_disk_gigabytes:
        raise LocalError(
            f"{disk:.1f} GB of disk space are free at {home.path}, but the platform needs"
            f" {settings.minimum_disk_gigabytes:g} GB; free some space, or choose another disk with LOCAL_HOME"
        )


def free_memory() -> float:
    """The free memory in bytes, of the machine or of the container's limit."""
    free = psutil.virtual_memory().available
    group = Path("/sys/fs/cgroup")
    try:
        limit, used = (group / "memory.max").read_text().strip(), int((group / "memory.current").read_text())
        cached = int((group / "memory.stat").read_text().partition("inactive_file ")[2].split()[0])
    except (OSError, ValueError, IndexError):
        return free
    return free if limit == "max" else min(free, int(limit) - used + cached)


def check_ports(servers: Iterable[Server]) -> None:
    """Check that the servers' ports are free and distinct."""
    required: dict[int, tuple[str, str]] = {}
    for server in servers:
        for setting, port in server.ports.items():
            if port in required:
                raise LocalError(
                    f"{required[port][0]} and {server.name} are both configured to use port {port};"
                    f" change {required[port][1]} or {setting}"
                )
            required[port] = (server.name, setting)
            if not is_free(port):
                raise LocalError(
                    f"port {port} of {server.name} is already in use by {name_holder(port)};"
                    f" stop it, or choose another port with {setting}"
                )


def is_free(port: int) -> bool:
    """Whether a server could listen on a port of 127.0.0.1."""
    with socket.socket() as probe:
        # Like servers: ignore connections in TIME_WAIT.
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", port))
            probe.listen(1)
        except OSError:
            return False
    return True


def name_holder(port: int) -> str:
    """The process that listens on a port, if this user can see it."""
    try:
        for connection in psutil.net_connections("tcp"):
            local = connection.laddr
            if local and local.port == port and connection.status == psutil.CONN_LISTEN and connection.pid:
                return f"{psutil.Process(connection.pid).name()} (process {connection.pid})"
    except psutil.Error:
        pass
    return "another program"
