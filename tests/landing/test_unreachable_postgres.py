"""PostgreSQL that is unreachable without a connection reset: its packets are dropped, or its processes are stopped."""

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

from landed_members import land_users
from member_analyzer.collector.landing_pool import LandingPool, LandingUnavailableError
from member_analyzer.landing.connection import Connection, connect_landing
from member_analyzer.landing.counters import recount_landed
from member_analyzer.landing.schema import create_tables
from member_analyzer.local.postgres import Postgres, choose_user
from member_analyzer.settings import LandingSettings
from member_analyzer.streams.members.definition import MEMBERS
from member_samples import make_user
from patience import holds
from postgres_server import landing_settings, running_postgres

# The kernel's own timeout is 900 seconds and more.
TIMEOUT = 120
NEAR, FAR = "10.213.77.1", "10.213.77.2"


def run(*command: str) -> None:
    subprocess.run(command, check=True, capture_output=True, timeout=30)


@dataclass(frozen=True)
class Namespace:
    """A network namespace whose outgoing packets can be dropped."""

    name: str

    def command(self, *command: str) -> tuple[str, ...]:
        return ("ip", "netns", "exec", self.name, *command)

    def drop_packets(self) -> None:
        """Drop every packet from the namespace, without any error."""
        run(*self.command("ip", "route", "add", "blackhole", f"{NEAR}/32"))

    def pass_packets(self) -> None:
        run(*self.command("ip", "route", "del", "blackhole", f"{NEAR}/32"))


@contextmanager
def network_namespace() -> Iterator[Namespace]:
    if os.geteuid() != 0 or not all(shutil.which(one) for one in ("ip", "setpriv")):
        pytest.skip("a network namespace needs root, ip (iproute2) and setpriv (util-linux)")
    namespace = Namespace(f"landing-{os.getpid()}")
    near, far = f"ln{os.getpid() % 100_000}", f"lf{os.getpid() % 100_000}"
    try:
        run("ip", "netns", "add", namespace.name)
        run("ip", "link", "add", near, "type", "veth", "peer", "name", far, "netns", namespace.name)
    except subprocess.CalledProcessError as error:
        subprocess.run(["ip", "netns", "del", namespace.name], capture_output=True, check=False)
        pytest.skip(f"network namespaces are not permitted here: {error.stderr.decode().strip()}")
    try:
        run("ip", "address", "add", f"{NEAR}/30", "dev", near)
        run("ip", "link", "set", near, "up")
        for command in (
            ("ip", "address", "add", f"{FAR}/30", "dev", far),
            ("ip", "link", "set", far, "up"),
            ("ip", "link", "set", "lo", "up"),
        ):
            run(*namespace.command(*command))
        yield namespace
    finally:
        # This also deletes its interfaces.
        run("ip", "netns", "del", namespace.name)


@dataclass(frozen=True)
class Outage:
    """How an outage of PostgreSQL begins and ends."""

    settings: LandingSettings
    begin: Callable[[], None]
    end: Callable[[], None]


@contextmanager
def packets_dropped() -> Iterator[Outage]:
    with ExitStack() as stack:
        namespace = stack.enter_context(network_namespace())
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        with running_postgres(folder) as (server, _):
            server.provision()
        with (server.data / "pg_hba.conf").open("a") as rules:
            rules.write(f"host all all {NEAR}/32 scram-sha-256\n")
        entry = pwd.getpwnam(choose_user() or "root")
        user = ("setpriv", f"--reuid={entry.pw_uid}", f"--regid={entry.pw_gid}", "--clear-groups")
        command = namespace.command(*user, *server.command, "-c", f"listen_addresses={FAR}")
        with (folder / "inside.log").open("wb") as log:
            process = subprocess.Popen(command, stdout=log, stderr=log, cwd="/")
        stack.callback(process.wait, 60)
        stack.callback(process.send_signal, signal.SIGINT)
        settings = landing_settings(server).model_copy(update={"host": FAR, "unreachable_timeout": 3})
        assert holds(lambda: accepts(settings)), (folder / "inside.log").read_text()
        yield Outage(settings, namespace.drop_packets, namespace.pass_packets)


