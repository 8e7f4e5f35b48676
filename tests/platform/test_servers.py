"""The servers of the real platform: commands, authentication, and recovery of killed servers."""

import json
import os
import signal
import socket
import stat
from collections.abc import Iterator
from contextlib import ExitStack
from datetime import datetime
from ipaddress import IPv6Address, ip_address
from pathlib import Path
from typing import Any

import psutil
import psycopg
import pytest
import requests
from cassandra import AuthenticationFailed
from cassandra.auth import PlainTextAuthProvider
from cassandra.cluster import Cluster, NoHostAvailable
from confluent_kafka import KafkaError, KafkaException
from confluent_kafka.admin import AdminClient

from drill import KILLED_BY_DRILLS
from member_analyzer.kafka.client import client_options
from member_analyzer.local.orphans import MARKER, command_line, find_marked, find_processes
from member_analyzer.local.passwords import load_passwords
from member_analyzer.local.platform import STEPS, ServerStatus, list_status, make_postgres, make_servers
from member_analyzer.local.server import Server
from member_analyzer.local.supervision import call, list_processes, start_process, stop_process
from member_analyzer.operations.airflow import ENDED
from member_analyzer.settings import KafkaSettings, LandingSettings, LocalSettings
from patience import holds
from running_platform import Platform
from server_processes import orphans, server_processes

SERVERS = [step.name for step in STEPS if issubclass(step, Server)]


@pytest.fixture
def disconnected(platform: Platform) -> Iterator[Platform]:
    """The platform without the tests' connections, for tests that kill its servers."""
    platform.disconnect()
    yield platform
    platform.connect()


