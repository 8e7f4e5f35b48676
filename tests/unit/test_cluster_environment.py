"""The environment of the administration commands, against a fake Kubernetes API."""

import base64
import json
import socket
import stat
import threading
from collections.abc import Iterator
from contextlib import ExitStack
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
from cassandra.connection import DefaultEndPoint
from cassandra.policies import HostDistance, SimpleConvictionPolicy
from cassandra.pool import Host

from member_analyzer.analysis.connection import choose_nodes
from member_analyzer.cluster.connection import Cluster, connect_cluster
from member_analyzer.cluster.environment import ClusterEnvironment
from member_analyzer.cluster.failure import ClusterError, ForbiddenError
from member_analyzer.kafka.client import client_options, spark_options
from member_analyzer.settings import (
    CassandraSettings,
    ClusterSettings,
    KafkaSettings,
    LandingSettings,
    RegistrySettings,
)

CORE = "/api/v1/namespaces/members"
SLICES = "/apis/discovery.k8s.io/v1/namespaces/members/endpointslices?labelSelector=kubernetes.io%2Fservice-name%3D"
PLATFORM = (
    f"{CORE}/configmaps?labelSelector=app.kubernetes.io%2Fname%3Dmember-analyzer"
    "%2Capp.kubernetes.io%2Fcomponent%3Dplatform"
)
BROKERS = f"{CORE}/pods?labelSelector=strimzi.io%2Fname%3Drelease-kafka"
SECRETS = {
    "release-landing-operator": {"password": "l"},
    "release-kafka-operator": {"password": "k"},
    "release-cluster-ca-cert": {"ca.crt": "-----BEGIN CERTIFICATE-----"},
    "release-cassandra-stream": {"username": "stream", "password": "c"},
}
SERVICES = {"release-postgres": 5432, "release-registry": 8080, "release-dc1-service": 9042}


def platform_settings(api: dict[str, Any]) -> dict[str, str]:
    """The data of the chart's ConfigMap."""
    data: dict[str, str] = api[PLATFORM]["items"][0]["data"]
    return data


class PortForward:
    """A connection to a pod that is closed at once."""

    def socket(self, port: int) -> socket.socket:
        return socket.socketpair()[0]

    def close(self) -> None:
        pass


def two_free_ports() -> int:
    """The first of two consecutive free ports."""
    while True:
        with ExitStack() as stack:
            first: int = stack.enter_context(socket.create_server(("127.0.0.1", 0))).getsockname()[1]
            try:
                stack.enter_context(socket.create_server(("127.0.0.1", first + 1)))
            except OSError:
                continue
            return first


def installed() -> dict[str, Any]:
    """Path -> response of the API of a cluster with the platform."""
    settings = {
        "release": "release",
        "airflow-name": "release-airflow",
        "postgres-host": "release-postgres",
        "postgres-port": "5432",
        "postgres-sslmode": "prefer",
        "landing-database": "member_analyzer",
        "rejected-retention-days": "30",
        "registry-url-path": "/apis/ccompat/v7",
        "kafka-brokers": "2",
        "kafka-tunnel-port": str(two_free_ports()),
        "cassandra-datacenter": "dc1",
        "cassandra-keyspace": "members",
    }
    ready = {"conditions": [{"type": "Ready", "status": "True"}]}
    answers: dict[str, Any] = {
        PLATFORM: {"items": [{"metadata": {"name": "release-platform"}, "data": settings}]},
        BROKERS: {"items": [{"metadata": {"name": "release-kafka-0"}, "status": ready}]},
    }
    for name, entries in SECRETS.items():
        data = {key: base64.b64encode(value.encode()).decode() for key, value in entries.items()}
        answers[f"{CORE}/secrets/{name}"] = {"data": data}
    for name, port in SERVICES.items():
        pod = {"targetRef": {"kind": "Pod", "name": f"{name}-0"}, "conditions": {"ready": True}}
        answers[f"{CORE}/services/{name}"] = {"spec": {"ports": [{"port": port}]}}
        answers[f"{SLICES}{name}"] = {"items": [{"ports": [{"name": "", "port": port}], "endpoints": [pod]}]}
    return answers


