"""The environment of each program of the platform: addresses, and only the passwords that it needs."""

import os
import sys
from pathlib import Path
from typing import Literal
from urllib.parse import urlsplit

from member_analyzer.http.sessions import find_proxy
from member_analyzer.local.failure import LocalError
from member_analyzer.local.home import Home
from member_analyzer.local.java import choose_java
from member_analyzer.local.passwords import Passwords, load_passwords
from member_analyzer.local.plain_path import is_plain, plain_path

Program = Literal["admin", "operator", "airflow", "stream", "reader", "collector", "console"]

# The servers inherit only these variables, so that a start does not depend on the state of the user's shell. Proxies
# are not among them, because the servers only contact each other; see `user_api_proxy`.
INHERITED = {"HOME", "USER", "LOGNAME", "SSL_CERT_FILE", "SSL_CERT_DIR", "REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE"}

# The user may change how the programs behave, but not their identities.
INHERITED_PREFIXES = ("USER_API_", "STREAM_", "COLLECTOR_", "CONSOLE_", "SCHEDULE_", "REJECTED_")


# The same on every machine: an encoding for any file name, and days in UTC.
FIXED = {"PYTHONUNBUFFERED": "1", "LANG": "C.UTF-8", "LC_ALL": "C.UTF-8", "TZ": "UTC"}


def python() -> str:
    """The Python interpreter for the programs, which is this one."""
    own = Path(sys.executable)
    if is_plain(own) or not own.is_relative_to(sys.prefix):
        return str(own)
    return str(plain_path(Path(sys.prefix)) / own.relative_to(sys.prefix))


def base_environment(home: Home) -> dict[str, str]:
    """The environment that all processes of the platform share."""
    kept = {
        name: value
        for name, value in os.environ.items()
        if name in INHERITED or (name.startswith(INHERITED_PREFIXES) and value)
    }
    search = [str(Path(python()).parent), "/usr/local/sbin", "/usr/local/bin", "/usr/sbin", "/usr/bin", "/bin"]
    return kept | FIXED | {"PATH": ":".join(search), "TMPDIR": str(home.temporary)}


def program_environment(program: Program, home: Home) -> dict[str, str]:
    """The variables that one program needs.

    `admin` creates topics, schemas, tables and permissions; `operator` is for an administrator's commands.
    """
    settings, passwords = home.settings, load_passwords(home.passwords)
    registry = {"SCHEMA_REGISTRY_URL": f"http://127.0.0.1:{settings.registry_port}/apis/ccompat/v7"}
    retention = {name: value for name, value in os.environ.items() if name.startswith("REJECTED_") and value}
    storage = {"GRAPHS_DIRECTORY": str(home.graphs), "STREAM_CHECKPOINT": str(home.checkpoint)}
    match program:
        case "admin":
            kafka = kafka_environment(home, "admin", passwords.kafka_admin)
            cassandra = cassandra_environment(home, "admin", passwords.cassandra_admin)
            landing = landing_environment(home, "member_analyzer", passwords.postgres_member_analyzer)
            return landing | registry | kafka | cassandra | storage | retention
        case "operator":
            kafka = kafka_environment(home, "operator", passwords.kafka_operator)
            cassandra = cassandra_environment(home, "stream", passwords.cassandra_stream)
            landing = landing_environment(home, "landing_operator", passwords.landing_operator)
            return landing | registry | kafka | cassandra | retention
        case "airflow":
            # Its tasks land and publish members, recount them with Spark, and draw the graphs.
            kafka = kafka_environment(home, "airflow", passwords.kafka_airflow)
            cassandra = cassandra_environment(home, "stream", passwords.cassandra_stream)
            landing = landing_environment(home, "landing_airflow", passwords.landing_airflow)
            own = {
                "USER_API_URL": user_api_url(home),
                **user_api_proxy(home),
                # Otherwise Matplotlib would use the user's own settings.
                "MPLCONFIGDIR": str(home.folder("airflow", "matplotlib")),
                "IMPORT_DIRECTORY": str(home.imports),
                "SPARK_SUBMIT_APPLICATIONS": str(home.programs / "spark-apps"),
            }
            return landing | registry | kafka | cassandra | storage | own | spark_environment(home, "recount")
        case "stream":
            # Each task has a fixed cost per micro-batch, and more tasks than cores are no faster.
            storage["STREAM_TASKS"] = os.environ.get("STREAM_TASKS", str(min(4, os.cpu_count() or 2)))
            kafka = kafka_environment(home, "stream", passwords.kafka_stream)
            cassandra = cassandra_environment(home, "stream", passwords.cassandra_stream)
            return registry | kafka | cassandra | storage | spark_environment(home, "stream")
        case "reader":
            kafka = kafka_environment(home, "reader", passwords.kafka_reader)
            cassandra = cassandra_environment(home, "reader", passwords.cassandra_reader)
            landing = landing_environment(home, "landing_reader", passwords.landing_reader)
            return landing | registry | kafka | cassandra | storage
        case "collector":
            kafka = kafka_environment(home, "collector", passwords.kafka_collector)
            cassandra = cassandra_environment(home, "collector", passwords.cassandra_collector)
            landing = landing_environment(home, "landing_collector", passwords.landing_collector)
            return landing | registry | kafka | cassandra
        case "console":
            kafka = kafka_environment(home, "console", passwords.kafka_console)
            cassandra = cassandra_environment(home, "console", passwords.cassandra_console)
            landing = landing_environment(home, "landing_console", passwords.landing_console)
            airflow = airflow_api_environment(home, "console", passwords.airflow_console)
            return landing | registry | kafka | cassandra | airflow | storage | console_environment(home, passwords)