@pytest.fixture
def second_home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The home of a second platform with free ports, which the commands then use."""
    home = tmp_path / "home"
    with ExitStack() as stack:
        for name in LocalSettings.model_fields:
            if name.endswith("_port"):
                port = stack.enter_context(socket.create_server(("127.0.0.1", 0))).getsockname()[1]
                monkeypatch.setenv(f"LOCAL_{name.upper()}", str(port))
    monkeypatch.setenv("LOCAL_HOME", str(home))
    monkeypatch.setenv("LOCAL_MINIMUM_MEMORY_GIGABYTES", "0.1")
    return home


def processes(platform: Platform) -> list[psutil.Process]:
    return find_processes(platform.home.root, make_postgres(platform.home).program)


def pids(platform: Platform) -> dict[str, int]:
    return {name: process.pid for name, process in list_processes(platform.home).items()}


def status(platform: Platform, name: str) -> ServerStatus:
    return next(one for one in list_status(platform.home) if one.name == name)


def kill(platform: Platform, name: str) -> int:
    pid = pids(platform)[name]
    # Process id 0 would signal the tests themselves.
    assert pid, f"{name} is not running"
    os.kill(pid, signal.SIGKILL)
    return pid


def wait_until_back(platform: Platform, name: str, killed: int) -> None:
    def is_back() -> bool:
        now = status(platform, name)
        return now.ready and now.pid != killed

    assert holds(is_back), f"{name} was not restarted: {status(platform, name)}"


def one_line_error(platform: Platform, *arguments: str) -> str:
    failed = platform.command(*arguments, check=False)
    assert failed.returncode == 1
    (line,) = failed.stderr.splitlines()
    assert line.startswith("error: ")
    return line


def test_up_on_a_running_platform_changes_nothing(platform: Platform) -> None:
    before = pids(platform)
    # On a busy machine a server may respond too late, and `up` then waits until it is ready.
    assert holds(lambda: "the platform is already up" in platform.command("up").stdout)
    assert pids(platform) == before


def test_status_shows_every_server_ready(platform: Platform, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "200")
    rows = [line.split() for line in platform.command("status").stdout.splitlines()]
    assert {row[0]: row[1] for row in rows if row and row[0] in SERVERS} == dict.fromkeys(SERVERS, "ready")


def test_the_last_lines_of_a_log_are_shown(platform: Platform) -> None:
    lines = platform.command("logs", "stream", "--lines", "3").stdout.splitlines()
    assert 1 <= len(lines) <= 3
    assert set(lines) <= set((platform.home.logs / "stream.log").read_text().splitlines())


def test_an_unknown_log_is_a_one_line_error_with_the_available_logs(platform: Platform) -> None:
    line = one_line_error(platform, "logs", "no-such-server")
    assert "there is no log of 'no-such-server'" in line
    assert all(name in line for name in SERVERS)


def test_the_servers_listen_only_on_loopback_addresses(platform: Platform) -> None:
    listening = {
        (connection.laddr.ip, connection.laddr.port)
        for process in processes(platform)
        for connection in process.net_connections("tcp")
        if connection.status == psutil.CONN_LISTEN
    }
    ports = {port for server in make_servers(platform.home).values() for port in server.ports.values()}
    assert ports <= {port for _, port in listening}
    assert [f"{ip} {port}" for ip, port in listening if not is_loopback(ip)] == []


def is_loopback(ip: str) -> bool:
    address = ip_address(ip)
    # Java uses IPv4-mapped IPv6 addresses.
    return ((isinstance(address, IPv6Address) and address.ipv4_mapped) or address).is_loopback


def test_kafka_rejects_a_wrong_password_and_clients_without_a_login(platform: Platform) -> None:
    options = client_options(KafkaSettings.of(platform.environment("reader")))
    plain = {"bootstrap.servers": options["bootstrap.servers"], "security.protocol": "PLAINTEXT"}
    assert "users" in list_topics(options, [])
    errors: list[KafkaError] = []
    with pytest.raises(KafkaException):
        list_topics(options | {"sasl.password": "wrong"}, errors)
    assert KafkaError._AUTHENTICATION in {error.code() for error in errors}
    with pytest.raises(KafkaException):
        list_topics(plain, [])


def list_topics(options: dict[str, Any], errors: list[KafkaError]) -> set[str]:
    client = AdminClient(options | {"log_level": 0, "error_cb": errors.append})
    try:
        return set(client.list_topics(timeout=3).topics)
    finally:
        client.poll(0)


@pytest.mark.parametrize(
    "login",
    [
        pytest.param(None, id="no-login"),
        pytest.param(PlainTextAuthProvider("cassandra", "cassandra"), id="the-default-login"),
        pytest.param(PlainTextAuthProvider("admin", "wrong"), id="a-wrong-password"),
    ],
)
def test_cassandra_rejects(platform: Platform, login: PlainTextAuthProvider | None) -> None:
    port = platform.home.settings.cassandra_port
    with Cluster(["127.0.0.1"], port=port, auth_provider=login) as cluster, pytest.raises(NoHostAvailable) as raised:
        cluster.connect()
    assert [type(error) for error in raised.value.errors.values()] == [AuthenticationFailed]


def test_postgresql_rejects_wrong_passwords_and_access_to_other_databases(platform: Platform) -> None:
    landing = LandingSettings.of(platform.environment("admin"))
    password = landing.password.get_secret_value()
    for user, given, database, error in (
        ("member_analyzer", "wrong", "member_analyzer", "password authentication failed"),
        ("postgres", "postgres", "postgres", "password authentication failed"),
        ("postgres", "", "postgres", "no password supplied"),
        ("member_analyzer", password, "airflow", "permission denied for database"),
    ):
        with pytest.raises(psycopg.OperationalError, match=error):
            psycopg.connect(host=landing.host, port=landing.port, user=user, password=given, dbname=database)


def test_airflow_rejects_a_wrong_password_and_requests_without_a_login(platform: Platform) -> None:
    address = f"http://127.0.0.1:{platform.home.settings.airflow_port}"
    wrong = {"username": "admin", "password": "wrong"}
    assert requests.post(f"{address}/auth/token", json=wrong, timeout=30).status_code == 401
    assert requests.get(f"{address}/api/v2/dags", timeout=30).status_code == 401
    assert requests.post(f"{address}/api/v2/dags/user_create/dagRuns", json={}, timeout=30).status_code == 401
    # The login of installations in which everybody is an administrator.
    assert requests.get(f"{address}/auth/token", timeout=30).status_code in (401, 403)


def test_only_the_owner_can_read_the_passwords(platform: Platform) -> None:
    assert stat.S_IMODE(platform.home.passwords.stat().st_mode) == 0o600


def test_no_password_is_on_a_command_line_while_a_task_runs_spark(platform: Platform) -> None:
    passwords = load_passwords(platform.home.passwords).model_dump()
    seen: set[str] = set()
    platform.take("recounted", 100)
    platform.wait_until_counted()
    run = platform.airflow.start_run("user_analysis")

    def has_ended() -> bool:
        seen.update(" ".join(command_line(process)) for process in psutil.process_iter())
        return platform.airflow.read_run(run.dag, run.run).state in ENDED

    assert holds(has_ended), "the recount did not end"
    assert any("recount.py" in line for line in seen), "the recount's process was not seen"
    assert [name for name, password in passwords.items() if any(password in line for line in seen)] == []


def test_killed_servers_are_restarted_and_leave_no_orphans(disconnected: Platform) -> None:
    home = disconnected.home
    killed = {name: kill(disconnected, name) for name in SERVERS if name not in KILLED_BY_DRILLS}
    for name, pid in killed.items():
        wait_until_back(disconnected, name, pid)
        assert holds(lambda server=name: not orphans(home, server)), (name, orphans(home, name))


def test_a_scheduler_that_hangs_is_restarted(platform: Platform) -> None:
    hanging = pids(platform)["airflow-scheduler"]
    os.kill(hanging, signal.SIGSTOP)
    assert holds(lambda: not psutil.pid_exists(hanging)), "it was not killed"
    wait_until_back(platform, "airflow-scheduler", killed=hanging)


def test_members_are_counted_after_the_kills(platform: Platform) -> None:
    assert holds(lambda: all(one.ready for one in list_status(platform.home))), list_status(platform.home)
    platform.create("after-kills", 200)
    platform.wait_until_counted()


def test_the_stream_survives_a_long_outage_of_cassandra(platform: Platform) -> None:
    log = platform.home.logs / "stream.log"

    def seconds_unavailable() -> float:
        """The seconds from the first to the last failed check in the log; each check may take until its timeout."""
        lines = log.read_bytes()[size:].decode(errors="replace").splitlines()
        entries = [json.loads(line) for line in lines if "stream.cassandra_unavailable" in line and line.endswith("}")]
        times = [datetime.fromisoformat(entry["timestamp"]) for entry in entries]
        return (times[-1] - times[0]).total_seconds() if times else 0

    platform.take("before-the-outage-of-cassandra", 20)
    platform.wait_until_counted()
    platform.disconnect()
    before, size = pids(platform), log.stat().st_size
    stop_process(platform.home, "cassandra")
    try:
        # With exponential backoff from one second, it would retry after 31 seconds, and then only after 63.
        assert holds(lambda: seconds_unavailable() >= 35), "the stream does not log the outage"
    finally:
        start_process(platform.home, "cassandra")
        wait_until_back(platform, "cassandra", before["cassandra"])
        platform.connect()
    platform.take("after-the-outage-of-cassandra", 20)
    platform.wait_until_counted()
    assert pids(platform)["stream"] == before["stream"]


def test_the_stream_starts_no_programs_while_it_counts_members(platform: Platform) -> None:
    def child_page_faults() -> int:
        """The page faults of programs that the stream's JVM has started and waited for."""
        (java,) = [one for one in server_processes(platform.home, "stream") if one.name() == "java"]
        return int(Path(f"/proc/{java.pid}/stat").read_text().rpartition(")")[2].split()[9])

    platform.take("no programs before", 10)
    platform.wait_until_counted()
    before = child_page_faults()
    platform.take("no programs", 500)
    platform.wait_until_counted()
    assert child_page_faults() == before
    assert not list(platform.home.checkpoint.rglob("*.crc"))


