"""Which connections NetworkPolicies and the listeners of Kafka allow."""

from collections.abc import Iterable
from dataclasses import dataclass, field
from ipaddress import ip_address, ip_network
from typing import Any

import jmespath

from rendering import PLATFORM, Object

# Labels that Strimzi adds to its pods. It creates their policies from the networkPolicyPeers of the listeners.
BROKER = {"strimzi.io/cluster": PLATFORM, "strimzi.io/kind": "Kafka", "strimzi.io/name": f"{PLATFORM}-kafka"}
NAMESPACE_NAME = "kubernetes.io/metadata.name"


@dataclass(frozen=True)
class Party:
    """Pods with these labels in a namespace, or a machine outside the cluster."""

    name: str
    labels: dict[str, str] = field(default_factory=dict)
    namespace: str = PLATFORM
    address: str | None = None


@dataclass(frozen=True)
class Network:
    """The policies of a namespace."""

    policies: list[dict[str, Any]]

    @classmethod
    def of(cls, objects: list[Object]) -> "Network":
        policies = [one["spec"] for one in objects if one["kind"] == "NetworkPolicy"]
        listeners = jmespath.search("[?kind=='Kafka'].spec.kafka.listeners[]", objects) or []
        return cls([*policies, *map(_listener_policy, listeners)])

    def reaches(self, source: Party, target: Party, port: int) -> bool:
        """Whether a TCP connection is allowed."""
        return self._allows_direction(target, source, port, "Ingress") and self._allows_direction(
            source, target, port, "Egress"
        )

    def egress_only(self) -> "Network":
        """The egress rules only."""
        leaving = [one for one in self.policies if "Egress" in one["policyTypes"]]
        return Network([one | {"policyTypes": ["Egress"]} for one in leaving])

    def _allows_direction(self, bound: Party, other: Party, port: int, direction: str) -> bool:
        if bound.namespace != PLATFORM or bound.address:
            return True
        selected = [
            one
            for one in self.policies
            if direction in one["policyTypes"] and selects(one["podSelector"], bound.labels)
        ]
        rules = [rule for one in selected for rule in one.get(direction.lower()) or []]
        return not selected or any(_allows(rule, other, port, direction) for rule in rules)


def reached(network: Network, parties: Iterable[Party], target: Party, port: int) -> set[str]:
    """The names of all parties that can connect to this port of the target."""
    return {party.name for party in parties if network.reaches(party, target, port)}


def _allows(rule: dict[str, Any], other: Party, port: int, direction: str) -> bool:
    peers = rule.get("from" if direction == "Ingress" else "to")
    ports = rule.get("ports")
    by_peer = not peers or any(_is_peer(peer, other) for peer in peers)
    by_port = not ports or any(one.get("protocol", "TCP") == "TCP" and one.get("port", port) == port for one in ports)
    return by_peer and by_port


def _is_peer(peer: dict[str, Any], party: Party) -> bool:
    if block := peer.get("ipBlock"):
        inside = party.address is not None and ip_address(party.address) in ip_network(block["cidr"])
        return inside and not any(ip_address(party.address or "") in ip_network(no) for no in block.get("except", []))
    if party.address:
        return False
    namespaces = peer.get("namespaceSelector")
    if namespaces is None and party.namespace != PLATFORM:
        return False
    if namespaces is not None and not selects(namespaces, {NAMESPACE_NAME: party.namespace}):
        return False
    return selects(peer.get("podSelector", {}), party.labels)


def selects(selector: dict[str, Any], labels: dict[str, str]) -> bool:
    """Whether a label selector matches these labels."""
    if unknown := selector.keys() - {"matchLabels", "matchExpressions"}:
        raise ValueError(f"a selector with {unknown}")
    by_label = selector.get("matchLabels", {}).items() <= labels.items()
    return by_label and all(_holds(one, labels) for one in selector.get("matchExpressions", []))


def _holds(expression: dict[str, Any], labels: dict[str, str]) -> bool:
    key, values = expression["key"], expression.get("values", [])
    match expression["operator"]:
        case "In":
            return labels.get(key) in values
        case "NotIn":
            return labels.get(key) not in values
        case "Exists":
            return key in labels
        case "DoesNotExist":
            return key not in labels
    raise ValueError(f"a selector with the operator {expression['operator']}")


def _listener_policy(listener: dict[str, Any]) -> dict[str, Any]:
    rule: dict[str, Any] = {"ports": [{"port": listener["port"]}]}
    if "networkPolicyPeers" in listener:
        rule["from"] = listener["networkPolicyPeers"]
    return {"podSelector": {"matchLabels": BROKER}, "policyTypes": ["Ingress"], "ingress": [rule]}
