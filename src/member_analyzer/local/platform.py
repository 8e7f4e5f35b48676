"""Starts, stops, inspects and resets the whole platform."""

import fcntl
import shutil
import time
from collections.abc import Callable, Iterator
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from graphlib import TopologicalSorter
from threading import Event

import psutil
from rich.console import Console

from member_analyzer.local.airflow import AirflowApi, AirflowDagProcessor, AirflowDatabase, AirflowScheduler
from member_analyzer.local.artifacts import fetch_artifacts
from member_analyzer.local.cassandra import Cassandra
from member_analyzer.local.collector import Collector
from member_analyzer.local.console import Console as ConsoleProgram
from member_analyzer.local.display import Display
from member_analyzer.local.failure import LocalError
from member_analyzer.local.home import Home
from member_analyzer.local.java import choose_java
from member_analyzer.local.kafka import Kafka
from member_analyzer.local.orphans import terminate_orphans
from member_analyzer.local.passwords import load_passwords
from member_analyzer.local.postgres import FALLBACK_DIRECTORY, Postgres, artifact_group
from member_analyzer.local.preflight import check_machine, check_ports, check_space
from member_analyzer.local.registry import Registry
from member_analyzer.local.schemas import Schemas
from member_analyzer.local.server import NotReadyError, Server, Step, Task
from member_analyzer.local.stream import Stream
from member_analyzer.local.supervision import (
    call,
    is_supervised,
    list_processes,
    start_process,
    start_supervisor,
    stop_process,
    write_supervisor_configuration,
)
from member_analyzer.local.user_api import UserApi
from member_analyzer.local.zookeeper import ZooKeeper
from member_analyzer.operations.restarts import Restarts, read_restarts
from member_analyzer.stopwatch import Stopwatch

STEPS: list[type[Step]] = [
    ZooKeeper,
    Kafka,
    Registry,
    Postgres,
    Cassandra,
    AirflowDatabase,
    AirflowApi,
    AirflowDagProcessor,
    UserApi,
    Schemas,
    Collector,
    Stream,
    AirflowScheduler,
    ConsoleProgram,
]

READY_TIMEOUT_SECONDS = 180
# A server that exits is restarted this often before the start of the platform fails.
MAX_STARTS = 8


@dataclass(frozen=True)
class ServerStatus:
    """The status of one server."""

    name: str
    state: str
    pid: int | None
    uptime: timedelta | None
    ready: bool
    error: str
    address: str
    memory: int
    """Bytes (PSS) of the process and its descendants."""
    restarts: Restarts | None = None
    """Recent automatic restarts; None if there were none."""


def make_steps(home: Home) -> dict[str, Step]:
    """All startup steps, by name."""
    passwords, java = load_passwords(home.passwords), choose_java()
    return {step.name: step(home, passwords, java) for step in STEPS}


def make_servers(home: Home) -> dict[str, Server]:
    """All servers, by name, in start order."""
    steps = make_steps(home)
    order = TopologicalSorter({name: step.depends_on for name, step in steps.items()}).static_order()
    return {name: step for name in order if isinstance(step := steps[name], Server)}


def make_postgres(home: Home) -> Postgres:
    """Only PostgreSQL, whose files may be outside the home."""
    return Postgres(home, load_passwords(home.passwords), choose_java())


def install(home: Home, console: Console) -> None:
    """Download and verify the servers."""
    check_machine()
    fetch_artifacts(["kafka", "registry", "cassandra", "spark", artifact_group()], home.downloads, console)


def up(home: Home, console: Console) -> bool:
    """Start the servers that are not running and wait until all are ready; False if all were ready already."""
    with locked(home):
        if is_supervised(home) and all(status.ready for status in list_status(home)):
            return False
        install(home, console)
        is_first = not is_supervised(home)
        try:
            if is_first:
                prepare(home, console)
            run_steps(make_steps(home), home, console)
        except BaseException:
            # Leave no platform that has only partly started.
            if is_first:
                stop(home, console)
            raise
        return True


def prepare(home: Home, console: Console) -> None:
    """Check the machine and start the supervisor, without any server yet."""
    servers, postgres = make_servers(home), make_postgres(home)
    terminated = terminate_orphans(home.root, postgres.program)
    if terminated:
        console.print(f"terminated {terminated} processes of an earlier start")
    shutil.rmtree(home.temporary, ignore_errors=True)
    home.folder("temporary")
    check_space(home)
    check_ports(servers.values())
    console.print(postgres.java.reason, highlight=False, soft_wrap=True)
    if postgres.directory.is_relative_to(FALLBACK_DIRECTORY):
        console.print(
            f"PostgreSQL cannot run as root, and {postgres.user} cannot enter {home.path}:"
            f" its data is in {postgres.directory}",
            soft_wrap=True,
        )
    start_supervisor(home, write_supervisor_configuration(home, servers.values()))


def run_steps(steps: dict[str, Step], home: Home, console: Console) -> None:
    """Run each step as soon as its dependencies are done."""
    cancelled = Event()
    with Display(console, len(steps)) as display:

        def run(name: str) -> None:
            display.begin(name)
            run_step(steps[name], home, cancelled)
            display.finish(name)

        run_graph({name: step.depends_on for name, step in steps.items()}, run, cancelled)


def run_graph(graph: dict[str, tuple[str, ...]], run: Callable[[str], None], cancelled: Event) -> None:
    """Run every node of a dependency graph, concurrently where possible; raise the first error.

    After an error no further node is started, and `cancelled` is set for those that are running.
    """
    sorter = TopologicalSorter(graph)
    sorter.prepare()
    with ThreadPoolExecutor(len(graph)) as pool:
        running: dict[Future[None], str] = {}
        try:
            while sorter.is_active():
                running |= {pool.submit(run, name): name for name in sorter.get_ready()}
                done, _ = wait(running, return_when=FIRST_COMPLETED)
                for future in done:
                    future.result()
                    sorter.done(running.pop(future))
        except BaseException:
            cancelled.set()
            raise


