"""All settings of all programs, read from environment variables only.

Each class belongs to one server or program. A program reads only the classes it needs, so that it needs only their
passwords. The names are the same on Kubernetes and on a single machine.
"""

from collections.abc import Mapping
from pathlib import Path
from typing import Literal, Self
from urllib.parse import urlsplit, urlunsplit

from pydantic import Field, PositiveFloat, PositiveInt, SecretStr, ValidationError
from pydantic_settings import BaseSettings, InitSettingsSource, SettingsConfigDict


class ProgramSettings(BaseSettings):
    """Settings from the environment, or from a mapping that holds the environment of another program."""

    # Otherwise an error about a missing variable would include the passwords.
    model_config = SettingsConfigDict(hide_input_in_errors=True)

    @classmethod
    def of(cls, environment: Mapping[str, str]) -> Self:
        """Read the settings from this environment alone, not from that of the process."""
        prefix = cls.model_config.get("env_prefix", "")
        names = {name: f"{prefix}{name}".upper() for name in cls.model_fields}
        given = {name: environment[variable] for name, variable in names.items() if variable in environment}
        return cls(_build_sources=((InitSettingsSource(cls, given),), {}))


def explain_settings(error: ValidationError) -> str:
    """The missing and invalid variables of an environment; the plain message if the error is about something else."""
    prefixes = {one.__name__: one.model_config.get("env_prefix", "") for one in ProgramSettings.__subclasses__()}
    if error.title not in prefixes:
        return str(error)
    problems = [
        f"{prefixes[error.title]}{'_'.join(map(str, one['loc']))}".upper()
        + (" is not set" if one["type"] == "missing" else f": {one['msg']}")
        for one in error.errors(include_input=False)
    ]
    return f"Invalid settings: {'; '.join(problems)}."


class UserApiSettings(ProgramSettings):
    """The user API that members are fetched from (`USER_API_*`)."""

    model_config = SettingsConfigDict(env_prefix="USER_API_")

    url: str = Field("https://randomuser.me/api/", description="URL of an API compatible with randomuser.me 1.4.")
    connect_timeout: PositiveFloat = Field(5, description="Seconds to wait for a connection.")
    read_timeout: PositiveFloat = Field(60, description="Seconds to wait for more bytes of a response.")
    attempts: PositiveInt = Field(6, description="Attempts per page before the task fails.")
    max_wait: PositiveFloat = Field(
        120, description="Maximum seconds between two attempts; a longer Retry-After fails the task."
    )
    proxy: SecretStr | None = Field(
        None, description="HTTP proxy for the user API; defaults to the environment's (`https_proxy`)."
    )

    @property
    def address(self) -> str:
        """The URL without its possible secrets: the login and the query."""
        parts = urlsplit(self.url)
        return urlunsplit((parts.scheme, parts.netloc.rpartition("@")[2], parts.path, "", ""))


class LandingSettings(ProgramSettings):
    """The PostgreSQL database that holds `landing.users` (`LANDING_*`)."""

    model_config = SettingsConfigDict(env_prefix="LANDING_")

    host: str = "127.0.0.1"
    port: PositiveInt = 15432
    database: str = "member_analyzer"
    username: str = "member_analyzer"
    password: SecretStr
    sslmode: Literal["disable", "prefer", "require", "verify-ca", "verify-full"] = Field(
        "prefer", description="TLS mode, as in libpq."
    )
    connect_timeout: PositiveInt = Field(10, description="Seconds.")
    unreachable_timeout: PositiveInt = Field(
        10, description="Seconds without TCP acknowledgement after which a connection fails."
    )
    idle_in_transaction_timeout: PositiveInt = Field(
        300, description="Seconds after which PostgreSQL terminates a session that is idle in a transaction."
    )


class RejectedSettings(ProgramSettings):
    """Retention of rejected records (`REJECTED_*`), in the topic `users_rejected` and in `landing.rejected`."""

    model_config = SettingsConfigDict(env_prefix="REJECTED_")

    # The topic `users` keeps records for up to eight days; a rejection must outlive its record.
    retention_days: int = Field(30, ge=9, le=36_500, description="Days after which a rejected record is deleted.")


class InteractionSettings(ProgramSettings):
    """Retention of the tables of the interactions (`INTERACTIONS_*`), for provisioning."""

    model_config = SettingsConfigDict(env_prefix="INTERACTIONS_")

    # Cassandra's longest time to live is 20 years.
    timeline_days: int = Field(90, ge=1, le=7300, description="Days for which it is kept what each visitor did.")
    sessions_days: int = Field(400, ge=1, le=7300, description="Days for which sessions are kept.")
    minutes_days: int = Field(8, ge=1, le=7300, description="Days for which the counts of minutes are kept.")
    counts_days: int = Field(0, ge=0, le=7300, description="Days for which the counts of days are kept; 0 is for ever.")


