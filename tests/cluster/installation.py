"""Installs the platform with Helm, without the operators."""

from dataclasses import replace
from pathlib import Path
from typing import Any

from namespace import Namespace
from rendering import PLATFORM
from tools import CHECKOUT

VALUES = CHECKOUT / "k8s" / "values-kind.yaml"


def make_namespace(cluster: Namespace, name: str) -> Namespace:
    """An empty namespace that enforces the Pod Security Standard "restricted"."""
    cluster.kubectl("delete", "namespace", name, "--ignore-not-found", "--wait")
    cluster.kubectl("create", "namespace", name)
    for mode in ("enforce", "warn"):
        cluster.kubectl("label", "namespace", name, f"pod-security.kubernetes.io/{mode}=restricted")
    return replace(cluster, name=name)


def install(namespace: Namespace, chart: Path, command: str = "install", *options: str) -> None:
    """Install the platform, or upgrade it."""
    namespace.helm(command, PLATFORM, str(chart), "--values", str(VALUES), *options)


def read_secrets(namespace: Namespace) -> dict[str, Any]:
    """The data of all generated Secrets by name."""
    kept = [one for one in namespace.read("secrets")["items"] if one["type"] == "Opaque"]
    return {one["metadata"]["name"]: one["data"] for one in kept}


def read_rejected_pods(namespace: Namespace) -> list[str]:
    """Messages of pods that the cluster did not admit."""
    return [event["message"] for event in namespace.read("events")["items"] if event["reason"] == "FailedCreate"]


def wait_for_servers(namespace: Namespace) -> None:
    """Wait until PostgreSQL, the registry and the user API are ready."""
    for workload in (
        "statefulset/member-analyzer-postgres",
        *(f"deployment/member-analyzer-{name}" for name in ("registry", "user-api")),
    ):
        namespace.kubectl("rollout", "status", workload, "--timeout=300s")
