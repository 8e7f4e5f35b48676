"""ZooKeeper's ensemble: from each node's four-letter word `srvr`, or from the pods on Kubernetes."""

import socket
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

from member_analyzer.console.monitoring import Probe, UnavailableError
from member_analyzer.console.monitors.pods import list_pods
from member_analyzer.console.status import State, Status
from member_analyzer.settings import ConsoleSettings

TIMEOUT = 3
MAX_RESPONSE_BYTES = 16_384
PODS = "strimzi.io/component-type=zookeeper"
NOT_CONFIGURED = Status(
    State.UNKNOWN,
    "ZooKeeper's address is not configured: set CONSOLE_ZOOKEEPER_SERVERS, or CONSOLE_NAMESPACE on Kubernetes.",
)

Node = Mapping[str, Any]


class ZooKeeperMonitor:
    """Checks the nodes of the ensemble."""

    name = "zookeeper"
    unavailable_errors: tuple[type[Exception], ...] = (OSError,)

    def __init__(self, settings: ConsoleSettings) -> None:
        self._servers = [server.strip() for server in (settings.zookeeper_servers or "").split(",") if server.strip()]
        self._namespace = settings.namespace

    def impact(self, last_seen: str) -> str:
        return (
            "The brokers keep serving the partitions that they lead, and members are counted as usual. Without "
            "ZooKeeper no controller or leader is elected, so a broker that fails now is not replaced."
        )

    @contextmanager
    def connect(self) -> Iterator[Sequence[Probe]]:
        if self._servers:
            yield [Probe(lambda: self._evaluate([query_node(server) for server in self._servers]), pause=2)]
        elif namespace := self._namespace:
            yield [Probe(lambda: self._evaluate(describe_pods(list_pods(namespace, PODS))), pause=5)]
        else:
            yield [Probe(lambda: NOT_CONFIGURED, pause=60)]

    def _evaluate(self, nodes: list[Node]) -> Status:
        up = [node for node in nodes if node["is_up"]]
        if 2 * len(up) <= len(nodes):
            raise UnavailableError(f"No quorum: {len(up)} of {len(nodes)} nodes are up.")
        modes = [node["mode"] for node in up if node["mode"]]
        facts = [("Nodes", f"{len(up)} of {len(nodes)} up")]
        if modes:
            facts.append(("Modes", ", ".join(f"{modes.count(mode)} {mode}" for mode in dict.fromkeys(modes))))
        if version := next((node["version"] for node in up if node["version"]), None):
            facts.append(("Version", version))
        is_complete = len(up) == len(nodes)
        return Status(
            State.UP if is_complete else State.DEGRADED,
            None if is_complete else f"{len(nodes) - len(up)} of {len(nodes)} nodes are down.",
            None if is_complete else "The ensemble has a quorum; it may lose it if one more node fails.",
            facts=facts,
            detail={"nodes": nodes},
        )


def query_node(server: str) -> Node:
    """The state of the node at host:port."""
    host, _, port = server.rpartition(":")
    response = b""
    try:
        with socket.create_connection((host, int(port)), TIMEOUT) as connection:
            connection.settimeout(TIMEOUT)
            connection.sendall(b"srvr")
            while len(response) < MAX_RESPONSE_BYTES and (chunk := connection.recv(4096)):
                response += chunk
    except OSError:
        response = b""
    return parse_node(server, response.decode(errors="replace"))


def parse_node(name: str, response: str) -> Node:
    """A node's state from its response to `srvr`; a node that does not serve requests is down."""
    fields = {key: value.strip() for key, _, value in (line.partition(":") for line in response.splitlines())}
    latency = fields.get("Latency min/avg/max", "").split("/")
    return {
        "name": name,
        "is_up": "Mode" in fields,
        "mode": fields.get("Mode"),
        "version": fields.get("Zookeeper version", "").partition("-")[0].partition(",")[0] or None,
        "connections": int(fields["Connections"]) if fields.get("Connections", "").isdigit() else None,
        "latency_ms": round(float(latency[1]), 1) if len(latency) == 3 else None,
    }


def describe_pods(pods: Iterable[Mapping[str, Any]]) -> list[Node]:
    """The nodes from the readiness of their pods. Raises UnavailableError if there are no pods."""
    nodes = []
    for pod in pods:
        conditions = (pod.get("status") or {}).get("conditions") or ()
        is_ready = any(condition["type"] == "Ready" and condition["status"] == "True" for condition in conditions)
        unknown = dict.fromkeys(("mode", "version", "connections", "latency_ms"))
        nodes.append({"name": pod["metadata"]["name"], "is_up": is_ready, **unknown})
    if not nodes:
        raise UnavailableError(f"No pod has the labels {PODS}.")
    return sorted(nodes, key=lambda node: str(node["name"]))