class LandingRolesSettings(ProgramSettings):
    """The passwords of the programs' PostgreSQL roles, for provisioning (`LANDING_ROLES_*`)."""

    model_config = SettingsConfigDict(env_prefix="LANDING_ROLES_")

    administrator: str | None = Field(None, description="A role with CREATEROLE; defaults to `LANDING_USERNAME`.")
    administrator_password: SecretStr | None = None
    airflow: SecretStr
    collector: SecretStr
    console: SecretStr
    operator: SecretStr
    reader: SecretStr

    @property
    def passwords(self) -> dict[str, str]:
        """Password by role."""
        programs = ("airflow", "collector", "console", "operator", "reader")
        return {f"landing_{program}": getattr(self, program).get_secret_value() for program in programs}


class KafkaSettings(ProgramSettings):
    """The Kafka cluster and the program's login (`KAFKA_*`)."""

    model_config = SettingsConfigDict(env_prefix="KAFKA_")

    bootstrap_servers: str = "127.0.0.1:19092"
    security_protocol: Literal["SASL_PLAINTEXT", "SASL_SSL"] = "SASL_PLAINTEXT"
    sasl_mechanism: Literal["SCRAM-SHA-512"] = "SCRAM-SHA-512"
    username: str
    password: SecretStr
    ca_file: Path | None = Field(None, description="PEM file of the CA that signed the brokers' certificates.")
    verify_hostname: bool = Field(
        True, description="Verify that a broker's certificate matches its address; disable it behind a tunnel."
    )
    replication_factor: PositiveInt = Field(1, description="Replicas of each partition of new topics.")
    partitions: PositiveInt = Field(4, description="Partitions of new topics.")


class RegistrySettings(ProgramSettings):
    """The schema registry's Confluent-compatible API (`SCHEMA_REGISTRY_*`)."""

    model_config = SettingsConfigDict(env_prefix="SCHEMA_REGISTRY_")

    url: str = "http://127.0.0.1:18081/apis/ccompat/v7"
    timeout: PositiveFloat = Field(10, description="Seconds per request.")


class CassandraSettings(ProgramSettings):
    """The Cassandra cluster and the program's login (`CASSANDRA_*`)."""

    model_config = SettingsConfigDict(env_prefix="CASSANDRA_")

    hosts: str = Field("127.0.0.1", description="Contact points, separated by commas.")
    port: PositiveInt = 19042
    datacenter: str = "datacenter1"
    username: str
    password: SecretStr
    keyspace: str = "spark_streams"
    replication_factor: PositiveInt = Field(1, description="Replicas of each row in the datacenter.")
    consistency: Literal["LOCAL_ONE", "LOCAL_QUORUM"] = Field(
        "LOCAL_QUORUM", description="Consistency level of reads and writes."
    )
    connect_timeout: PositiveFloat = Field(10, description="Seconds.")
    reconnect_seconds: PositiveInt = Field(2, description="Seconds between attempts to reach an unavailable node.")
    only_contact_points: bool = Field(
        False, description="Never connect to the addresses that nodes advertise, which a tunnel does not reach."
    )

    @property
    def contact_points(self) -> list[str]:
        return [host.strip() for host in self.hosts.split(",")]


class CassandraRolesSettings(ProgramSettings):
    """The passwords of the programs' Cassandra roles, for provisioning (`CASSANDRA_ROLES_*`)."""

    model_config = SettingsConfigDict(env_prefix="CASSANDRA_ROLES_")

    stream: SecretStr
    collector: SecretStr
    console: SecretStr
    reader: SecretStr

    @property
    def passwords(self) -> dict[str, str]:
        """Password by role."""
        return {role: getattr(self, role).get_secret_value() for role in type(self).model_fields}


class StreamSettings(ProgramSettings):
    """The Spark Structured Streaming job and the recount (`STREAM_*`)."""

    model_config = SettingsConfigDict(env_prefix="STREAM_")

    checkpoint: str = Field(description="Directory on durable storage, as a path or a Hadoop URL.")
    max_offsets_per_trigger: PositiveInt = Field(100_000, description="Maximum records per micro-batch.")
    trigger_milliseconds: int = Field(
        0, ge=0, description="Interval between the starts of micro-batches; 0 starts the next one immediately."
    )
    tasks: PositiveInt = Field(4, description="Tasks that read a micro-batch; about the number of cores.")
    cassandra_wait: float = Field(
        240, ge=0, description="Seconds to wait for Cassandra to become available before starting Spark."
    )


class AirflowSettings(ProgramSettings):
    """Airflow's REST API, for programs that start DAG runs (`AIRFLOW_API_*`)."""

    model_config = SettingsConfigDict(env_prefix="AIRFLOW_API_")

    url: str = "http://127.0.0.1:18080"
    username: str
    password: SecretStr
    timeout: PositiveFloat = Field(30, description="Seconds per request.")


class AirflowDatabaseSettings(ProgramSettings):
    """Airflow's connections to its metadata database (`AIRFLOW_DATABASE_*`)."""

    model_config = SettingsConfigDict(env_prefix="AIRFLOW_DATABASE_")

    connect_timeout: PositiveInt = Field(10, description="Seconds.")
    unreachable_timeout: PositiveInt = Field(
        10, description="Seconds without TCP acknowledgement after which a connection fails."
    )
    command_timeout: PositiveInt = Field(60, description="Seconds per statement over asyncpg.")


