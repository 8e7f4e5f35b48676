"""Connection to a cluster: reads its objects as JSON and forwards ports of its pods."""

import base64
import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from kubernetes.client import ApiClient
from kubernetes.client.exceptions import ApiException
from kubernetes.config import ConfigException, new_client_from_config
from kubernetes.stream.ws_client import PortForward, portforward_call
from urllib3.exceptions import HTTPError

from member_analyzer.cluster.failure import ClusterError, ForbiddenError
from member_analyzer.settings import ClusterSettings

Object = Mapping[str, Any]

# The labels of the chart's ConfigMap, whose name begins with the release's, and its keys.
PLATFORM_LABELS = "app.kubernetes.io/name=member-analyzer,app.kubernetes.io/component=platform"
SETTINGS = {
    *("release", "airflow-name"),
    *("postgres-host", "postgres-port", "postgres-sslmode", "landing-database", "registry-url-path"),
    *("kafka-brokers", "kafka-tunnel-port", "cassandra-datacenter", "cassandra-keyspace"),
}
AUTHENTICATION = ["BearerToken"]
CONNECT_SECONDS, READ_SECONDS = 10, 60


@dataclass(frozen=True)
class Cluster:
    """A cluster and the platform's namespace in it."""

    client: ApiClient
    namespace: str

    @property
    def host(self) -> str:
        """The address of the API server."""
        return str(self.client.configuration.host)

    def get(self, path: str, **query: str) -> Object | None:
        """Get a path of the API; None if there is no such object, kind or namespace."""
        try:
            found: Object = self.client.call_api(
                path,
                "GET",
                query_params=list(query.items()),
                header_params={"Accept": "application/json"},
                response_types_map={200: "object"},
                auth_settings=AUTHENTICATION,
                _return_http_data_only=True,
                _request_timeout=(CONNECT_SECONDS, READ_SECONDS),
            )
        except ApiException as error:
            if error.status == 404:
                return None
            raise convert_error(error, self.host) from error
        except HTTPError as error:
            reason = getattr(error, "reason", None) or error
            raise ClusterError(f"the cluster at {self.host} does not respond: {reason}") from error
        return found

    def list(self, path: str, **query: str) -> list[Object]:
        """List the objects of a path; empty if there is no such kind."""
        return list((self.get(path, **query) or {}).get("items") or [])

    def path(self, kinds: str, name: str = "", api: str = "api/v1") -> str:
        """The path of a kind in the namespace, or of one object: path("pods", "postgres-0")."""
        return f"/{api}/namespaces/{self.namespace}/{kinds}" + (f"/{name}" if name else "")

    def read_settings(self) -> Mapping[str, str]:
        """Read the addresses and names that the chart publishes in its ConfigMap."""
        found = self.list(self.path("configmaps"), labelSelector=PLATFORM_LABELS)
        if not found:
            raise ClusterError(
                f"the chart member-analyzer is not installed in the namespace {self.namespace}:"
                f" there is no ConfigMap with the labels {PLATFORM_LABELS}; see `helm list --all-namespaces`"
            )
        settings: Mapping[str, str] = found[0].get("data") or {}
        if missing := SETTINGS - settings.keys():
            raise ClusterError(
                f"the ConfigMap {found[0]['metadata']['name']} in the namespace {self.namespace} lacks"
                f" {', '.join(sorted(missing))}: the installed chart and this command have different versions"
            )
        return settings

    def read_secret(self, name: str, key: str) -> str:
        """Read one entry of a Secret."""
        found = self.get(self.path("secrets", name)) or {}
        if key not in (found.get("data") or {}):
            raise ClusterError(
                f"the namespace {self.namespace} has no Secret {name} with the key {key}; see `member-analyzer"
                f" --namespace {self.namespace} status` for the component that creates it"
            )
        return base64.b64decode(found["data"][key]).decode()

    def port_forward(self, pod: str, port: int) -> PortForward:
        """Open a connection to a port of a pod."""
        # Not kubernetes.stream.portforward: it replaces a method of the client, which other threads use.
        headers: dict[str, str] = {}
        query = [("ports", str(port))]
        self.client.update_params_for_auth(headers, query, AUTHENTICATION)
        url = f"{self.host}{self.path('pods', pod)}/portforward"
        try:
            return portforward_call(self.client.configuration, "GET", url, query_params=query, headers=headers)
        except ApiException as error:
            reason = str(error.reason).partition(" -+-+- ")[0]
            kind = ForbiddenError if "403" in reason else ClusterError
            raise kind(f"the cluster does not forward the port {port} of the pod {pod}: {reason}") from error


def connect_cluster(settings: ClusterSettings, namespace: str) -> Cluster:
    """Connect to the cluster of the kubeconfig's context."""
    try:
        client = new_client_from_config(context=settings.context)
    except ConfigException as error:
        raise ClusterError(f"no cluster is configured: {error} See KUBECONFIG and --context.") from error
    # An unavailable cluster is reported at once.
    client.configuration.retries = 0
    return Cluster(ApiClient(client.configuration), namespace)


def convert_error(error: ApiException, host: str) -> ClusterError:
    """Convert an error response of the API."""
    try:
        message = str(json.loads(error.body)["message"])
    except (TypeError, ValueError, KeyError):
        message = str(error.reason)
    if error.status == 401:
        return ClusterError(f"the cluster at {host} rejects your credentials: log in again ({message})")
    if error.status == 403:
        return ForbiddenError(f"permission denied: {message}")
    return ClusterError(f"the cluster at {host} returned {error.status}: {message}")
