"""Airflow: its metadata database, API server, scheduler and DAG processor."""

import json
import subprocess
from datetime import datetime
from importlib.metadata import version
from typing import ClassVar

from member_analyzer.local.environment import base_environment, program_environment, python
from member_analyzer.local.failure import LocalError
from member_analyzer.local.home import Home
from member_analyzer.local.http import fetch_json
from member_analyzer.local.passwords import Passwords, write_private
from member_analyzer.local.server import NotReadyError, Server, Task
from member_analyzer.local.spark import write_configuration


def airflow_environment(home: Home, passwords: Passwords) -> dict[str, str]:
    """The environment of Airflow's servers and tasks."""
    folder = home.folder("airflow")
    address = f"http://127.0.0.1:{home.settings.airflow_port}"
    database = f"airflow:{passwords.postgres_airflow}@127.0.0.1:{home.settings.postgres_port}/airflow"
    settings = {
        "CORE__EXECUTOR": "LocalExecutor",
        "CORE__PARALLELISM": 4,
        "CORE__DAGS_FOLDER": home.programs / "dags",
        "CORE__LOAD_EXAMPLES": False,
        "CORE__DAGS_ARE_PAUSED_AT_CREATION": False,
        "CORE__FERNET_KEY": passwords.airflow_fernet_key,
        "CORE__EXECUTION_API_SERVER_URL": f"{address}/execution/",
        "CORE__SIMPLE_AUTH_MANAGER_USERS": "admin:admin,console:viewer",
        "CORE__SIMPLE_AUTH_MANAGER_PASSWORDS_FILE": folder / "passwords.json",
        # The default queries a DNS server, which may be slow.
        "CORE__HOSTNAME_CALLABLE": "socket.gethostname",
        "DATABASE__SQL_ALCHEMY_CONN": f"postgresql+psycopg2://{database}",
        "DATABASE__SQL_ALCHEMY_CONN_ASYNC": f"postgresql+asyncpg://{database}",
        "DATABASE__SQL_ALCHEMY_CONNECT_ARGS": "member_analyzer.landing.unreachable.AIRFLOW",
        "DATABASE__SQL_ALCHEMY_CONNECT_ARGS_ASYNC": "member_analyzer.landing.unreachable.AIRFLOW_ASYNC",
        "API__HOST": "127.0.0.1",
        "API__PORT": home.settings.airflow_port,
        "API__BASE_URL": address,
        "API__WORKERS": 1,
        "API__SECRET_KEY": passwords.airflow_api_secret,
        "API_AUTH__JWT_SECRET": passwords.airflow_jwt_secret,
        "DAG_PROCESSOR__MIN_FILE_PROCESS_INTERVAL": 60,
        "DAG_PROCESSOR__REFRESH_INTERVAL": 60,
        "LOGGING__BASE_LOG_FOLDER": home.logs / "airflow",
        "LOGGING__DAG_PROCESSOR_CHILD_PROCESS_LOG_DIRECTORY": home.logs / "airflow" / "dag_processor",
        # The tasks of a killed scheduler are adopted quickly.
        "SCHEDULER__SCHEDULER_HEALTH_CHECK_THRESHOLD": 15,
        "SCHEDULER__ORPHANED_TASKS_CHECK_INTERVAL": 5,
        "SCHEDULER__TASK_INSTANCE_HEARTBEAT_TIMEOUT": 60,
        # A task keeps its token even if the machine is suspended meanwhile.
        "EXECUTION_API__JWT_EXPIRATION_TIME": 7 * 24 * 3600,
        "USAGE_DATA_COLLECTION__ENABLED": False,
    }
    # SPT_NOENV: without it the processes overwrite the environment by which they are identified.
    own = {"AIRFLOW_HOME": str(folder), "SPT_NOENV": "1"}
    return own | {f"AIRFLOW__{name}": str(value) for name, value in settings.items()}


class AirflowDatabase(Task):
    """The tables of Airflow's metadata database."""

    name = "airflow-database"
    depends_on = ("postgres",)

    def run(self) -> None:
        """Migrate them at the first start and after a change of Airflow's version."""
        folder = self.home.folder("airflow")
        logins = {"admin": self.passwords.airflow_admin, "console": self.passwords.airflow_console}
        write_private(folder / "passwords.json", json.dumps(logins))
        migrated = folder / "migrated"
        installed = version("apache-airflow-core")
        if migrated.exists() and migrated.read_text() == installed:
            return
        result = subprocess.run(
            [python(), "-m", "airflow", "db", "migrate"],
            env=base_environment(self.home) | airflow_environment(self.home, self.passwords),
            capture_output=True,
            text=True,
            check=False,
        )
        log = self.home.logs / "airflow-database.log"
        log.write_text(result.stdout + result.stderr)
        if result.returncode != 0:
            raise LocalError(f"Airflow's database could not be migrated; see {self.home.display_path(log)}")
        migrated.write_text(installed)


class AirflowServer(Server):
    """The base class of Airflow's three servers."""

    depends_on: ClassVar[tuple[str, ...]] = ("airflow-database",)
    subcommand: ClassVar[tuple[str, ...]]
    component: ClassVar[str]

    @property
    def command(self) -> list[str]:
        return [python(), "-m", "airflow", *self.subcommand]

    @property
    def environment(self) -> dict[str, str]:
        return airflow_environment(self.home, self.passwords) | program_environment("airflow", self.home)

    @property
    def address(self) -> str:
        return f"http://127.0.0.1:{self.settings.airflow_port}"

    @property
    def health(self) -> str:
        """The endpoint with the health of all components."""
        return f"{self.address}/api/v2/monitor/health"

    def check(self, started: datetime) -> None:
        """The component is healthy, and its heartbeat is not that of an earlier process."""
        health = fetch_json(self.health)[self.component]
        if health["status"] != "healthy":
            raise NotReadyError(f"the {self.component} is {health['status']}")
        heartbeat = health.get(f"latest_{self.component}_heartbeat")
        if heartbeat and datetime.fromisoformat(heartbeat) < started:
            raise NotReadyError(f"the {self.component} has not sent a heartbeat yet")


class AirflowApi(AirflowServer):
    """The API server with the UI."""

    name = "airflow-api"
    low_priority = True
    subcommand = ("api-server",)
    component = "metadatabase"

    @property
    def ports(self) -> dict[str, int]:
        return {"LOCAL_AIRFLOW_PORT": self.settings.airflow_port}


class AirflowScheduler(AirflowServer):
    """The scheduler with its executor; its child processes are the tasks, whose dependencies it therefore has."""

    name = "airflow-scheduler"
    depends_on = ("airflow-database", "schemas")
    # The API server reads the tasks' log files directly.
    subcommand = ("scheduler", "--skip-serve-logs")
    component = "scheduler"
    stop_seconds = 30

    @property
    def command(self) -> list[str]:
        """The scheduler with a watchdog, after terminating the workers of a scheduler that was killed."""
        clean_start = [python(), "-m", "member_analyzer.local.clean_start"]
        watchdog = [python(), "-m", "member_analyzer.local.watchdog"]
        watched = [self.component, self.health, str(self.settings.scheduler_timeout)]
        return [*clean_start, *watchdog, *watched, *super().command]

    def prepare(self) -> None:
        """Write Spark's configuration, for the recount."""
        write_configuration(self.home)


class AirflowDagProcessor(AirflowServer):
    """The server that parses the DAG files."""

    name = "airflow-dag-processor"
    low_priority = True
    subcommand = ("dag-processor",)
    component = "dag_processor"
