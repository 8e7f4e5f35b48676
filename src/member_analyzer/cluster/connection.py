"""The way to a cluster: reads its objects as the plain JSON that the API gives, and reaches into its pods."""

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

# The chart's ConfigMap of the platform, whose name begins with the release's, and its keys.
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
    """A cluster, and the namespace of the platform in it."""

    client: ApiClient
    namespace: str

    @property
    def host(self) -> str:
        """Address of its API."""
        return str(self.client.configuration.host)

    def find(self, path: str, **query: str) -> Object | None:
        """What the API has at a path; none where there is no such object, kind or namespace."""
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
            raise explain(error, self.host) from error
        except HTTPError as error:
            reason = getattr(error, "reason", None) or error
            raise ClusterError(f"the cluster at {self.host} does not answer: {reason}") from error
        return found

    def list(self, path: str, **query: str) -> list[Object]:
        """All objects of a path; none where there is no such kind."""
        return list((self.find(path, **query) or {}).get("items") or [])

    def own(self, kinds: str, name: str = "", api: str = "api/v1") -> str:
        """The path of objects in the namespace, or of one of them: own("pods", "postgres-0")."""
        return f"/{api}/namespaces/{self.namespace}/{kinds}" + (f"/{name}" if name else "")

    def read_settings(self) -> Mapping[str, str]:
        """Addresses and names, from the chart's ConfigMap."""
        found = self.list(self.own("configmaps"), labelSelector=PLATFORM_LABELS)
        if not found:
            raise ClusterError(
                f"the chart member-analyzer is not installed in the namespace {self.namespace}:"
                f" there is no ConfigMap with the labels {PLATFORM_LABELS}; see `helm list --all-namespaces`"
            )
        settings: Mapping[str, str] = found[0].get("data") or {}
        if missing := SETTINGS - settings.keys():
            raise ClusterError(
                f"the ConfigMap {found[0]['metadata']['name']} in the namespace {self.namespace} lacks"
                f" {', '.join(sorted(missing))}: the installed chart has another version than this command"
            )
        return settings

    def read_secret(self, name: str, key: str) -> str:
        """One entry of a Secret."""
        found = self.find(self.own("secrets", name)) or {}
        if key not in (found.get("data") or {}):
            raise ClusterError(
                f"the namespace {self.namespace} has no Secret {name} with a {key}; see `member-analyzer"
                f" --namespace {self.namespace} status` for what makes it"
            )
        return base64.b64decode(found["data"][key]).decode()

    def forward(self, pod: str, port: int) -> PortForward:
        """A connection to a port of a pod."""
        # What kubernetes.stream.portforward does as well; but that swaps a method of the client, which other threads
        # are using.
        headers: dict[str, str] = {}
        query = [("ports", str(port))]
        self.client.update_params_for_auth(headers, query, AUTHENTICATION)
        url = f"{self.host}{self.own('pods', pod)}/portforward"
        try:
            return portforward_call(self.client.configuration, "GET", url, query_params=query, headers=headers)
        except ApiException as error:
            reason = str(error.reason).partition(" -+-+- ")[0]
            kind = ForbiddenError if "403" in reason else ClusterError
            raise kind(f"the cluster does not forward the port {port} of the pod {pod}: {reason}") from error


def connect_cluster(settings: ClusterSettings, namespace: str) -> Cluster:
    """The cluster of the kubeconfig's context."""
    try:
        client = new_client_from_config(context=settings.context)
    except ConfigException as error:
        raise ClusterError(f"no cluster is known: {error} See KUBECONFIG and --context.") from error
    # A cluster that is away is told of at once.
    client.configuration.retries = 0
    return Cluster(ApiClient(client.configuration), namespace)


def explain(error: ApiException, host: str) -> ClusterError:
    """An answer of the API that is none, in words."""
    try:
        message = str(json.loads(error.body)["message"])
    except (TypeError, ValueError, KeyError):
        message = str(error.reason)
    if error.status == 401:
        return ClusterError(f"the cluster at {host} does not know you any more: log in again ({message})")
    if error.status == 403:
        return ForbiddenError(f"the cluster does not let you: {message}")
    return ClusterError(f"the cluster at {host} answers {error.status}: {message}")
