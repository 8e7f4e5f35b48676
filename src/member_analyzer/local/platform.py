"""The platform as a whole: up, down, status, reset."""

import fcntl
import shutil
import time
from collections.abc import Callable, Iterator
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from contextlib import contextmanager
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
from member_analyzer.local.leftovers import clear_leftovers
from member_analyzer.local.passwords import load_passwords
from member_analyzer.local.postgres import ELSEWHERE, Postgres, group
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

READY_SECONDS = 180
# So often is a server started anew before the start of the platform is given up.
MOST_STARTS = 8


@dataclass(frozen=True)
class ServerStatus:
    """How one server does."""

    name: str
    state: str
    pid: int | None
    uptime: timedelta | None
    ready: bool
    complaint: str
    address: str
    memory: int
    """Bytes of the process and all under it, what they share counted once (PSS)."""
    restarts: Restarts | None = None
    """Those of the last minutes; none where it was not restarted by itself."""


def make_steps(home: Home) -> dict[str, Step]:
    """Every step of the start, by name."""
    passwords, java = load_passwords(home.passwords), choose_java()
    return {step.name: step(home, passwords, java) for step in STEPS}


def make_servers(home: Home) -> dict[str, Server]:
    """Every server, by name, in the order of their start."""
    steps = make_steps(home)
    order = TopologicalSorter({name: step.after for name, step in steps.items()}).static_order()
    return {name: step for name in order if isinstance(step := steps[name], Server)}


def make_postgres(home: Home) -> Postgres:
    """PostgreSQL alone, whose files may lie outside the home."""
    return Postgres(home, load_passwords(home.passwords), choose_java())


def install(home: Home, console: Console) -> None:
    """Download and verify what the servers run."""
    check_machine()
    fetch_artifacts(["kafka", "registry", "cassandra", "spark", group()], home.downloads, console)


def up(home: Home, console: Console) -> bool:
    """Start whatever does not run and wait until all is ready; false if everything was already."""
    with locked(home):
        if is_supervised(home) and all(status.ready for status in list_status(home)):
            return False
        install(home, console)
        fresh = not is_supervised(home)
        try:
            if fresh:
                begin(home, console)
            run_steps(make_steps(home), home, console)
        except BaseException:
            # Nothing half-done: what was started here is stopped again.
            if fresh:
                end(home, console)
            raise
        return True


def begin(home: Home, console: Console) -> None:
    """Make sure of the machine and start the supervisor, without any server yet."""
    servers, postgres = make_servers(home), make_postgres(home)
    ended = clear_leftovers(home.root, postgres.program)
    if ended:
        console.print(f"ended {ended} processes that an earlier start had left behind")
    shutil.rmtree(home.temporary, ignore_errors=True)
    home.folder("temporary")
    check_space(home)
    check_ports(servers.values())
    console.print(postgres.java.reason, highlight=False, soft_wrap=True)
    if postgres.directory.is_relative_to(ELSEWHERE):
        console.print(
            f"PostgreSQL cannot run as root, and {postgres.user} cannot enter {home.place}:"
            f" its data is in {postgres.directory}",
            soft_wrap=True,
        )
    start_supervisor(home, write_supervisor_configuration(home, servers.values()))


def run_steps(steps: dict[str, Step], home: Home, console: Console) -> None:
    """Run each step as soon as those that it comes after are done."""
    abandon = Event()
    with Display(console, len(steps)) as display:

        def take(name: str) -> None:
            display.begin(name)
            run_step(steps[name], home, abandon)
            display.finish(name)

        run_graph({name: step.after for name, step in steps.items()}, take, abandon)


def run_graph(graph: dict[str, tuple[str, ...]], take: Callable[[str], None], abandon: Event) -> None:
    """Take every node of a graph, at once where their order allows; the first failure is raised.

    The rest is not begun then, and `abandon` tells those under way that nobody waits for them any more.
    """
    sorter = TopologicalSorter(graph)
    sorter.prepare()
    with ThreadPoolExecutor(len(graph)) as pool:
        running: dict[Future[None], str] = {}
        try:
            while sorter.is_active():
                running |= {pool.submit(take, name): name for name in sorter.get_ready()}
                done, _ = wait(running, return_when=FIRST_COMPLETED)
                for future in done:
                    future.result()
                    sorter.done(running.pop(future))
        except BaseException:
            abandon.set()
            raise


def run_step(step: Step, home: Home, abandon: Event) -> None:
    """Run a task, or bring up a server."""
    if isinstance(step, Task):
        step.run()
    elif isinstance(step, Server):
        run_server(step, home, abandon)