class ScheduleSettings(ProgramSettings):
    """The schedules of the DAGs (`SCHEDULE_*`): cron expressions in UTC, or `never`."""

    model_config = SettingsConfigDict(env_prefix="SCHEDULE_")

    user_create: str = "0 0 * * *"
    user_analysis: str = "15 0 * * *"
    generate_graphs: str = "30 0 * * *"


class SparkSubmitSettings(ProgramSettings):
    """The location of the Spark jobs, for programs that submit them (`SPARK_SUBMIT_*`)."""

    model_config = SettingsConfigDict(env_prefix="SPARK_SUBMIT_")

    applications: Path = Field(Path("spark-apps"), description="Directory of the jobs' entry points.")
    manifest: Path | None = Field(
        None,
        description="SparkApplication manifest of the recount for the Spark operator; without it, spark-submit runs.",
    )


class GraphSettings(ProgramSettings):
    """The output of `generate_graphs` (`GRAPHS_*`)."""

    model_config = SettingsConfigDict(env_prefix="GRAPHS_")

    directory: Path = Field(description="Directory with a subdirectory per day.")


class ImportSettings(ProgramSettings):
    """The files of interactions that the DAG `interactions_import` reads (`IMPORT_*`)."""

    model_config = SettingsConfigDict(env_prefix="IMPORT_")

    directory: Path | None = Field(None, description="Directory of the files.")


class CollectorSettings(ProgramSettings):
    """The collector, which accepts members over HTTP (`COLLECTOR_*`)."""

    model_config = SettingsConfigDict(env_prefix="COLLECTOR_")

    requests_per_second: PositiveInt = Field(200, description="Rate limit of each API key, per process.")
    connections: PositiveInt = Field(8, description="Maximum number of connections to PostgreSQL.")
    idempotency_hours: PositiveInt = Field(24, description="Retention of responses by Idempotency-Key.")
    publish: bool = Field(True, description="Publish what has landed, in addition to the DAG.")


class ConsoleSettings(ProgramSettings):
    """The web console, which shows the members and the pipeline (`CONSOLE_*`)."""

    model_config = SettingsConfigDict(env_prefix="CONSOLE_")

    viewer_password: SecretStr = Field(
        description="Password of the login `viewer`, which sees everything but personal data."
    )
    operator_password: SecretStr = Field(
        description="Password of the login `operator`, which also sees personal data and replays dead letters."
    )
    session_secret: SecretStr = Field(description="Key that signs the session cookies.")
    session_hours: PositiveFloat = Field(12, description="Hours after which a session expires.")
    secure_cookies: bool = Field(False, description="Send cookies over HTTPS only.")
    zookeeper_servers: str | None = Field(
        None, description="host:port of each node, comma-separated, if they answer four-letter words."
    )
    namespace: str | None = Field(
        None, description="Kubernetes namespace whose pods show ZooKeeper's state, if it is not queried itself."
    )
    spark_url: str = Field("http://127.0.0.1:14040", description="The stream's Spark UI.")
    collector_url: str = Field("http://127.0.0.1:18001", description="The collector; empty if there is none.")
    logs_directory: Path | None = Field(
        None, description="Directory of the supervisor's and the servers' logs on one machine, for restart counts."
    )
    user_api_health_url: str | None = Field(None, description="Health endpoint of the user API.")


class ClusterSettings(ProgramSettings):
    """The platform on Kubernetes that commands operate on (`CLUSTER_*`)."""

    model_config = SettingsConfigDict(env_prefix="CLUSTER_")

    namespace: str | None = Field(None, description="Namespace of the platform.")
    context: str | None = Field(None, description="kubeconfig context; defaults to the current one.")


class LocalSettings(BaseSettings):
    """The platform on one machine (`LOCAL_*`): its directories and its ports, all on 127.0.0.1."""

    model_config = SettingsConfigDict(env_prefix="LOCAL_")

    home: Path = Field(Path("var"), description="Directory of data, logs, passwords and downloads.")
    downloads: Path | None = Field(None, description="Directory of downloaded servers; defaults to one in the home.")
    zookeeper_port: PositiveInt = 12181
    kafka_port: PositiveInt = 19092
    registry_port: PositiveInt = 18081
    postgres_port: PositiveInt = 15432
    cassandra_port: PositiveInt = 19042
    cassandra_storage_port: PositiveInt = 17000
    airflow_port: PositiveInt = 18080
    spark_port: PositiveInt = 14040
    user_api_port: PositiveInt = 18000
    collector_port: PositiveInt = 18001
    console_port: PositiveInt = 18002
    minimum_memory_gigabytes: PositiveFloat = Field(6, description="Free memory required to start.")
    minimum_disk_gigabytes: PositiveFloat = Field(4, description="Free disk space required to start.")
    # The heartbeat interval is five seconds, but heartbeats are late on an overloaded machine.
    scheduler_timeout: PositiveFloat = Field(
        60, description="Seconds without a heartbeat after which a hanging Airflow scheduler is restarted."
    )
