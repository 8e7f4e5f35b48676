"""How the platform orders, marks, supervises and terminates its processes."""

import json
import shutil
import socket
import subprocess
import sys
import threading

import psutil
import pytest
from rich.console import Console
from supervisor.options import dict_of_key_value_pairs

from member_analyzer.local.environment import base_environment, program_environment
from member_analyzer.local.failure import LocalError
from member_analyzer.local.home import open_home
from member_analyzer.local.orphans import MARKER, find_processes, terminate_orphans
from member_analyzer.local.passwords import load_passwords
from member_analyzer.local.platform import LOCK, make_servers, make_steps, reset, run_graph
from member_analyzer.local.supervision import find_socket, quote
from member_analyzer.settings import CassandraSettings, KafkaSettings, LandingSettings, LocalSettings
from patience import DEADLINE


@pytest.fixture
def home(tmp_path):
    return open_home(LocalSettings(home=tmp_path / "home", downloads=None))


def test_a_graph_runs_in_dependency_order():
    ran: list[str] = []
    run_graph({"c": ("b",), "b": ("a",), "a": ()}, ran.append, threading.Event())
    assert ran == ["a", "b", "c"]


def test_independent_nodes_run_concurrently():
    barrier = threading.Barrier(2, timeout=DEADLINE)
    run_graph({"a": (), "b": ()}, lambda name: bool(barrier.wait()), threading.Event())


def test_an_error_cancels_the_running_nodes_and_starts_no_more():
    cancelled = threading.Event()
    started: list[str] = []

    def run(name: str) -> None:
        started.append(name)
        if name == "fails":
            raise LocalError("it failed")
        if name == "waits":
            assert cancelled.wait(DEADLINE)

    with pytest.raises(LocalError, match="it failed"):
        run_graph({"fails": (), "waits": (), "later": ("fails",)}, run, cancelled)
    assert sorted(started) == ["fails", "waits"]


def test_every_dependency_exists(home):
    steps = make_steps(home)
    assert {name for step in steps.values() for name in step.depends_on} <= set(steps)


def test_servers_start_after_their_dependencies(home):
    order = list(make_servers(home))
    assert order.index("zookeeper") < order.index("kafka") < order.index("stream")
    assert order.index("postgres") < order.index("airflow-scheduler")


def test_no_password_is_on_a_command_line(home):
    secrets = load_passwords(home.passwords).model_dump().values()
    for server in make_servers(home).values():
        assert not [secret for secret in secrets if secret in " ".join(server.command)]


def test_every_port_has_a_setting_and_is_unique(home):
    ports = [port for server in make_servers(home).values() for port in server.ports.items()]
    assert {name.removeprefix("LOCAL_").lower() for name, _ in ports} <= set(LocalSettings.model_fields)
    assert len({number for _, number in ports}) == len(ports)


def test_programs_have_separate_users(home):
    passwords = load_passwords(home.passwords)
    stream = program_environment("stream", home)
    assert KafkaSettings.of(stream).password.get_secret_value() == passwords.kafka_stream
    assert CassandraSettings.of(stream).username == "stream"
    assert "LANDING_PASSWORD" not in stream
    airflow = program_environment("airflow", home)
    assert KafkaSettings.of(airflow).username == "airflow"
    assert LandingSettings.of(airflow).password.get_secret_value() == passwords.landing_airflow
    assert KafkaSettings.of(program_environment("admin", home)).username == "admin"


@pytest.mark.parametrize("server", ["LANDING", "KAFKA"])
def test_no_two_programs_share_a_login(home, server):
    programs = ("admin", "operator", "airflow", "reader", "collector", "console")
    logins = [program_environment(program, home)[f"{server}_USERNAME"] for program in programs]
    assert len(set(logins)) == len(programs)


def test_user_api_url_overrides_the_bundled_user_api(home, monkeypatch):
    monkeypatch.delenv("USER_API_URL", raising=False)
    assert program_environment("airflow", home)["USER_API_URL"] == make_servers(home)["user-api"].address
    monkeypatch.setenv("USER_API_URL", "https://users.example/api/")
    assert program_environment("airflow", home)["USER_API_URL"] == "https://users.example/api/"


