"""The supervisor that runs the servers: its configuration, its start, and its XML-RPC interface."""

import os
import subprocess
import time
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from xmlrpc.client import Fault, ServerProxy

from supervisor.xmlrpc import Faults, SupervisorTransport

from member_analyzer.local.environment import base_environment, python
from member_analyzer.local.failure import LocalError
from member_analyzer.local.home import Home
from member_analyzer.local.orphans import MARKER, SERVER_MARKER
from member_analyzer.local.passwords import write_private
from member_analyzer.local.server import Server

# The same niceness for all servers with low priority, because they wait for each other.
LOW_PRIORITY = ("nice", "-n", "12")


@dataclass(frozen=True)
class Process:
    """The supervisor's view of a server's process."""

    name: str
    state: str
    pid: int
    started: datetime
    error: str

    @property
    def running(self) -> bool:
        return self.state in ("RUNNING", "STARTING")


def find_socket(home: Home) -> Path:
    """The supervisor's Unix socket."""
    return home.root / "supervisor" / "socket"


def write_supervisor_configuration(home: Home, servers: Iterable[Server]) -> Path:
    """Write the supervisor's configuration; `servers` are in start order."""
    folder = home.folder("supervisor")
    sections = [
        "[supervisord]",
        "nodaemon=true",
        f"logfile={home.logs}/supervisor.log",
        "logfile_maxbytes=5MB",
        "logfile_backups=1",
        f"pidfile={folder}/pid",
        f"childlogdir={home.logs}",
        "umask=077",
        *(["user=root"] if os.geteuid() == 0 else []),
        "[unix_http_server]",
        f"file={find_socket(home)}",
        "chmod=0700",
        "[rpcinterface:supervisor]",
        "supervisor.rpcinterface_factory=supervisor.rpcinterface:make_main_rpcinterface",
    ]
    for priority, server in enumerate(servers):
        variables = server.environment | {SERVER_MARKER: server.name}
        environment = ",".join(f"{name}={quote(value)}" for name, value in variables.items())
        command = [*(LOW_PRIORITY if server.low_priority else ()), *server.command]
        sections += [
            f"[program:{server.name}]",
            f"command={' '.join(quote(part) for part in command)}",
            f"directory={server.directory}",
            f"environment={environment}",
            f"priority={priority}",
            "autostart=false",
            "autorestart=true",
            # A server that exits sooner is restarted with increasing delays, so that it does not use up the CPU.
            "startsecs=5",
            "startretries=1000",
            f"stopsignal={server.stop_signal}",
            f"stopwaitsecs={server.stop_seconds}",
            "killasgroup=true",
            "redirect_stderr=true",
            f"stdout_logfile={home.logs}/{server.name}.log",
            "stdout_logfile_maxbytes=10MB",
            "stdout_logfile_backups=1",
            *([f"user={server.user}"] if server.user else []),
        ]
    path = folder / "supervisord.conf"
    write_private(path, "\n".join(sections) + "\n")
    return path


def quote(value: str) -> str:
    """A quoted value for the supervisor's configuration, in which % starts an expansion."""
    if '"' in value or "\n" in value:
        raise LocalError(f"the supervisor's configuration cannot contain a quotation mark or a line break: {value!r}")
    return '"' + value.replace("%", "%%") + '"'


def start_supervisor(home: Home, configuration: Path) -> None:
    """Start the supervisor detached from the terminal, and wait until it responds."""
    find_socket(home).unlink(missing_ok=True)
    with (home.logs / "supervisor.out").open("w") as output:
        process = subprocess.Popen(
            [python(), "-m", "supervisor.supervisord", "--configuration", configuration],
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=output,
            env=base_environment(home) | {MARKER: str(home.root)},
            cwd="/",
            start_new_session=True,
        )
    deadline = time.monotonic() + 20
    while not is_supervised(home):
        if process.poll() is not None or time.monotonic() > deadline:
            raise LocalError(f"the supervisor does not start; see {home.display_path(home.logs / 'supervisor.out')}")
        time.sleep(0.05)


def call(home: Home, method: str, *arguments: Any) -> Any:
    """Call a method of the supervisor's XML-RPC interface. Raises LocalError if the supervisor does not respond."""
    # A connection is not thread-safe, so every call opens its own.
    transport = SupervisorTransport(None, None, f"unix://{find_socket(home)}")
    try:
        return getattr(ServerProxy("http://127.0.0.1", transport=transport).supervisor, method)(*arguments)
    except OSError as error:
        raise LocalError(
            f"the supervisor of {home.path} does not respond; `member-analyzer down` terminates its remaining processes"
        ) from error
    finally:
        transport.close()


def is_supervised(home: Home) -> bool:
    """Whether the supervisor is running."""
    try:
        return bool(call(home, "getState")["statename"] == "RUNNING")
    except (LocalError, Fault):
        return False


def list_processes(home: Home) -> dict[str, Process]:
    """The process of each server, by name."""
    return {
        entry["name"]: Process(
            name=entry["name"],
            state=entry["statename"],
            pid=entry["pid"],
            started=datetime.fromtimestamp(entry["start"], UTC),
            error=entry["spawnerr"],
        )
        for entry in call(home, "getAllProcessInfo")
    }


def start_process(home: Home, name: str) -> None:
    """Start a server's process unless it is running."""
    try:
        call(home, "startProcess", name, False)
    except Fault as fault:
        if fault.faultCode != Faults.ALREADY_STARTED:
            raise LocalError(f"the supervisor cannot start {name}: {fault.faultString}") from fault


def stop_process(home: Home, name: str) -> None:
    """Stop a server's process and wait until it has exited."""
    try:
        call(home, "stopProcess", name, True)
    except Fault as fault:
        if fault.faultCode not in (Faults.NOT_RUNNING, Faults.BAD_NAME):
            raise LocalError(f"the supervisor cannot stop {name}: {fault.faultString}") from fault


def restart_now(home: Home, name: str) -> None:
    """Restart a server immediately if the supervisor is delaying its restart."""
    if list_processes(home)[name].state == "BACKOFF":
        stop_process(home, name)
        start_process(home, name)