@pytest.fixture
def api(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[dict[str, Any]]:
    """The responses of the API: an object or the status of an error; any other path is not found."""
    answers = installed()

    class Api(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            found = answers.get(self.path, 404)
            code, body = (found, {"message": f"reason for {self.path}"}) if isinstance(found, int) else (200, found)
            self.send_response(code)
            self.send_header("Content-Type", "application/json")
            self.end_headers()
            self.wfile.write(json.dumps(body).encode())

        def log_message(self, *arguments: Any) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Api) as server:
        threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True).start()
        kubeconfig = {
            "current-context": "test",
            "contexts": [{"name": "test", "context": {"cluster": "test", "user": "test"}}],
            "clusters": [{"name": "test", "cluster": {"server": f"http://127.0.0.1:{server.server_port}"}}],
            "users": [{"name": "test", "user": {"token": "t"}}],
        }
        (tmp_path / "kubeconfig").write_text(json.dumps(kubeconfig))
        monkeypatch.setattr("kubernetes.config.kube_config.KUBE_CONFIG_DEFAULT_LOCATION", str(tmp_path / "kubeconfig"))
        monkeypatch.setenv("no_proxy", "127.0.0.1")
        monkeypatch.setattr(Cluster, "port_forward", lambda *_: PortForward())
        yield answers
        server.shutdown()


@pytest.fixture
def cluster(api: dict[str, Any]) -> Cluster:
    return connect_cluster(ClusterSettings(), "members")


@pytest.fixture
def stack() -> Iterator[ExitStack]:
    with ExitStack() as stack:
        yield stack


def test_every_server_is_reached_through_a_tunnel(api: dict[str, Any], cluster: Cluster, stack: ExitStack) -> None:
    environment = ClusterEnvironment(cluster, stack)
    landing, registry = LandingSettings.of(environment), RegistrySettings.of(environment)
    cassandra, kafka = CassandraSettings.of(environment), KafkaSettings.of(environment)
    ports = [landing.port, int(registry.url.split(":")[2].split("/")[0]), cassandra.port]
    for port in [*ports, *(int(one.split(":")[1]) for one in kafka.bootstrap_servers.split(","))]:
        socket.create_connection(("127.0.0.1", port)).close()
    assert registry.url.endswith("/apis/ccompat/v7")
    assert (landing.username, landing.password.get_secret_value()) == ("landing_operator", "l")
    assert (cassandra.datacenter, cassandra.keyspace, cassandra.username) == ("dc1", "members", "stream")


def test_the_local_ports_of_kafka_are_the_advertised_ones(
    api: dict[str, Any], cluster: Cluster, stack: ExitStack
) -> None:
    kafka = KafkaSettings.of(ClusterEnvironment(cluster, stack))
    first = int(platform_settings(api)["kafka-tunnel-port"])
    assert kafka.bootstrap_servers == f"127.0.0.1:{first},127.0.0.1:{first + 1}"
    assert kafka.username == "release-kafka-operator"
    assert not kafka.verify_hostname


def test_the_ca_of_kafka_is_a_private_temporary_file(cluster: Cluster) -> None:
    with ExitStack() as stack:
        authority = KafkaSettings.of(ClusterEnvironment(cluster, stack)).ca_file
        assert authority is not None
        assert authority.read_text() == "-----BEGIN CERTIFICATE-----"
        assert stat.S_IMODE(authority.parent.stat().st_mode) == 0o700
    assert not authority.exists()


def test_a_server_that_is_not_used_may_be_unavailable(api: dict[str, Any], cluster: Cluster, stack: ExitStack) -> None:
    api[f"{SLICES}release-dc1-service"] = {"items": []}
    environment = ClusterEnvironment(cluster, stack)
    assert LandingSettings.of(environment).database == "member_analyzer"
    with pytest.raises(ClusterError, match="no pod behind the Service release-dc1-service"):
        CassandraSettings.of(environment)


def test_an_external_postgres_is_reached_directly(api: dict[str, Any], cluster: Cluster, stack: ExitStack) -> None:
    del api[f"{CORE}/services/release-postgres"]
    platform_settings(api).update({"postgres-host": "db.example", "postgres-sslmode": "verify-full"})
    landing = LandingSettings.of(ClusterEnvironment(cluster, stack))
    assert (landing.host, landing.port, landing.sslmode) == ("db.example", 5432, "verify-full")


