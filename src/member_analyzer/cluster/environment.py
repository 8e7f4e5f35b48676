"""The environment of the administration commands, for a platform on a cluster."""

import tempfile
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack
from functools import partial
from pathlib import Path

from member_analyzer.cluster.connection import Cluster
from member_analyzer.cluster.failure import ClusterError
from member_analyzer.cluster.pods import is_ready
from member_analyzer.cluster.tunnel import Target, open_service, open_tunnel

# Suffixes of the names of Services, with their ports.
POSTGRES, REGISTRY, CASSANDRA = ("postgres", 5432), ("registry", 8080), ("dc1-service", 9042)
AIRFLOW = ("api-server", 8080)
TUNNEL_LISTENER = 9095


class ClusterEnvironment(Mapping[str, str]):
    """The variables of all servers; the tunnel to a server is opened when one of its variables is first read.

    So a command works while a server that it does not need is unavailable.
    """

    def __init__(self, cluster: Cluster, stack: ExitStack) -> None:
        self._readers: Mapping[str, Callable[[Cluster, Mapping[str, str], ExitStack], dict[str, str]]] = {
            "LANDING_": landing_environment,
            "KAFKA_": kafka_environment,
            "SCHEMA_REGISTRY_": registry_environment,
            "CASSANDRA_": cassandra_environment,
            "AIRFLOW_API_": airflow_environment,
            "REJECTED_": rejected_environment,
        }
        self._cluster, self._stack = cluster, stack
        self._settings = cluster.read_settings()
        self._open: dict[str, dict[str, str]] = {}

    def _variables(self, prefix: str) -> dict[str, str]:
        if prefix not in self._open:
            self._open[prefix] = self._readers[prefix](self._cluster, self._settings, self._stack)
        return self._open[prefix]

    def __getitem__(self, variable: str) -> str:
        for prefix in self._readers:
            if variable.startswith(prefix):
                return self._variables(prefix)[variable]
        raise KeyError(variable)

    def __iter__(self) -> Iterator[str]:
        for prefix in self._readers:
            yield from self._variables(prefix)

    def __len__(self) -> int:
        return sum(1 for _ in self)


def object_name(settings: Mapping[str, str], suffix: str) -> str:
    """The name of an object of the release."""
    return f"{settings['release']}-{suffix}"


def landing_environment(cluster: Cluster, settings: Mapping[str, str], stack: ExitStack) -> dict[str, str]:
    """PostgreSQL: through a tunnel to the chart's own server, directly to an external one."""
    host, port = settings["postgres-host"], settings["postgres-port"]
    service = object_name(settings, POSTGRES[0])
    if cluster.get(cluster.path("services", service)) is not None:
        host, port = "127.0.0.1", str(stack.enter_context(open_service(cluster, service, POSTGRES[1])))
    return {
        "LANDING_HOST": host,
        "LANDING_PORT": port,
        "LANDING_DATABASE": settings["landing-database"],
        "LANDING_SSLMODE": settings["postgres-sslmode"],
        "LANDING_USERNAME": "landing_operator",
        "LANDING_PASSWORD": cluster.read_secret(object_name(settings, "landing-operator"), "password"),
    }


def kafka_environment(cluster: Cluster, settings: Mapping[str, str], stack: ExitStack) -> dict[str, str]:
    """Kafka: the brokers advertise 127.0.0.1, so the local ports are the advertised ones."""
    first = settings["kafka-tunnel-port"]
    brokers, user = object_name(settings, "kafka"), object_name(settings, "kafka-operator")
    if not first:
        raise ClusterError("Kafka has no listener for tunnels; kafka.tunnel.enabled=true adds it")
    pods = cluster.list(cluster.path("pods"), labelSelector=f"strimzi.io/name={brokers}")
    ready = [Target(pod["metadata"]["name"], TUNNEL_LISTENER) for pod in pods if is_ready(pod)]
    if not ready:
        raise ClusterError(
            f"no Kafka broker in the namespace {cluster.namespace} is ready;"
            f" see `member-analyzer --namespace {cluster.namespace} status`"
        )
    cluster.port_forward(*ready[0]).close()
    ports = []
    for broker in range(int(settings["kafka-brokers"])):
        find = partial(Target, f"{brokers}-{broker}", TUNNEL_LISTENER)
        ports.append(stack.enter_context(open_tunnel(cluster, find, int(first) + broker)))
    ca_file = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="member-analyzer-"))) / "ca.crt"
    ca_file.write_text(cluster.read_secret(object_name(settings, "cluster-ca-cert"), "ca.crt"), encoding="ascii")
    return {
        "KAFKA_BOOTSTRAP_SERVERS": ",".join(f"127.0.0.1:{port}" for port in ports),
        "KAFKA_SECURITY_PROTOCOL": "SASL_SSL",
        "KAFKA_CA_FILE": str(ca_file),
        "KAFKA_VERIFY_HOSTNAME": "false",
        "KAFKA_USERNAME": user,
        "KAFKA_PASSWORD": cluster.read_secret(user, "password"),
    }


def registry_environment(cluster: Cluster, settings: Mapping[str, str], stack: ExitStack) -> dict[str, str]:
    """The schema registry, through a tunnel."""
    port = stack.enter_context(open_service(cluster, object_name(settings, REGISTRY[0]), REGISTRY[1]))
    return {"SCHEMA_REGISTRY_URL": f"http://127.0.0.1:{port}{settings['registry-url-path']}"}


def cassandra_environment(cluster: Cluster, settings: Mapping[str, str], stack: ExitStack) -> dict[str, str]:
    """Cassandra: one node coordinates every request, as the addresses of the others are internal to the cluster."""
    port = stack.enter_context(open_service(cluster, object_name(settings, CASSANDRA[0]), CASSANDRA[1]))
    secret = object_name(settings, "cassandra-stream")
    return {
        "CASSANDRA_HOSTS": "127.0.0.1",
        "CASSANDRA_PORT": str(port),
        "CASSANDRA_ONLY_CONTACT_POINTS": "true",
        "CASSANDRA_DATACENTER": settings["cassandra-datacenter"],
        "CASSANDRA_KEYSPACE": settings["cassandra-keyspace"],
        "CASSANDRA_USERNAME": cluster.read_secret(secret, "username"),
        "CASSANDRA_PASSWORD": cluster.read_secret(secret, "password"),
    }


def rejected_environment(cluster: Cluster, settings: Mapping[str, str], stack: ExitStack) -> dict[str, str]:
    """The retention of rejected records."""
    return {"REJECTED_RETENTION_DAYS": settings["rejected-retention-days"]}


def airflow_environment(cluster: Cluster, settings: Mapping[str, str], stack: ExitStack) -> dict[str, str]:
    """Airflow, through a tunnel."""
    port = stack.enter_context(open_service(cluster, f"{settings['airflow-name']}-{AIRFLOW[0]}", AIRFLOW[1]))
    return {
        "AIRFLOW_API_URL": f"http://127.0.0.1:{port}",
        "AIRFLOW_API_USERNAME": cluster.read_secret("airflow-login", "username"),
        "AIRFLOW_API_PASSWORD": cluster.read_secret("airflow-login", "password"),
    }
