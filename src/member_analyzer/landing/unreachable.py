"""How clients of PostgreSQL notice that the server is unreachable: its node is lost, or its packets are dropped.

Then nobody closes the connection, and the kernel waits: for a quarter of an hour where something was sent, for two
hours on an idle connection. This does not cover a server whose process stands still while its kernel acknowledges.
"""

from member_analyzer.settings import AirflowDatabaseSettings


def unreachable_parameters(seconds: int) -> dict[str, int]:
    """libpq's parameters by which a connection, idle or not, fails within about so many seconds."""
    return {
        "tcp_user_timeout": seconds * 1000,
        "keepalives": 1,
        "keepalives_idle": max(1, seconds // 2),
        "keepalives_interval": max(1, seconds // 6),
        "keepalives_count": 3,
    }


_airflow = AirflowDatabaseSettings()

# Airflow imports these for the connections to its own database: psycopg2's, and asyncpg's, which has no TCP options.
AIRFLOW = {"connect_timeout": _airflow.connect_timeout, **unreachable_parameters(_airflow.unreachable_timeout)}
AIRFLOW_ASYNC = {"timeout": _airflow.connect_timeout, "command_timeout": _airflow.command_timeout}
