"""Every setting of every program, read from the environment and nowhere else.

Each class is one server or one program; a program reads only the classes that it needs, so that it runs with only the
passwords that it needs. The same names serve on Kubernetes and on one machine.
"""

from collections.abc import Mapping
from pathlib import Path
from typing import Literal, Self
from urllib.parse import urlsplit, urlunsplit

from pydantic import Field, PositiveFloat, PositiveInt, SecretStr, ValidationError
from pydantic_settings import BaseSettings, InitSettingsSource, SettingsConfigDict


class ProgramSettings(BaseSettings):
    """Settings from the environment, or from a mapping that holds the environment of another program."""

    # An error would show the passwords beside the variable that is missing.
    model_config = SettingsConfigDict(hide_input_in_errors=True)

    @classmethod
    def of(cls, environment: Mapping[str, str]) -> Self:
        """Read the settings from this environment alone, not from that of the process."""
        prefix = cls.model_config.get("env_prefix", "")
        names = {name: f"{prefix}{name}".upper() for name in cls.model_fields}
        given = {name: environment[variable] for name, variable in names.items() if variable in environment}
        return cls(_build_sources=((InitSettingsSource(cls, given),), {}))


def explain_settings(error: ValidationError) -> str:
    """What an environment lacks or has wrong, by variable; the error's own words where it is not about settings."""
    read = {one.__name__: one.model_config.get("env_prefix", "") for one in ProgramSettings.__subclasses__()}
    if error.title not in read:
        return str(error)
    wrong = [
        f"{read[error.title]}{'_'.join(map(str, one['loc']))}".upper()
        + (" is not set" if one["type"] == "missing" else f": {one['msg']}")
        for one in error.errors(include_input=False)
    ]
    return f"The environment lacks settings, or has wrong ones: {'; '.join(wrong)}."


class UserApiSettings(ProgramSettings):
    """Where the members come from (`USER_API_*`)."""

    model_config = SettingsConfigDict(env_prefix="USER_API_")

    url: str = Field("https://randomuser.me/api/", description="Address that answers as randomuser.me 1.4 does.")
    connect_timeout: PositiveFloat = Field(5, description="Seconds to wait for a connection.")
    read_timeout: PositiveFloat = Field(60, description="Seconds to wait for the next bytes of an answer.")
    attempts: PositiveInt = Field(6, description="How often one page is asked for before the task fails.")
    longest_wait: PositiveFloat = Field(
        120, description="Longest pause in seconds between two attempts; an API that wants a longer one is given up."
    )

    proxy: SecretStr | None = Field(
        None, description="HTTP proxy on the way to the user API; that of the environment (`https_proxy`) unless given."
    )

    @property
    def address(self) -> str:
        """The URL without what may be secret in it: a login, or a key among the parameters."""
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
        "prefer", description="How the connection is secured, as in libpq."
    )
    connect_timeout: PositiveInt = Field(10, description="Seconds.")
    unreachable_timeout: PositiveInt = Field(
        10, description="Seconds after which a server whose packets no longer arrive counts as gone (TCP)."
    )
    idle_in_transaction_timeout: PositiveInt = Field(
        300, description="Seconds after which PostgreSQL ends a transaction whose program does not continue it."
    )


class RejectedSettings(ProgramSettings):
    """How long rejected records are kept (`REJECTED_*`): the topic `users_rejected`, and `landing.rejected`."""

    model_config = SettingsConfigDict(env_prefix="REJECTED_")

    # The topic `users` keeps up to eight days: a rejection must outlive the record that it is about.
    retention_days: int = Field(
        30, ge=9, le=36_500, description="Days after which a rejected record is deleted, with what it holds."
    )


class LandingRolesSettings(ProgramSettings):
    """The passwords of the programs' roles in the landing database, for whoever makes these (`LANDING_ROLES_*`)."""

    model_config = SettingsConfigDict(env_prefix="LANDING_ROLES_")

    administrator: str | None = Field(
        None, description="A role that may make roles; the one of `LANDING_USERNAME` unless given."
    )
    administrator_password: SecretStr | None = None
    airflow: SecretStr
    collector: SecretStr
    console: SecretStr
    operator: SecretStr
    reader: SecretStr

    @property
    def passwords(self) -> dict[str, str]:
        """The password of each role."""
        programs = ("airflow", "collector", "console", "operator", "reader")
        return {f"landing_{program}": getattr(self, program).get_secret_value() for program in programs}