def test_an_error_without_a_ready_broker(api: dict[str, Any], cluster: Cluster, stack: ExitStack) -> None:
    api[BROKERS]["items"][0]["status"] = {}
    with pytest.raises(ClusterError, match="no Kafka broker in the namespace members is ready"):
        KafkaSettings.of(ClusterEnvironment(cluster, stack))


def test_without_the_tunnel_listener_the_error_names_the_value_that_adds_it(
    api: dict[str, Any], cluster: Cluster, stack: ExitStack
) -> None:
    platform_settings(api)["kafka-tunnel-port"] = ""
    with pytest.raises(ClusterError, match=r"kafka\.tunnel\.enabled"):
        KafkaSettings.of(ClusterEnvironment(cluster, stack))


def test_an_error_without_the_chart(api: dict[str, Any], cluster: Cluster) -> None:
    api[PLATFORM]["items"] = []
    with pytest.raises(ClusterError, match="member-analyzer is not installed in the namespace members"):
        cluster.read_settings()


def test_an_error_with_a_chart_of_another_version(api: dict[str, Any], cluster: Cluster) -> None:
    del platform_settings(api)["kafka-brokers"]
    with pytest.raises(ClusterError, match="ConfigMap release-platform in the namespace members lacks kafka-brokers"):
        cluster.read_settings()


def test_an_error_without_a_secret(api: dict[str, Any], cluster: Cluster) -> None:
    del api[f"{CORE}/secrets/release-landing-operator"]
    with pytest.raises(ClusterError, match="no Secret release-landing-operator with the key password"):
        cluster.read_secret("release-landing-operator", "password")


def test_a_forbidden_request_reports_the_message_of_the_api(api: dict[str, Any], cluster: Cluster) -> None:
    api[f"{CORE}/pods"] = 403
    with pytest.raises(ForbiddenError, match="permission denied: reason for /api/v1/namespaces/members/pods"):
        cluster.list(cluster.path("pods"))


@pytest.mark.parametrize(("code", "message"), [(401, "log in again"), (500, "returned 500: ")])
def test_other_errors_of_the_api(api: dict[str, Any], cluster: Cluster, code: int, message: str) -> None:
    api["/version"] = code
    with pytest.raises(ClusterError, match=message):
        cluster.get("/version")


def test_an_unavailable_cluster_is_reported_with_its_address(api: dict[str, Any], tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as other:
        address = f"http://127.0.0.1:{other.getsockname()[1]}"
    kubeconfig = json.loads((tmp_path / "kubeconfig").read_text())
    kubeconfig["clusters"][0]["cluster"]["server"] = address
    (tmp_path / "kubeconfig").write_text(json.dumps(kubeconfig))
    with pytest.raises(ClusterError, match=f"the cluster at {address} does not respond"):
        connect_cluster(ClusterSettings(), "members").get("/version")


def test_an_error_with_an_unknown_context(api: dict[str, Any]) -> None:
    with pytest.raises(ClusterError, match="nowhere"):
        connect_cluster(ClusterSettings(context="nowhere"), "members")


# The settings of clients behind a tunnel


def kafka(**values: Any) -> KafkaSettings:
    return KafkaSettings(username="u", password="p", security_protocol="SASL_SSL", **values)


def test_hostname_verification_can_be_disabled() -> None:
    assert "ssl.endpoint.identification.algorithm" not in client_options(kafka())
    assert "kafka.ssl.endpoint.identification.algorithm" not in spark_options(kafka())
    assert client_options(kafka(verify_hostname=False))["ssl.endpoint.identification.algorithm"] == "none"
    assert spark_options(kafka(verify_hostname=False))["kafka.ssl.endpoint.identification.algorithm"] == ""


def test_behind_a_tunnel_other_cassandra_nodes_are_ignored() -> None:
    given = CassandraSettings(username="u", password="p", hosts="127.0.0.1", only_contact_points=True)
    nodes = choose_nodes(given)
    near, far = (Host(DefaultEndPoint(address), SimpleConvictionPolicy) for address in ("127.0.0.1", "10.244.0.7"))
    assert nodes.distance(near) == HostDistance.LOCAL
    assert nodes.distance(far) == HostDistance.IGNORED