def run_server(server: Server, home: Home, abandon: Event) -> None:
    """Start a server unless it runs, wait until it is ready and provision it."""
    if not list_processes(home)[server.name].running:
        server.prepare()
    start_process(home, server.name)
    wait_until_ready(server, home, abandon)
    server.provision()


def wait_until_ready(server: Server, home: Home, abandon: Event) -> None:
    """Ask the server until it answers as it should."""
    waited = Stopwatch()
    pids: set[int] = set()
    while True:
        process = list_processes(home)[server.name]
        pids.add(process.pid)
        try:
            if process.running:
                server.check(process.started)
                return
            complaint = process.complaint or f"its process is {process.state.lower()}"
        except NotReadyError as error:
            complaint = str(error)
        if process.state == "FATAL" or len(pids) > MOST_STARTS or waited.read() > READY_SECONDS:
            raise LocalError(
                f"{server.name} does not get ready ({complaint}); see why with `member-analyzer logs {server.name}`"
                f" or in {home.called(home.logs / server.name)}.log"
            )
        if abandon.wait(0.2):
            raise LocalError(f"{server.name} was not waited for")


def down(home: Home, console: Console) -> bool:
    """Stop every server in order and leave no process behind; false if there was none."""
    with locked(home):
        return end(home, console)


def end(home: Home, console: Console) -> bool:
    """Stop what is supervised, then whatever is left."""
    postgres = make_postgres(home)
    supervised = is_supervised(home)
    if supervised:
        stop_servers(home, console)
        call(home, "shutdown")
        deadline = time.monotonic() + 10
        while is_supervised(home) and time.monotonic() < deadline:
            time.sleep(0.05)
    return clear_leftovers(home.root, postgres.program) > 0 or supervised


def stop_servers(home: Home, console: Console) -> None:
    """Stop each server once those that come after it have stopped."""
    steps = make_steps(home)
    before: dict[str, tuple[str, ...]] = {
        name: tuple(other.name for other in steps.values() if name in other.after) for name in steps
    }
    running = {name for name, process in list_processes(home).items() if process.state != "STOPPED"}
    with Display(console, len(running), verb="stopped") as display:

        def take(name: str) -> None:
            if name in running:
                display.begin(name)
                stop_process(home, name)
                display.finish(name)

        run_graph(before, take, Event())


def list_status(home: Home) -> list[ServerStatus]:
    """How every server does, asked at the same time."""
    servers = make_servers(home)
    is_up = is_supervised(home)
    processes = list_processes(home) if is_up else {}
    restarts = read_restarts(home.logs, datetime.now(UTC)) if is_up else {}

    def ask(server: Server) -> ServerStatus:
        process = processes.get(server.name)
        if process is None or not process.running:
            state = process.state.lower() if process else "stopped"
            return ServerStatus(server.name, state, None, None, False, "", server.address, 0, restarts.get(server.name))
        complaint = ""
        try:
            server.check(process.started)
        except NotReadyError as error:
            complaint = str(error)
        return ServerStatus(
            name=server.name,
            state=process.state.lower(),
            pid=process.pid,
            uptime=datetime.now(UTC) - process.started,
            ready=not complaint,
            complaint=complaint,
            address=server.address,
            memory=measure_memory(process.pid),
            restarts=restarts.get(server.name),
        )

    with ThreadPoolExecutor(len(servers)) as pool:
        return list(pool.map(ask, servers.values()))


def measure_memory(pid: int) -> int:
    """The PSS of a process and all under it, in bytes."""
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
            # What it opened is deleted now, and nothing else can be done without it.
            home.passwords.unlink(missing_ok=True)
        end(home, console)
        postgres = make_postgres(home)
        registry = Registry(home, postgres.passwords, postgres.java)
        outside = [postgres.directory, postgres.program, registry.program]
        # By name, for whoever chose the home may keep other things there.
        folders = {step.name for step in STEPS} | {"airflow", "spark", "supervisor", "logs", "checkpoint", "graphs"}
        folders.add(home.temporary.name)
        for path in [*(home.root / name for name in folders), *outside]:
            shutil.rmtree(path, ignore_errors=not path.exists())
        home.passwords.unlink(missing_ok=True)


LOCK = "lock"


@contextmanager
def locked(home: Home) -> Iterator[None]:
    """Let one command at a time change the platform."""
    with (home.root / LOCK).open("w") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            raise LocalError(
                f"another command is just starting or stopping the platform in {home.place}; wait for it"
            ) from error
        yield
