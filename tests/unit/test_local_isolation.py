"""Unrelated variables of the user's shell affect neither local commands nor the servers that they start."""

import ast
import os
import subprocess
import sys
from pathlib import Path

import psycopg
import pytest
from typer.testing import CliRunner

from member_analyzer.cli import __main__ as cli
from member_analyzer.local import java, platform
from member_analyzer.local.environment import base_environment
from member_analyzer.local.home import find_checkout, open_home
from member_analyzer.local.isolation import isolate
from member_analyzer.local.java import choose_java, read_version
from member_analyzer.settings import LocalSettings

FOREIGN = {
    *("PGSSLMODE", "PGHOST", "PGHOSTADDR", "PGOPTIONS", "PGSERVICE", "PGPASSFILE", "PGTARGETSESSIONATTRS"),
    *("JAVA_TOOL_OPTIONS", "JDK_JAVA_OPTIONS", "_JAVA_OPTIONS", "CLASSPATH", "JAVA_OPTS", "KAFKA_OPTS"),
    *("PYTHONPATH", "PYTHONHOME", "PYTHONSTARTUP", "PYTHONSAFEPATH", "VIRTUAL_ENV", "LD_PRELOAD", "BASH_ENV"),
    *("SPARK_HOME", "SPARK_CONF_DIR", "HADOOP_CONF_DIR", "AIRFLOW_HOME", "AIRFLOW_CONFIG", "AIRFLOW__CORE__EXECUTOR"),
    *("LANDING_HOST", "LANDING_PASSWORD", "KAFKA_BOOTSTRAP_SERVERS", "KAFKA_PASSWORD", "CASSANDRA_HOSTS", "NETRC"),
    *("SCHEMA_REGISTRY_URL", "AIRFLOW_API_URL", "GRAPHS_DIRECTORY", "SPARK_SUBMIT_APPLICATIONS", "MPLBACKEND"),
}
KEPT = {
    "PATH",
    "HOME",
    "TERM",
    "LOCAL_HOME",
    "USER_API_URL",
    "STREAM_TRIGGER_MILLISECONDS",
    "https_proxy",
    "JAVA_HOME",
}


def test_a_command_keeps_only_the_variables_that_it_uses() -> None:
    environment = dict.fromkeys(FOREIGN | KEPT, "x")
    isolate(environment)
    assert environment.keys() == KEPT


@pytest.mark.parametrize("command", ["up", "down", "status", "run", "reset"])
def test_local_commands_are_isolated(command: str, monkeypatch: pytest.MonkeyPatch) -> None:
    seen: dict[str, str] = {}

    class SeenError(Exception):
        pass

    def open_home() -> None:
        seen.update(os.environ)
        raise SeenError

    monkeypatch.setattr(cli, "open_home", open_home)
    for name in FOREIGN - {"PYTHONHOME"}:
        monkeypatch.setenv(name, "x")
    result = CliRunner().invoke(cli.app, [command])
    assert isinstance(result.exception, SeenError)
    assert not FOREIGN & seen.keys()


def test_libpq_does_not_see_removed_variables(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PGSERVICE", "nowhere")
    with pytest.raises(psycopg.OperationalError, match="nowhere"):
        psycopg.connect(host="127.0.0.1", port=9, connect_timeout=2)
    isolate(os.environ)
    with pytest.raises(psycopg.OperationalError, match="refused"):
        psycopg.connect(host="127.0.0.1", port=9, connect_timeout=2)


def test_the_servers_get_a_fixed_encoding_and_time_zone_and_a_temporary_directory_in_the_home(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, value in {"LC_ALL": "xx_YY.ISO-8859-1", "TZ": "Asia/Kathmandu", "TMPDIR": "/nowhere"}.items():
        monkeypatch.setenv(name, value)
    for name in FOREIGN - {"PYTHONHOME"}:
        monkeypatch.setenv(name, "x")
    home = open_home(LocalSettings(home=tmp_path / "home", downloads=None))
    environment = base_environment(home)
    assert (environment["LC_ALL"], environment["TZ"]) == ("C.UTF-8", "UTC")
    assert Path(environment["TMPDIR"]).is_relative_to(home.root)
    assert not FOREIGN & environment.keys()
    code = "import sys, time; print(sys.getfilesystemencoding(), time.tzname[0])"
    ran = subprocess.run([sys.executable, "-c", code], env=environment, capture_output=True, text=True, check=True)
    assert ran.stdout.split() == ["utf-8", "UTC"]


@pytest.mark.parametrize("name", ["JAVA_TOOL_OPTIONS", "JDK_JAVA_OPTIONS", "_JAVA_OPTIONS"])
def test_the_java_version_is_read_independent_of_java_options_in_the_environment(
    name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(name, "-Xmx1k --no-such-option")
    assert read_version(choose_java().executable) == java.REQUIRED


def test_every_program_that_the_platform_starts_gets_an_explicit_environment() -> None:
    """Programs that already run in such an environment may pass it on."""
    inheriting = {"watchdog.py"}
    folder = Path(platform.__file__).parent
    started = [
        (path.name, call)
        for path in folder.glob("*.py")
        if path.name not in inheriting
        for call in ast.walk(ast.parse(path.read_text(encoding="utf-8")))
        if isinstance(call, ast.Call) and ast.unparse(call.func) in ("subprocess.run", "subprocess.Popen")
    ]
    assert len(started) > 4
    assert not [name for name, call in started if "env" not in {keyword.arg for keyword in call.keywords}]


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        ({"PYTHONHOME": "/nowhere", "PYTHONPATH": "/nowhere", "PYTHONSAFEPATH": "1"}, {}),
        ({"PIP_TARGET": "/nowhere", "PIP_REQUIRE_HASHES": "1", "PIP_PREFIX": "/nowhere"}, {}),
        ({"PIP_USER": "1"}, {"PIP_USER": "0"}),
        (
            {"PIP_INDEX_URL": "https://packages.example/", "PIP_CERT": "/ca.pem", "https_proxy": "http://127.0.0.1:9"},
            {"PIP_INDEX_URL": "https://packages.example/", "PIP_CERT": "/ca.pem", "https_proxy": "http://127.0.0.1:9"},
        ),
    ],
)
def test_make_passes_only_package_sources_to_pip(given: dict[str, str], expected: dict[str, str]) -> None:
    environment = {"PATH": os.environ["PATH"]} | given
    show = ["make", "--no-print-directory", "--eval", "show: ; @env", "show"]
    ran = subprocess.run(show, cwd=find_checkout(), env=environment, capture_output=True, text=True, check=True)
    seen = dict(line.split("=", 1) for line in ran.stdout.splitlines())
    assert {name: seen[name] for name in given if name in seen} == expected