@contextmanager
def processes_stopped() -> Iterator[Outage]:
    with tempfile.TemporaryDirectory() as folder, running_postgres(Path(folder)) as (server, pid):
        server.provision()

        def signal_all(number: signal.Signals) -> None:
            postmaster = psutil.Process(pid)
            for one in (postmaster, *postmaster.children(recursive=True)):
                # A process of an ended connection may be gone.
                with suppress(psutil.NoSuchProcess):
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
    """The collector's pool in its own event loop, landing members one by one."""

    def __init__(self, settings: LandingSettings) -> None:
        self._settings = settings
        self.accepted: list[str] = []
        self.failed = 0
        self._stopping = Event()
        self._thread = Thread(target=anyio.run, args=(self._run,))

    def __enter__(self) -> "Collector":
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stopping.set()
        self._thread.join(TIMEOUT)

    async def _run(self) -> None:
        pool = LandingPool(self._settings, 4)
        pool.open()
        number = 0
        try:
            while not self._stopping.is_set():
                number += 1
                key = f"member-{number}"
                try:
                    await pool.run(land_users, [make_user(login={"uuid": key})], source="test")
                    self.accepted.append(key)
                except LandingUnavailableError:
                    self.failed += 1
                await anyio.sleep(0.05)
        finally:
            pool.close()


@pytest.mark.parametrize("unreachable", [packets_dropped, processes_stopped])
def test_the_collector_fails_requests_during_the_outage_and_recovers_by_itself(unreachable: Any) -> None:
    with unreachable() as outage:
        with connect_landing(outage.settings) as connection:
            create_tables(connection, [MEMBERS])
        with Collector(outage.settings) as collector:
            assert holds(lambda: len(collector.accepted) >= 10, TIMEOUT)
            outage.begin()
            try:
                # The request in flight reaches its deadline; later ones get no connection.
                assert holds(lambda: collector.failed >= 5, TIMEOUT)
            finally:
                outage.end()
            before = len(collector.accepted)
            assert holds(lambda: len(collector.accepted) >= before + 10, TIMEOUT)
        with connect_landing(outage.settings) as connection:
            landed = {row[0] for row in connection.execute("SELECT id FROM landing.users")}
            assert set(collector.accepted) <= landed
            # Requests without a response may have been committed, but never twice.
            assert recount_landed(connection, MEMBERS).accepted == len(landed)


@pytest.mark.parametrize("is_idle", [True, False], ids=["idle", "waiting for a response"])
def test_a_connection_whose_packets_are_dropped_fails_long_before_the_kernels_timeout(is_idle: bool) -> None:
    with packets_dropped() as outage, connect_landing(outage.settings) as connection:
        connection.execute("SELECT 1")
        outage.begin()
        try:
            with socket.socket(fileno=os.dup(connection.fileno())) as own:
                if is_idle:
                    assert holds(lambda: own.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR) != 0, TIMEOUT)
                else:
                    failed = Event()
                    Thread(target=fail, args=(connection, failed), daemon=True).start()
                    assert failed.wait(TIMEOUT)
        finally:
            outage.end()


def fail(connection: Connection, failed: Event) -> None:
    try:
        connection.execute("SELECT 1")
    except psycopg.OperationalError:
        failed.set()


def test_the_server_terminates_a_session_that_is_idle_in_a_transaction(postgres: Postgres) -> None:
    settings = landing_settings(postgres).model_copy(update={"idle_in_transaction_timeout": 1})
    try_lock = "SELECT pg_try_advisory_xact_lock(77)"
    with (
        connect_landing(landing_settings(postgres)) as other,
        suppress(psycopg.errors.IdleInTransactionSessionTimeout),
        connect_landing(settings) as connection,
    ):
        connection.execute("BEGIN")
        connection.execute("SELECT pg_advisory_xact_lock(77)")
        assert other.execute(try_lock).fetchone() == (False,)
        assert holds(lambda: other.execute(try_lock).fetchone() == (True,), TIMEOUT)
