"""PostgreSQL that is unreachable without a reset: its packets are dropped, or its processes stand still."""

import os
import pwd
import shutil
import signal
import socket
import subprocess
import tempfile
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from threading import Event, Thread
from typing import Any

import anyio
import psutil
import psycopg
import pytest

from member_analyzer.collector.landing_pool import LandingAwayError, LandingPool
from member_analyzer.landing.acceptance import land_users
from member_analyzer.landing.connection import Connection, connect_landing
from member_analyzer.landing.counters import recount_landed
from member_analyzer.landing.schema import create_tables
from member_analyzer.local.postgres import Postgres, choose_user
from member_analyzer.settings import LandingSettings
from member_samples import make_user
from patience import holds
from postgres_server import landing_settings, running_postgres

# The kernel's own patience is 900 seconds and more.
PATIENCE = 120
NEAR, FAR = "10.213.77.1", "10.213.77.2"


def run(*command: str) -> None:
    subprocess.run(command, check=True, capture_output=True, timeout=30)


@dataclass(frozen=True)
class Hole:
    """A network namespace of its own, whose answers can be dropped."""

    name: str

    def inside(self, *command: str) -> tuple[str, ...]:
        return ("ip", "netns", "exec", self.name, *command)

    def open(self) -> None:
        """Drop every answer from inside from now on; nobody learns of it."""
        run(*self.inside("ip", "route", "add", "blackhole", f"{NEAR}/32"))

    def close(self) -> None:
        run(*self.inside("ip", "route", "del", "blackhole", f"{NEAR}/32"))


@contextmanager
def network_namespace() -> Iterator[Hole]:
    if os.geteuid() != 0 or not all(shutil.which(one) for one in ("ip", "setpriv")):
        pytest.skip("a network namespace needs root, ip (iproute2) and setpriv (util-linux)")
    hole = Hole(f"landing-{os.getpid()}")
    near, far = f"ln{os.getpid() % 100_000}", f"lf{os.getpid() % 100_000}"
    try:
        run("ip", "netns", "add", hole.name)
        run("ip", "link", "add", near, "type", "veth", "peer", "name", far, "netns", hole.name)
    except subprocess.CalledProcessError as error:
        subprocess.run(["ip", "netns", "del", hole.name], capture_output=True, check=False)
        pytest.skip(f"network namespaces are not permitted here: {error.stderr.decode().strip()}")
    try:
        run("ip", "address", "add", f"{NEAR}/30", "dev", near)
        run("ip", "link", "set", near, "up")
        for command in (
            ("ip", "address", "add", f"{FAR}/30", "dev", far),
            ("ip", "link", "set", far, "up"),
            ("ip", "link", "set", "lo", "up"),
        ):
            run(*hole.inside(*command))
        yield hole
    finally:
        # The interfaces go with it.
        run("ip", "netns", "del", hole.name)


@dataclass(frozen=True)
class Outage:
    """How PostgreSQL becomes unreachable, and how it is back."""

    settings: LandingSettings
    begin: Callable[[], None]
    end: Callable[[], None]


@contextmanager
def packets_dropped() -> Iterator[Outage]:
    with ExitStack() as stack:
        hole = stack.enter_context(network_namespace())
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        with running_postgres(folder) as (server, _):
            server.provision()
        with (server.data / "pg_hba.conf").open("a") as rules:
            rules.write(f"host all all {NEAR}/32 scram-sha-256\n")
        entry = pwd.getpwnam(choose_user() or "root")
        user = ("setpriv", f"--reuid={entry.pw_uid}", f"--regid={entry.pw_gid}", "--clear-groups")
        command = hole.inside(*user, *server.command, "-c", f"listen_addresses={FAR}")
        with (folder / "inside.log").open("wb") as log:
            process = subprocess.Popen(command, stdout=log, stderr=log, cwd="/")
        stack.callback(process.wait, 60)
        stack.callback(process.send_signal, signal.SIGINT)
        settings = landing_settings(server).model_copy(update={"host": FAR, "unreachable_timeout": 3})
        assert holds(lambda: accepts(settings), 60), (folder / "inside.log").read_text()
        yield Outage(settings, hole.open, hole.close)