class KafkaSettings(ProgramSettings):
    """The Kafka cluster, and who the program is there (`KAFKA_*`)."""

    model_config = SettingsConfigDict(env_prefix="KAFKA_")

    bootstrap_servers: str = "127.0.0.1:19092"
    security_protocol: Literal["SASL_PLAINTEXT", "SASL_SSL"] = "SASL_PLAINTEXT"
    sasl_mechanism: Literal["SCRAM-SHA-512"] = "SCRAM-SHA-512"
    username: str
    password: SecretStr
    ca_file: Path | None = Field(None, description="PEM file of the authority that signed the brokers' certificates.")
    verify_hostname: bool = Field(
        True, description="A broker's certificate has to name its address, which it cannot do behind a tunnel."
    )
    replication_factor: PositiveInt = Field(1, description="Copies of each partition of the topics that are made.")
    partitions: PositiveInt = Field(4, description="Partitions of the topics that are made.")


class RegistrySettings(ProgramSettings):
    """The schema registry's Confluent-compatible API (`SCHEMA_REGISTRY_*`)."""

    model_config = SettingsConfigDict(env_prefix="SCHEMA_REGISTRY_")

    url: str = "http://127.0.0.1:18081/apis/ccompat/v7"
    timeout: PositiveFloat = Field(10, description="Seconds for one request.")


class CassandraSettings(ProgramSettings):
    """The Cassandra cluster, and who the program is there (`CASSANDRA_*`)."""

    model_config = SettingsConfigDict(env_prefix="CASSANDRA_")

    hosts: str = Field("127.0.0.1", description="Contact points, separated by commas.")
    port: PositiveInt = 19042
    datacenter: str = "datacenter1"
    username: str
    password: SecretStr
    keyspace: str = "spark_streams"
    replication_factor: PositiveInt = Field(1, description="Copies of each row in the datacenter.")
    consistency: Literal["LOCAL_ONE", "LOCAL_QUORUM"] = Field(
        "LOCAL_QUORUM", description="Consistency level of reads and writes."
    )
    connect_timeout: PositiveFloat = Field(10, description="Seconds.")
    reconnect_seconds: PositiveInt = Field(2, description="Seconds between attempts to reach an unavailable node.")
    only_contact_points: bool = Field(
        False, description="Never turn to the addresses that the nodes tell, which are out of reach behind a tunnel."
    )

    @property
    def contact_points(self) -> list[str]:
        """The hosts, one by one."""
        return [host.strip() for host in self.hosts.split(",")]


class CassandraRolesSettings(ProgramSettings):
    """The passwords of the programs' roles, for whoever makes these (`CASSANDRA_ROLES_*`)."""

    model_config = SettingsConfigDict(env_prefix="CASSANDRA_ROLES_")

    stream: SecretStr
    collector: SecretStr
    console: SecretStr
    reader: SecretStr

    @property
    def passwords(self) -> dict[str, str]:
        """The password of each role."""
        return {role: getattr(self, role).get_secret_value() for role in type(self).model_fields}


class StreamSettings(ProgramSettings):
    """The Spark Structured Streaming job and the recount (`STREAM_*`)."""

    model_config = SettingsConfigDict(env_prefix="STREAM_")

    checkpoint: str = Field(description="Folder on durable storage, as a path or a URL that Hadoop reads.")
    max_offsets_per_trigger: PositiveInt = Field(100_000, description="Most records of one micro-batch.")
    trigger_milliseconds: int = Field(
        0, ge=0, description="From the start of a micro-batch to the next one; 0 starts it at once."
    )
    tasks: PositiveInt = Field(4, description="Tasks that read a micro-batch. About the number of cores.")
    cassandra_wait: float = Field(
        240,
        ge=0,
        description="Seconds to wait for a Cassandra that is away before Spark is started.",
    )


class AirflowSettings(ProgramSettings):
    """Airflow's REST API, for programs that start DAGs (`AIRFLOW_API_*`)."""

    model_config = SettingsConfigDict(env_prefix="AIRFLOW_API_")

    url: str = "http://127.0.0.1:18080"
    username: str
    password: SecretStr
    timeout: PositiveFloat = Field(30, description="Seconds for one request.")


class AirflowDatabaseSettings(ProgramSettings):
    """Airflow's connections to its own database (`AIRFLOW_DATABASE_*`), for Airflow's programs."""

    model_config = SettingsConfigDict(env_prefix="AIRFLOW_DATABASE_")

    connect_timeout: PositiveInt = Field(10, description="Seconds.")
    unreachable_timeout: PositiveInt = Field(
        10, description="Seconds after which a server whose packets no longer arrive counts as gone (TCP)."
    )
    command_timeout: PositiveInt = Field(60, description="Most seconds of one statement of an asynchronous program.")