def console_environment(home: Home, passwords: Passwords) -> dict[str, str]:
    """The console's logins, and the endpoints that it monitors."""
    settings = home.settings
    user_api = user_api_url(home)
    own = f"http://127.0.0.1:{settings.user_api_port}"
    health = {"CONSOLE_USER_API_HEALTH_URL": f"{own}/healthz"} if user_api.startswith(f"{own}/") else {}
    return health | {
        "CONSOLE_VIEWER_PASSWORD": passwords.console_viewer,
        "CONSOLE_OPERATOR_PASSWORD": passwords.console_operator,
        "CONSOLE_SESSION_SECRET": passwords.console_session_secret,
        "CONSOLE_LOGS_DIRECTORY": str(home.logs),
        "CONSOLE_ZOOKEEPER_SERVERS": f"127.0.0.1:{settings.zookeeper_port}",
        "CONSOLE_SPARK_URL": f"http://127.0.0.1:{settings.spark_port}",
        "CONSOLE_COLLECTOR_URL": f"http://127.0.0.1:{settings.collector_port}",
    }


def landing_environment(home: Home, role: str, password: str) -> dict[str, str]:
    """The variables with which a role connects to the landing database."""
    return {
        "LANDING_HOST": "127.0.0.1",
        "LANDING_PORT": str(home.settings.postgres_port),
        "LANDING_DATABASE": "member_analyzer",
        "LANDING_USERNAME": role,
        "LANDING_PASSWORD": password,
    }


def kafka_environment(home: Home, user: str, password: str) -> dict[str, str]:
    """The variables with which a user connects to Kafka."""
    return {
        "KAFKA_BOOTSTRAP_SERVERS": f"127.0.0.1:{home.settings.kafka_port}",
        "KAFKA_SECURITY_PROTOCOL": "SASL_PLAINTEXT",
        "KAFKA_USERNAME": user,
        "KAFKA_PASSWORD": password,
    }


def cassandra_environment(home: Home, role: str, password: str) -> dict[str, str]:
    """The variables with which a role connects to Cassandra."""
    return {
        "CASSANDRA_HOSTS": "127.0.0.1",
        "CASSANDRA_PORT": str(home.settings.cassandra_port),
        "CASSANDRA_USERNAME": role,
        "CASSANDRA_PASSWORD": password,
    }


def spark_environment(home: Home, job: Literal["stream", "recount"]) -> dict[str, str]:
    """The variables for starting Spark; its other settings are written by `local.spark.write_configuration`."""
    return {
        "JAVA_HOME": str(choose_java().home),
        "PYSPARK_PYTHON": python(),
        "PYSPARK_DRIVER_PYTHON": python(),
        "SPARK_CONF_DIR": str(home.root / "spark" / job),
        "SPARK_LOCAL_IP": "127.0.0.1",
        "SPARK_LOCAL_DIRS": str(home.root / "spark" / "temporary"),
    }


def airflow_api_environment(home: Home, user: str = "admin", password: str | None = None) -> dict[str, str]:
    """The variables with which a user, by default the administrator, connects to Airflow's API."""
    return {
        "AIRFLOW_API_URL": f"http://127.0.0.1:{home.settings.airflow_port}",
        "AIRFLOW_API_USERNAME": user,
        "AIRFLOW_API_PASSWORD": password or load_passwords(home.passwords).airflow_admin,
    }


def user_api_url(home: Home) -> str:
    """USER_API_URL, or the URL of the bundled user API."""
    return os.environ.get("USER_API_URL") or f"http://127.0.0.1:{home.settings.user_api_port}/api/"


def user_api_proxy(home: Home) -> dict[str, str]:
    """USER_API_PROXY, or the environment's proxy for the user API."""
    proxy = os.environ.get("USER_API_PROXY") or find_proxy(user_api_url(home))
    if proxy and urlsplit(proxy).scheme not in ("", "http", "https"):
        raise LocalError(
            f"the proxy for USER_API_URL has the scheme {urlsplit(proxy).scheme}, but only HTTP proxies are supported;"
            " set an HTTP proxy in USER_API_PROXY, or add the user API's host to no_proxy"
        )
    return {"USER_API_PROXY": proxy} if proxy else {}