@contextmanager
def processes_stopped() -> Iterator[Outage]:
    with tempfile.TemporaryDirectory() as folder, running_postgres(Path(folder)) as (server, pid):
        server.provision()

        def signal_all(number: signal.Signals) -> None:
            postmaster = psutil.Process(pid)
            for one in (postmaster, *postmaster.children(recursive=True)):
                one.send_signal(number)

        try:
            yield Outage(
                landing_settings(server), lambda: signal_all(signal.SIGSTOP), lambda: signal_all(signal.SIGCONT)
            )
        finally:
            signal_all(signal.SIGCONT)


def accepts(settings: LandingSettings) -> bool:
    try:
        with connect_landing(settings):
            return True
    except psycopg.OperationalError:
        return False


class Collector:
    """The collector's pool in an event loop of its own, which lands a member for each request."""

    def __init__(self, settings: LandingSettings) -> None:
        self._settings = settings
        self.accepted: list[str] = []
        self.refused = 0
        self._ending = Event()
        self._thread = Thread(target=anyio.run, args=(self._run,))

    def __enter__(self) -> "Collector":
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._ending.set()
        self._thread.join(PATIENCE)

    async def _run(self) -> None:
        pool = LandingPool(self._settings, 4)
        pool.open()
        number = 0
        try:
            while not self._ending.is_set():
                number += 1
                key = f"member-{number}"
                try:
                    await pool.run(land_users, [make_user(login={"uuid": key})], source="test")
                    self.accepted.append(key)
                except LandingAwayError:
                    self.refused += 1
                await anyio.sleep(0.05)
        finally:
            pool.close()


@pytest.mark.parametrize("unreachable", [packets_dropped, processes_stopped])
def test_the_collector_refuses_meanwhile_and_lands_again_by_itself_afterwards(unreachable: Any) -> None:
    with unreachable() as outage:
        with connect_landing(outage.settings) as connection:
            create_tables(connection)
        with Collector(outage.settings) as collector:
            assert holds(lambda: len(collector.accepted) >= 10, PATIENCE)
            outage.begin()
            try:
                # The request under way meets its deadline, those after it find no connection.
                assert holds(lambda: collector.refused >= 5, PATIENCE)
            finally:
                outage.end()
            before = len(collector.accepted)
            assert holds(lambda: len(collector.accepted) >= before + 10, PATIENCE)
        with connect_landing(outage.settings) as connection:
            landed = {row[0] for row in connection.execute("SELECT id FROM landing.users")}
            assert set(collector.accepted) <= landed
            # What was not answered may have been committed, but never twice.
            assert recount_landed(connection).accepted == len(landed)


@pytest.mark.parametrize("is_idle", [True, False], ids=["idle", "waiting for an answer"])
def test_a_connection_whose_packets_are_dropped_fails_long_before_the_kernel_gives_it_up(is_idle: bool) -> None:
    with packets_dropped() as outage, connect_landing(outage.settings) as connection:
        connection.execute("SELECT 1")
        outage.begin()
        try:
            with socket.socket(fileno=os.dup(connection.fileno())) as own:
                if is_idle:
                    assert holds(lambda: own.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR) != 0, PATIENCE)
                else:
                    failed = Event()
                    Thread(target=fail, args=(connection, failed), daemon=True).start()
                    assert failed.wait(PATIENCE)
        finally:
            outage.end()


def fail(connection: Connection, failed: Event) -> None:
    try:
        connection.execute("SELECT 1")
    except psycopg.OperationalError:
        failed.set()


def test_the_server_ends_a_transaction_that_its_program_does_not_continue(postgres: Postgres) -> None:
    settings = landing_settings(postgres).model_copy(update={"idle_in_transaction_timeout": 1})
    free = "SELECT pg_try_advisory_xact_lock(77)"
    with (
        connect_landing(landing_settings(postgres)) as other,
        suppress(psycopg.errors.IdleInTransactionSessionTimeout),
        connect_landing(settings) as connection,
    ):
        connection.execute("BEGIN")
        connection.execute("SELECT pg_advisory_xact_lock(77)")
        assert other.execute(free).fetchone() == (False,)
        assert holds(lambda: other.execute(free).fetchone() == (True,), PATIENCE)
