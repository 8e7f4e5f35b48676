"""How the platform orders, marks, supervises and ends its processes."""

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
from member_analyzer.local.leftovers import MARKER, clear_leftovers, find_processes
from member_analyzer.local.passwords import load_passwords
from member_analyzer.local.platform import LOCK, make_servers, make_steps, reset, run_graph
from member_analyzer.local.supervision import find_socket, quote
from member_analyzer.settings import CassandraSettings, KafkaSettings, LandingSettings, LocalSettings
from patience import DEADLINE


@pytest.fixture
def home(tmp_path):
    return open_home(LocalSettings(home=tmp_path / "home", downloads=None))


def test_a_graph_is_taken_in_order():
    taken: list[str] = []
    run_graph({"c": ("b",), "b": ("a",), "a": ()}, taken.append, threading.Event())
    assert taken == ["a", "b", "c"]


def test_what_does_not_wait_for_each_other_runs_at_once():
    together = threading.Barrier(2, timeout=DEADLINE)
    run_graph({"a": (), "b": ()}, lambda name: bool(together.wait()), threading.Event())


def test_after_a_failure_nothing_more_is_begun_and_the_others_are_told():
    abandon = threading.Event()
    taken: list[str] = []

    def take(name: str) -> None:
        taken.append(name)
        if name == "fails":
            raise LocalError("so it is")
        if name == "waits":
            assert abandon.wait(DEADLINE)

    with pytest.raises(LocalError, match="so it is"):
        run_graph({"fails": (), "waits": (), "later": ("fails",)}, take, abandon)
    assert sorted(taken) == ["fails", "waits"]


def test_every_step_comes_after_steps_that_there_are(home):
    steps = make_steps(home)
    assert {name for step in steps.values() for name in step.after} <= set(steps)


def test_the_servers_start_after_what_they_need(home):
    order = list(make_servers(home))
    assert order.index("zookeeper") < order.index("kafka") < order.index("stream")
    assert order.index("postgres") < order.index("airflow-scheduler")


def test_no_password_is_on_a_command_line(home):
    secrets = load_passwords(home.passwords).model_dump().values()
    for server in make_servers(home).values():
        assert not [secret for secret in secrets if secret in " ".join(server.command)]


def test_every_port_has_a_setting_and_no_two_are_the_same(home):
    ports = [port for server in make_servers(home).values() for port in server.ports.items()]
    assert {name.removeprefix("LOCAL_").lower() for name, _ in ports} <= set(LocalSettings.model_fields)
    assert len({number for _, number in ports}) == len(ports)


def test_programs_get_users_of_their_own(home):
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


def test_the_user_api_of_the_caller_comes_before_the_bundled_one(home, monkeypatch):
    monkeypatch.delenv("USER_API_URL", raising=False)
    assert program_environment("airflow", home)["USER_API_URL"] == make_servers(home)["user-api"].address
    monkeypatch.setenv("USER_API_URL", "https://users.example/api/")
    assert program_environment("airflow", home)["USER_API_URL"] == "https://users.example/api/"


def test_servers_do_not_get_what_a_shell_happens_to_hold(home, monkeypatch):
    monkeypatch.setenv("AIRFLOW__CORE__LOAD_EXAMPLES", "True")
    monkeypatch.setenv("KAFKA_PASSWORD", "x")
    monkeypatch.setenv("STREAM_TRIGGER_MILLISECONDS", "100")
    environment = base_environment(home)
    assert "AIRFLOW__CORE__LOAD_EXAMPLES" not in environment
    assert "KAFKA_PASSWORD" not in environment
    assert environment["STREAM_TRIGGER_MILLISECONDS"] == "100"


def test_passwords_are_made_once_and_for_the_owner_only(home):
    first = load_passwords(home.passwords)
    assert load_passwords(home.passwords) == first
    assert home.passwords.stat().st_mode & 0o777 == 0o600
    assert len(set(first.model_dump().values())) == len(first.model_dump())


def test_a_password_that_a_newer_version_adds_is_made_and_the_others_stay(home):
    first = load_passwords(home.passwords)
    home.passwords.write_text(json.dumps({"kafka_admin": "kept"}))
    second = load_passwords(home.passwords)
    assert second.kafka_admin == "kept"
    assert second.kafka_stream != first.kafka_stream
    assert load_passwords(home.passwords) == second


def test_a_password_of_a_user_that_is_gone_is_dropped(home):
    home.passwords.write_text(json.dumps({"kafka_admin": "kept", "kafka_publisher": "old"}))
    assert load_passwords(home.passwords).kafka_admin == "kept"
    assert "kafka_publisher" not in json.loads(home.passwords.read_text())


@pytest.mark.parametrize("content", ["{", "[]", '{"unknown": "x"}', ""])
def test_a_broken_passwords_file_is_not_replaced(home, content):
    home.passwords.write_text(content)
    with pytest.raises(LocalError, match="is not a passwords file any more"):
        load_passwords(home.passwords)
    assert home.passwords.read_text() == content


@pytest.mark.parametrize("value", ["plain", "with space", "50%", "a=b,c", "http://127.0.0.1/x?y", "it's", "[*]", ""])
def test_the_supervisor_reads_back_what_was_written(value):
    assert dict_of_key_value_pairs(f"NAME={quote(value)}")["NAME"] == value.replace("%", "%%")


@pytest.mark.parametrize("value", ['"', "a\nb"])
def test_what_the_supervisor_cannot_read_back_is_refused(value):
    with pytest.raises(LocalError):
        quote(value)


def test_the_socket_of_a_home_with_a_long_path_can_be_bound(tmp_path):
    home = open_home(LocalSettings(home=tmp_path / ("x" * 120)))
    home.folder("supervisor")
    with socket.socket(socket.AF_UNIX) as listener:
        # While it binds one the supervisor adds its process number.
        listener.bind(f"{find_socket(home)}.4194304")


@pytest.fixture
def sleeper(home):
    """A process of the platform that does not end when it is asked to."""
    code = "import signal, time; signal.signal(signal.SIGTERM, signal.SIG_IGN); print(flush=True); time.sleep(60)"
    process = subprocess.Popen([sys.executable, "-c", code], env={MARKER: str(home.root)}, stdout=subprocess.PIPE)
    assert process.stdout
    process.stdout.readline()
    yield process
    process.kill()
    process.wait()


def test_leftovers_are_found_by_their_mark(home, sleeper, tmp_path):
    assert [process.pid for process in find_processes(home.root, home.root / "postgres")] == [sleeper.pid]
    assert find_processes(tmp_path / "other", tmp_path / "other") == []


def test_leftovers_are_found_by_their_program(tmp_path):
    program = tmp_path / "program" / "sleep"
    program.parent.mkdir()
    shutil.copy("/bin/sleep", program)
    process = subprocess.Popen([program, "60"])
    try:
        assert [found.pid for found in find_processes(tmp_path / "home", program.parent)] == [process.pid]
        assert clear_leftovers(tmp_path / "home", program.parent) == 1
        assert not psutil.pid_exists(process.pid)
    finally:
        process.kill()


def test_reset_deletes_what_the_platform_made_and_nothing_else(home):
    load_passwords(home.passwords)
    home.folder("kafka").joinpath("data").touch()
    home.root.joinpath("notes").touch()
    home.downloads.mkdir()
    reset(home, Console(quiet=True))
    assert {path.name for path in home.root.iterdir()} - {LOCK} == {"java", "notes"}