def test_after_a_crash_of_the_supervisor_the_platform_can_be_stopped_and_started_without_data_loss(
    platform: Platform,
) -> None:
    platform.take("before-the-supervisor-is-killed", 100)
    platform.wait_until_counted()
    platform.disconnect()
    os.kill(call(platform.home, "getPID"), signal.SIGKILL)
    assert len(processes(platform)) >= len(SERVERS), "the servers exited with their supervisor, so this test is void"
    assert "the platform is down" in platform.command("down").stdout
    assert processes(platform) == []
    assert platform.command("status", check=False).returncode == 1
    assert "the platform is not up" in platform.command("down").stdout
    platform.command("up")
    platform.connect()
    platform.wait_until_counted()


def test_a_port_in_use_is_reported_with_the_process_and_the_setting(
    platform: Platform, second_home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        monkeypatch.setenv("LOCAL_KAFKA_PORT", str(port))
        line = one_line_error(platform, "up")
    assert f"port {port} of kafka is already in use by" in line
    assert f"(process {os.getpid()})" in line
    assert "LOCAL_KAFKA_PORT" in line
    assert find_marked({MARKER: str(second_home)}) == []


def test_too_little_memory_is_reported_with_the_setting_of_the_limit(
    platform: Platform, second_home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("LOCAL_MINIMUM_MEMORY_GIGABYTES", "100000")
    line = one_line_error(platform, "up")
    assert "GB of memory are free, but the platform needs 100000 GB" in line
    assert "LOCAL_MINIMUM_MEMORY_GIGABYTES" in line
    assert find_marked({MARKER: str(second_home)}) == []
