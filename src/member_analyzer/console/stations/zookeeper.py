"""ZooKeeper's ensemble: each node's own words, or what Kubernetes tells of their pods."""

import socket
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

from member_analyzer.console.board import Look, State
from member_analyzer.console.stations.own_pods import list_pods
from member_analyzer.console.watch import AwayError, Glance
from member_analyzer.settings import ConsoleSettings

TIMEOUT = 3
LONGEST_ANSWER = 16_384
PODS = "strimzi.io/component-type=zookeeper"
NOTHING_TO_ASK = (
    "Nobody has told the console where ZooKeeper is: set CONSOLE_ZOOKEEPER_SERVERS, or CONSOLE_NAMESPACE on Kubernetes."
)

Node = Mapping[str, Any]


class ZooKeeperSource:
    """What keeps Kafka's metadata and elects its controller."""

    name = "zookeeper"
    away: tuple[type[Exception], ...] = (OSError,)

    def __init__(self, settings: ConsoleSettings) -> None:
        self._servers = [one.strip() for one in (settings.zookeeper_servers or "").split(",") if one.strip()]
        self._namespace = settings.namespace

    def means(self, since: str) -> str:
        """Kafka goes on for a while."""
        return (
            "The brokers go on serving what they lead, and members are counted as always; but while it is away no "
            "controller or leader is elected, so a broker that falls out now is not replaced."
        )

    @contextmanager
    def connect(self) -> Iterator[Sequence[Glance]]:
        """One look, by way of whatever the settings name."""
        if self._servers:
            yield [Glance(lambda: self._judge([ask_node(server) for server in self._servers]), rest=2)]
        elif namespace := self._namespace:
            yield [Glance(lambda: self._judge(describe_pods(list_pods(namespace, PODS))), rest=5)]
        else:
            yield [Glance(lambda: Look(State.UNKNOWN, NOTHING_TO_ASK), rest=60)]

    def _judge(self, nodes: list[Node]) -> Look:
        up = [node for node in nodes if node["is_up"]]
        if 2 * len(up) <= len(nodes):
            raise AwayError(f"{len(up)} of its {len(nodes)} nodes serve, which is no majority.")
        modes = [node["mode"] for node in up if node["mode"]]
        facts = [("Nodes", f"{len(up)} of {len(nodes)} serve")]
        if modes:
            facts.append(("Modes", ", ".join(f"{modes.count(mode)} {mode}" for mode in dict.fromkeys(modes))))
        if version := next((node["version"] for node in up if node["version"]), None):
            facts.append(("Version", version))
        is_whole = len(up) == len(nodes)
        return Look(
            State.UP if is_whole else State.DEGRADED,
            None if is_whole else f"{len(nodes) - len(up)} of its {len(nodes)} nodes are away.",
            None if is_whole else "It has a majority and serves; one more node that falls out may end that.",
            facts=facts,
            detail={"nodes": nodes},
        )


def ask_node(server: str) -> Node:
    """What one node says of itself; `server` is host:port."""
    host, _, port = server.rpartition(":")
    answer = b""
    try:
        with socket.create_connection((host, int(port)), TIMEOUT) as connection:
            connection.settimeout(TIMEOUT)
            connection.sendall(b"srvr")
            while len(answer) < LONGEST_ANSWER and (more := connection.recv(4096)):
                answer += more
    except OSError:
        answer = b""
    return describe_node(server, answer.decode(errors="replace"))


def describe_node(name: str, answer: str) -> Node:
    """A node by its answer to the four-letter word `srvr`; one that does not serve is down."""
    told = {key: value.strip() for key, _, value in (line.partition(":") for line in answer.splitlines())}
    latency = told.get("Latency min/avg/max", "").split("/")
    return {
        "name": name,
        "is_up": "Mode" in told,
        "mode": told.get("Mode"),
        "version": told.get("Zookeeper version", "").partition("-")[0].partition(",")[0] or None,
        "connections": int(told["Connections"]) if told.get("Connections", "").isdigit() else None,
        "latency_ms": round(float(latency[1]), 1) if len(latency) == 3 else None,
    }


def describe_pods(pods: Iterable[Mapping[str, Any]]) -> list[Node]:
    """The nodes by their pods, as Kubernetes' API gives these. Raises AwayError where there is none."""
    nodes = []
    for pod in pods:
        conditions = (pod.get("status") or {}).get("conditions") or ()
        is_ready = any(one["type"] == "Ready" and one["status"] == "True" for one in conditions)
        nothing = dict.fromkeys(("mode", "version", "connections", "latency_ms"))
        nodes.append({"name": pod["metadata"]["name"], "is_up": is_ready, **nothing})
    if not nodes:
        raise AwayError(f"There is no pod with the labels {PODS}.")
    return sorted(nodes, key=lambda node: str(node["name"]))
