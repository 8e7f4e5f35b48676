"""`make run` in a checkout with an unusual path, and with environment variables that affect other programs."""

import os
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest
from rich.console import Console

from member_analyzer.local.artifacts import fetch_artifacts
from member_analyzer.local.home import find_checkout
from member_analyzer.local.postgres import artifact_group
from ports import choose_ports

UNUSUAL = "Jörg a,b [1] #b 100% %(here)s $HOME it's"
MEMBERS = 300
FILES = ("Makefile", "README.md", "pyproject.toml", "requirements.lock")
FOLDERS = ("src", "dags", "spark-apps")
DEAD = "http://127.0.0.1:9"
NOWHERE = "/nowhere"

HOSTILE = {
    "LC_ALL": "C",
    "TZ": "Asia/Kathmandu",
    **dict.fromkeys(("http_proxy", "https_proxy", "HTTP_PROXY", "HTTPS_PROXY"), DEAD),
    **dict.fromkeys(("all_proxy", "ALL_PROXY"), "socks5h://127.0.0.1:9"),
    **dict.fromkeys(("JAVA_TOOL_OPTIONS", "JDK_JAVA_OPTIONS", "_JAVA_OPTIONS"), "-Dhttp.proxyHost=127.0.0.1 -Xmx8m"),
    **dict.fromkeys(("JAVA_OPTS", "KAFKA_OPTS", "KAFKA_HEAP_OPTS", "JVM_OPTS"), "-Xmx8m"),
    "CLASSPATH": NOWHERE,
    "PYTHONPATH": NOWHERE,
    "PYTHONHOME": NOWHERE,
    "PYTHONSTARTUP": NOWHERE,
    "PYTHONSAFEPATH": "1",
    "PYTHONOPTIMIZE": "2",
    "PIP_USER": "1",
    "PIP_TARGET": NOWHERE,
    "PIP_REQUIRE_VIRTUALENV": "1",
    "PIP_CONSTRAINT": NOWHERE,
    "PGSSLMODE": "require",
    "PGHOST": "192.0.2.1",
    "PGHOSTADDR": "192.0.2.1",
    "PGOPTIONS": "-c search_path=nowhere",
    "PGSERVICE": "nowhere",
    "PGPASSFILE": NOWHERE,
    "PGCHANNELBINDING": "require",
    "PGTARGETSESSIONATTRS": "standby",
    **dict.fromkeys(("SPARK_HOME", "SPARK_CONF_DIR", "HADOOP_CONF_DIR", "HADOOP_HOME", "AIRFLOW_HOME"), NOWHERE),
    "SPARK_MASTER": "spark://192.0.2.1:7077",
    "AIRFLOW_CONFIG": NOWHERE,
    "AIRFLOW__CORE__EXECUTOR": "Nothing",
    "AIRFLOW__DATABASE__SQL_ALCHEMY_CONN": "sqlite:////nowhere",
    "LANDING_HOST": "192.0.2.1",
    "LANDING_PASSWORD": "wrong",
    "KAFKA_BOOTSTRAP_SERVERS": "192.0.2.1:9092",
    "KAFKA_PASSWORD": "wrong",
    "CASSANDRA_HOSTS": "192.0.2.1",
    "SCHEMA_REGISTRY_URL": "http://192.0.2.1",
    "AIRFLOW_API_URL": "http://192.0.2.1",
    "MPLBACKEND": "nothing",
    "BASH_ENV": NOWHERE,
}


@pytest.fixture
def folder() -> Iterator[Path]:
    """A directory on the same file system as the checkout, so that its files can be hard-linked."""
    folder = find_checkout() / "var" / "test-environment"
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    yield folder
    shutil.rmtree(folder)


@pytest.fixture
def checkout(folder: Path) -> Path:
    """A checkout with an unusual path, with all dependencies installed but not the package itself."""
    source, checkout = find_checkout(), folder / UNUSUAL
    checkout.mkdir()
    for name in FILES:
        shutil.copy2(source / name, checkout)
    for name in FOLDERS:
        shutil.copytree(source / name, checkout / name)
    shutil.copytree(source / ".venv", checkout / ".venv", symlinks=True, copy_function=os.link)
    (checkout / ".venv" / "installed").unlink()
    return checkout


@pytest.fixture
def environment(folder: Path, checkout: Path) -> dict[str, str]:
    """An environment in which everything is set to something unexpected."""
    home = folder / "home"
    home.mkdir()
    (home / ".netrc").write_text("default login joe password secret\n")
    (home / ".netrc").chmod(0o600)
    downloads = Path(os.environ.get("LOCAL_DOWNLOADS", find_checkout() / "var" / "java"))
    fetch_artifacts(["kafka", "registry", "cassandra", "spark", artifact_group()], downloads, Console(quiet=True))
    kept = {name: value for name, value in os.environ.items() if name in ("PATH", "JAVA_HOME", "USER")}
    # In the default directory, so that the servers' paths are unusual too.
    shutil.copytree(downloads, checkout / "var" / "java", copy_function=os.link)
    own = {"HOME": str(home), "NETRC": str(home / ".netrc")}
    return kept | HOSTILE | own | choose_ports() | {"SCHEDULE_USER_CREATE": "never"}


def run(checkout: Path, environment: dict[str, str], *command: str) -> subprocess.CompletedProcess[str]:
    """Run a command in a checkout; as root, with /tmp mounted noexec."""
    if os.geteuid() == 0:
        noexec = 'mount --bind /tmp /tmp && mount -o remount,bind,noexec /tmp && exec "$@"'
        command = ("unshare", "--mount", "sh", "-c", noexec, "sh", *command)
    return subprocess.run(
        command,
        cwd=checkout,
        env=environment,
        umask=0o077,
        capture_output=True,
        encoding="utf-8",
        check=False,
        timeout=900,
    )


@pytest.mark.long
@pytest.mark.timeout(1200)
def test_make_run_works_with_any_environment_and_path_of_the_checkout(
    folder: Path, checkout: Path, environment: dict[str, str]
) -> None:
    try:
        ran = run(checkout, environment, "make", "run", "ONCE=1", f"COUNT={MEMBERS}")
        assert ran.returncode == 0, ran.stdout + ran.stderr
        assert f"The counts agree: {MEMBERS} members" in ran.stdout
        assert str(checkout / "var" / "graphs") in ran.stdout.replace("\n", "")
        assert {path.name for path in folder.iterdir()} == {checkout.name, "home"}
        assert {path.name for path in checkout.iterdir()} == {
            *(
                "Makefile",
                "README.md",
                "pyproject.toml",
                "requirements.lock",
                "src",
                "dags",
                "spark-apps",
                ".venv",
                "var",
            )
        }
        assert not [process for process in psutil.process_iter() if str(folder) in " ".join(command_line(process))]
    finally:
        run(checkout, environment, ".venv/bin/member-analyzer", "reset", "--yes")


def command_line(process: psutil.Process) -> list[str]:
    try:
        return process.cmdline()
    except psutil.Error:
        return []