class ScheduleSettings(ProgramSettings):
    """When Airflow runs the DAGs by itself (`SCHEDULE_*`): cron expressions in UTC, or `never`."""

    model_config = SettingsConfigDict(env_prefix="SCHEDULE_")

    user_create: str = "0 0 * * *"
    user_analysis: str = "15 0 * * *"
    generate_graphs: str = "30 0 * * *"


class SparkSubmitSettings(ProgramSettings):
    """Where the Spark jobs lie for those who submit them (`SPARK_SUBMIT_*`)."""

    model_config = SettingsConfigDict(env_prefix="SPARK_SUBMIT_")

    applications: Path = Field(Path("spark-apps"), description="Folder of the jobs' entry points.")
    manifest: Path | None = Field(
        None,
        description="The recount as a SparkApplication, where Spark's operator runs it; otherwise spark-submit does.",
    )


class GraphSettings(ProgramSettings):
    """Where `generate_graphs` puts its pictures (`GRAPHS_*`)."""

    model_config = SettingsConfigDict(env_prefix="GRAPHS_")

    directory: Path = Field(description="A folder a day is made in it.")


class CollectorSettings(ProgramSettings):
    """The web program that takes members over HTTP (`COLLECTOR_*`)."""

    model_config = SettingsConfigDict(env_prefix="COLLECTOR_")

    requests_per_second: PositiveInt = Field(200, description="Of one API key, in each process; more are refused.")
    connections: PositiveInt = Field(8, description="Most connections to PostgreSQL.")
    repeat_hours: PositiveInt = Field(24, description="How long an answer is kept for its Idempotency-Key.")
    publish: bool = Field(True, description="Whether it publishes what has landed, beside the DAG.")


class ConsoleSettings(ProgramSettings):
    """The web program that shows the members and the pipeline (`CONSOLE_*`)."""

    model_config = SettingsConfigDict(env_prefix="CONSOLE_")

    viewer_password: SecretStr = Field(description="Of the login `viewer`, which may look at all but personal data.")
    operator_password: SecretStr = Field(description="Of the login `operator`, which may see personal data and replay.")
    session_secret: SecretStr = Field(description="Signs the cookies.")
    session_hours: PositiveFloat = Field(12, description="After so many hours a login is asked for again.")
    secure_cookies: bool = Field(False, description="Whether cookies are for HTTPS alone.")
    zookeeper_servers: str | None = Field(
        None, description="host:port of each node, separated by commas, where they answer four-letter words."
    )
    namespace: str | None = Field(
        None, description="Namespace on Kubernetes whose pods tell how ZooKeeper does, where it does not answer itself."
    )
    spark_url: str = Field("http://127.0.0.1:14040", description="The stream's Spark UI.")
    collector_url: str = Field("http://127.0.0.1:18001", description="The collector; empty where there is none.")
    logs_directory: Path | None = Field(
        None, description="Folder of the supervisor's and the servers' logs on one machine, which tell of restarts."
    )
    user_api_health_url: str | None = Field(None, description="Tells whether the user API serves.")


class ClusterSettings(ProgramSettings):
    """A platform on Kubernetes, for whoever looks after it from a shell (`CLUSTER_*`)."""

    model_config = SettingsConfigDict(env_prefix="CLUSTER_")

    namespace: str | None = Field(None, description="Where the platform is installed.")
    context: str | None = Field(None, description="Context of the kubeconfig; its current one unless given.")


class LocalSettings(BaseSettings):
    """The platform on one machine (`LOCAL_*`): where it lives and which ports it takes, all on 127.0.0.1."""

    model_config = SettingsConfigDict(env_prefix="LOCAL_")

    home: Path = Field(Path("var"), description="Folder of data, logs, passwords and downloaded servers.")
    downloads: Path | None = Field(None, description="Folder of downloaded servers; in the home unless given.")
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
    minimum_memory_gigabytes: PositiveFloat = Field(6, description="Free memory without which it does not start.")
    minimum_disk_gigabytes: PositiveFloat = Field(4, description="Free disk without which it does not start.")
    # It beats every five seconds; on a machine that has too much to do it may be late.
    scheduler_silence: PositiveFloat = Field(
        60, description="Seconds without a heartbeat after which a hanging Airflow scheduler is restarted."
    )