def test_servers_do_not_inherit_unrelated_variables(home, monkeypatch):
    monkeypatch.setenv("AIRFLOW__CORE__LOAD_EXAMPLES", "True")
    monkeypatch.setenv("KAFKA_PASSWORD", "x")
    monkeypatch.setenv("STREAM_TRIGGER_MILLISECONDS", "100")
    environment = base_environment(home)
    assert "AIRFLOW__CORE__LOAD_EXAMPLES" not in environment
    assert "KAFKA_PASSWORD" not in environment
    assert environment["STREAM_TRIGGER_MILLISECONDS"] == "100"


def test_passwords_are_generated_once_and_readable_only_by_the_owner(home):
    first = load_passwords(home.passwords)
    assert load_passwords(home.passwords) == first
    assert home.passwords.stat().st_mode & 0o777 == 0o600
    assert len(set(first.model_dump().values())) == len(first.model_dump())


def test_a_missing_password_is_generated_and_the_others_are_kept(home):
    first = load_passwords(home.passwords)
    home.passwords.write_text(json.dumps({"kafka_admin": "kept"}))
    second = load_passwords(home.passwords)
    assert second.kafka_admin == "kept"
    assert second.kafka_stream != first.kafka_stream
    assert load_passwords(home.passwords) == second


def test_the_password_of_a_retired_user_is_removed(home):
    home.passwords.write_text(json.dumps({"kafka_admin": "kept", "kafka_publisher": "old"}))
    assert load_passwords(home.passwords).kafka_admin == "kept"
    assert "kafka_publisher" not in json.loads(home.passwords.read_text())


@pytest.mark.parametrize("content", ["{", "[]", '{"unknown": "x"}', ""])
def test_a_broken_passwords_file_is_not_replaced(home, content):
    home.passwords.write_text(content)
    with pytest.raises(LocalError, match="is not a valid passwords file"):
        load_passwords(home.passwords)
    assert home.passwords.read_text() == content


@pytest.mark.parametrize("value", ["plain", "with space", "50%", "a=b,c", "http://127.0.0.1/x?y", "it's", "[*]", ""])
def test_the_supervisor_parses_quoted_values(value):
    assert dict_of_key_value_pairs(f"NAME={quote(value)}")["NAME"] == value.replace("%", "%%")


@pytest.mark.parametrize("value", ['"', "a\nb"])
def test_a_value_that_the_supervisor_cannot_parse_is_an_error(value):
    with pytest.raises(LocalError):
        quote(value)


def test_the_socket_in_a_home_with_a_long_path_can_be_bound(tmp_path):
    home = open_home(LocalSettings(home=tmp_path / ("x" * 120)))
    home.folder("supervisor")
    with socket.socket(socket.AF_UNIX) as listener:
        # While binding, the supervisor appends its process id.
        listener.bind(f"{find_socket(home)}.4194304")


@pytest.fixture
def sleeper(home):
    """A process of the platform that ignores SIGTERM."""
    code = "import signal, time; signal.signal(signal.SIGTERM, signal.SIG_IGN); print(flush=True); time.sleep(60)"
    process = subprocess.Popen([sys.executable, "-c", code], env={MARKER: str(home.root)}, stdout=subprocess.PIPE)
    assert process.stdout
    process.stdout.readline()
    yield process
    process.kill()
    process.wait()


def test_processes_are_found_by_their_environment(home, sleeper, tmp_path):
    assert [process.pid for process in find_processes(home.root, home.root / "postgres")] == [sleeper.pid]
    assert find_processes(tmp_path / "other", tmp_path / "other") == []


def test_processes_are_found_by_their_executable(tmp_path):
    program = tmp_path / "program" / "sleep"
    program.parent.mkdir()
    shutil.copy("/bin/sleep", program)
    process = subprocess.Popen([program, "60"])
    try:
        assert [found.pid for found in find_processes(tmp_path / "home", program.parent)] == [process.pid]
        assert terminate_orphans(tmp_path / "home", program.parent) == 1
        assert not psutil.pid_exists(process.pid)
    finally:
        process.kill()


def test_reset_deletes_only_what_the_platform_created(home):
    load_passwords(home.passwords)
    home.folder("kafka").joinpath("data").touch()
    home.root.joinpath("notes").touch()
    home.downloads.mkdir()
    reset(home, Console(quiet=True))
    assert {path.name for path in home.root.iterdir()} - {LOCK} == {"java", "notes"}


def test_reset_keeps_the_files_that_were_put_into_the_directory_of_imports(home):
    load_passwords(home.passwords)
    (home.imports / "access.log").touch()
    reset(home, Console(quiet=True))
    assert [path.name for path in home.imports.iterdir()] == ["access.log"]