def run_step(step: Step, home: Home, cancelled: Event) -> None:
    """Run a task or start a server."""
    if isinstance(step, Task):
        step.run()
    elif isinstance(step, Server):
        start_server(step, home, cancelled)


def start_server(server: Server, home: Home, cancelled: Event) -> None:
    """Start a server unless it is running, wait until it is ready, and provision it."""
    if not list_processes(home)[server.name].running:
        server.prepare()
    start_process(home, server.name)
    wait_until_ready(server, home, cancelled)
    server.provision()


def wait_until_ready(server: Server, home: Home, cancelled: Event) -> None:
    """Wait until a server is ready. Raises LocalError if it fails to start or does not become ready in time."""
    waited = Stopwatch()
    pids: set[int] = set()
    while True:
        process = list_processes(home)[server.name]
        pids.add(process.pid)
        try:
            if process.running:
                server.check(process.started)
                return
            reason = process.error or f"its process is {process.state.lower()}"
        except NotReadyError as error:
            reason = str(error)
        if process.state == "FATAL" or len(pids) > MAX_STARTS or waited.read() > READY_TIMEOUT_SECONDS:
            raise LocalError(
                f"{server.name} does not become ready ({reason}); see `member-analyzer logs {server.name}`"
                f" or {home.display_path(home.logs / server.name)}.log"
            )
        if cancelled.wait(0.2):
            raise LocalError(f"the start of {server.name} was cancelled")


def down(home: Home, console: Console) -> bool:
    """Stop all servers in order and terminate all remaining processes; False if there were none."""
    with locked(home):
        return stop(home, console)


def stop(home: Home, console: Console) -> bool:
    """Stop the servers and the supervisor, then terminate all remaining processes."""
    postgres = make_postgres(home)
    supervised = is_supervised(home)
    if supervised:
        stop_servers(home, console)
        call(home, "shutdown")
        deadline = time.monotonic() + 10
        while is_supervised(home) and time.monotonic() < deadline:
            time.sleep(0.05)
    return terminate_orphans(home.root, postgres.program) > 0 or supervised


def stop_servers(home: Home, console: Console) -> None:
    """Stop each server once those that depend on it have stopped."""
    steps = make_steps(home)
    dependents: dict[str, tuple[str, ...]] = {
        name: tuple(other.name for other in steps.values() if name in other.depends_on) for name in steps
    }
    running = {name for name, process in list_processes(home).items() if process.state != "STOPPED"}
    with Display(console, len(running), verb="stopped") as display:

        def run(name: str) -> None:
            if name in running:
                display.begin(name)
                stop_process(home, name)
                display.finish(name)

        run_graph(dependents, run, Event())


def list_status(home: Home) -> list[ServerStatus]:
    """The status of all servers, checked concurrently."""
    servers = make_servers(home)
    is_up = is_supervised(home)
    processes = list_processes(home) if is_up else {}
    restarts = read_restarts(home.logs, datetime.now(UTC)) if is_up else {}

    def check(server: Server) -> ServerStatus:
        process = processes.get(server.name)
        if process is None or not process.running:
            state = process.state.lower() if process else "stopped"
            return ServerStatus(server.name, state, None, None, False, "", server.address, 0, restarts.get(server.name))
        reason = ""
        try:
            server.check(process.started)
        except NotReadyError as error:
            reason = str(error)
        return ServerStatus(
            name=server.name,
            state=process.state.lower(),
            pid=process.pid,
            uptime=datetime.now(UTC) - process.started,
            ready=not reason,
            error=reason,
            address=server.address,
            memory=measure_memory(process.pid),
            restarts=restarts.get(server.name),
        )

    with ThreadPoolExecutor(len(servers)) as pool:
        return list(pool.map(check, servers.values()))


def measure_memory(pid: int) -> int:
    """The PSS of a process and its descendants, in bytes."""
    total = 0
    try:
        process = psutil.Process(pid)
        for member in [process, *process.children(recursive=True)]:
            try:
                total += member.memory_full_info().pss
            except psutil.Error:
                continue
    except psutil.Error:
        pass
    return total


def reset(home: Home, console: Console) -> None:
    """Stop the platform and delete its data, logs and passwords, but not its downloads."""
    with locked(home):
        try:
            load_passwords(home.passwords)
        except LocalError:
            # The data that it protects is deleted anyway, and the steps below need a valid file.
            home.passwords.unlink(missing_ok=True)
        stop(home, console)
        postgres = make_postgres(home)
        registry = Registry(home, postgres.passwords, postgres.java)
        outside = [postgres.directory, postgres.program, registry.program]
        # By name, because the user may keep other files in the home.
        folders = {step.name for step in STEPS} | {"airflow", "spark", "supervisor", "logs", "checkpoint", "graphs"}
        folders.add(home.temporary.name)
        for path in [*(home.root / name for name in folders), *outside]:
            shutil.rmtree(path, ignore_errors=not path.exists())
        # The files in it are the user's own.
        with suppress(OSError):
            home.imports.rmdir()
        home.passwords.unlink(missing_ok=True)


LOCK = "lock"


@contextmanager
def locked(home: Home) -> Iterator[None]:
    """Allow only one command at a time to change the platform."""
    with (home.root / LOCK).open("w") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            raise LocalError(
                f"another command is starting or stopping the platform in {home.path}; wait until it is done"
            ) from error
        yield
