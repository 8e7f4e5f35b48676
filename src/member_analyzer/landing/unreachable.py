"""Connection parameters that detect an unreachable PostgreSQL server: a lost node, or dropped packets.

By default the kernel detects it after a quarter of an hour if data was sent, and after two hours on an idle connection.
A server process that hangs while its kernel still acknowledges packets is not detected.
"""

from member_analyzer.settings import AirflowDatabaseSettings


def unreachable_parameters(seconds: int) -> dict[str, int]:
    """Return libpq parameters that make a connection fail within about `seconds`, idle or not."""
    return {
        "tcp_user_timeout": seconds * 1000,
        "keepalives": 1,
        "keepalives_idle": max(1, seconds // 2),
        "keepalives_interval": max(1, seconds // 6),
        "keepalives_count": 3,
    }


_airflow = AirflowDatabaseSettings()

# Airflow imports these for its own database: psycopg2, and asyncpg, which has no TCP options.
AIRFLOW = {"connect_timeout": _airflow.connect_timeout, **unreachable_parameters(_airflow.unreachable_timeout)}
AIRFLOW_ASYNC = {"timeout": _airflow.connect_timeout, "command_timeout": _airflow.command_timeout}
