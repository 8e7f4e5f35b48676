"""Checks of a cluster before the charts are installed."""

import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from decimal import Decimal
from enum import StrEnum

from kubernetes.utils import parse_quantity
from rich.box import SIMPLE
from rich.console import Console
from rich.markup import escape
from rich.table import Column, Table

from member_analyzer.cluster.connection import Cluster, Object, connect_cluster
from member_analyzer.cluster.failure import ForbiddenError
from member_analyzer.cluster.pods import condition, format_quantity, requested
from member_analyzer.settings import ClusterSettings

# The versions that Strimzi 0.45 supports.
OLDEST_MINOR, NEWEST_MINOR = 25, 35
# The requests of the platform with the values for one node, and some reserve for starting.
NEEDED: Mapping[str, Decimal] = {"memory": Decimal(10 * 2**30), "cpu": Decimal("0.8")}

INSTALL = "helm install operators charts/operators -n operators --create-namespace --wait"
DEFAULT_CLASS = "storageclass.kubernetes.io/is-default-class"
WATCH_VARIABLES = {"STRIMZI_NAMESPACE", "WATCH_NAMESPACE"}
ALL = {"", "*"}
POD_SECURITY = "pod-security.kubernetes.io/enforce"


class Outcome(StrEnum):
    """The outcome of a check."""

    OK = "ok"
    MISSING = "missing"
    UNKNOWN = "unknown"


@dataclass(frozen=True)
class Check:
    """A checked requirement: what was found, and how to meet it."""

    name: str
    outcome: Outcome
    found: str
    advice: str = ""


@dataclass(frozen=True)
class Operator:
    """An operator: its kinds, the labels of its pods, and the value with which it watches all namespaces."""

    name: str
    api: str
    kinds: tuple[str, ...]
    labels: Mapping[str, str] = field(default_factory=dict)
    watch_all: str = ""


OPERATORS = (
    Operator("cert-manager", "cert-manager.io/v1", ("certificates",)),
    Operator(
        "Strimzi",
        "kafka.strimzi.io/v1beta2",
        ("kafkas", "kafkatopics", "kafkausers"),
        {"strimzi.io/kind": "cluster-operator"},
        "strimzi-kafka-operator.watchAnyNamespace=true",
    ),
    Operator(
        "spark-operator",
        "sparkoperator.k8s.io/v1beta2",
        ("sparkapplications",),
        {"app.kubernetes.io/name": "spark-operator", "app.kubernetes.io/component": "controller"},
        "'spark-operator.spark.jobNamespaces={\"\"}'",
    ),
    Operator(
        "k8ssandra-operator",
        "k8ssandra.io/v1alpha1",
        ("k8ssandraclusters",),
        {"app.kubernetes.io/name": "k8ssandra-operator"},
        "k8ssandra-operator.global.clusterScoped=true",
    ),
)


def check_version(version: Object) -> Check:
    """Every operator supports the version of Kubernetes."""
    minor = int(re.sub(r"\D", "", version["minor"]))
    if version["major"] == "1" and OLDEST_MINOR <= minor <= NEWEST_MINOR:
        return Check("Kubernetes", Outcome.OK, version["gitVersion"])
    return Check(
        "Kubernetes",
        Outcome.MISSING,
        version["gitVersion"],
        f"use Kubernetes 1.{OLDEST_MINOR} to 1.{NEWEST_MINOR}, which Strimzi 0.45 supports",
    )


def check_capacity(nodes: list[Object], pods: list[Object], namespace: str) -> Iterable[Check]:
    """The nodes have enough unrequested memory and CPU; the requests of the platform itself count as free."""
    ready = [
        node
        for node in nodes
        if condition(node, "Ready").get("status") == "True" and not node["spec"].get("unschedulable")
    ]
    names = {node["metadata"]["name"] for node in ready}
    others = [
        pod
        for pod in pods
        if pod["spec"].get("nodeName") in names
        and pod["metadata"]["namespace"] != namespace
        and (pod.get("status") or {}).get("phase") not in ("Succeeded", "Failed")
    ]
    for resource, needed in NEEDED.items():
        total = sum((parse_quantity(node["status"]["allocatable"][resource]) for node in ready), Decimal())
        free = total - sum((requested(pod, resource) for pod in others), Decimal())
        found = (
            f"{format_quantity(resource, free)} free of {format_quantity(resource, total)},"
            f" on {len(ready)} ready of {len(nodes)} nodes"
        )
        if free >= needed:
            yield Check(resource, Outcome.OK, found)
        else:
            advice = f"add capacity: the platform needs {format_quantity(resource, needed)}"
            yield Check(resource, Outcome.MISSING, found, advice)


def check_kinds(operator: Operator, served: Object | None) -> Check:
    """The cluster serves the kinds of an operator; `served` is its discovery document of the operator's API."""
    names = {resource["name"] for resource in (served or {}).get("resources") or ()}
    missing = [kind for kind in operator.kinds if kind not in names]
    if missing:
        return Check(operator.name, Outcome.MISSING, f"the cluster has no CRD for {', '.join(missing)}", INSTALL)
    return Check(operator.name, Outcome.OK, f"{', '.join(operator.kinds)} of {operator.api}")


def watched_namespaces(deployment: Object) -> set[str]:
    """The namespaces that an operator watches; an empty name or an asterisk means all."""
    configured = [
        variable.get("value", deployment["metadata"]["namespace"] if "valueFrom" in variable else "")
        for container in deployment["spec"]["template"]["spec"]["containers"]
        for variable in container.get("env") or ()
        if variable["name"] in WATCH_VARIABLES
    ] + [argument.partition("=")[2] for argument in arguments(deployment) if argument.startswith("--namespaces=")]
    return {name.strip(' "') for names in configured or [""] for name in names.split(",")}


def arguments(deployment: Object) -> list[str]:
    """The arguments of all containers."""
    containers = deployment["spec"]["template"]["spec"]["containers"]
    return [argument for container in containers for argument in container.get("args") or ()]


def check_watch(operator: Operator, deployments: list[Object], namespace: str) -> Check:
    """The operator runs and watches the namespace."""
    name, found = f"{operator.name} watches", []
    for deployment in deployments:
        if not operator.labels.items() <= deployment["spec"]["template"]["metadata"].get("labels", {}).items():
            continue
        if any(argument.startswith("--namespace-selector=") for argument in arguments(deployment)):
            return Check(name, Outcome.UNKNOWN, "namespaces by label", f"verify that {namespace} has the labels")
        watched = watched_namespaces(deployment)
        found.append("all namespaces" if watched & ALL else ", ".join(sorted(watched)))
        if watched & {*ALL, namespace}:
            if (deployment.get("status") or {}).get("availableReplicas"):
                return Check(name, Outcome.OK, found[-1])
            metadata = deployment["metadata"]
            advice = f"kubectl describe deployment -n {metadata['namespace']} {metadata['name']}"
            return Check(name, Outcome.MISSING, f"{found[-1]}, but it is not running", advice)
    if not found:
        return Check(name, Outcome.MISSING, "nothing: it has no Deployment in the cluster", INSTALL)
    advice = f"helm upgrade operators charts/operators -n operators --reuse-values --set {operator.watch_all}"
    return Check(name, Outcome.MISSING, f"only {'; '.join(found)}", advice)


def check_storage(classes: list[Object]) -> Check:
    """The cluster has a default storage class."""
    for storage_class in classes:
        if (storage_class["metadata"].get("annotations") or {}).get(DEFAULT_CLASS) == "true":
            return Check("storage class", Outcome.OK, f"{storage_class['metadata']['name']} is the default")
    names = ", ".join(storage_class["metadata"]["name"] for storage_class in classes) or "none"
    advice = f"kubectl annotate storageclass NAME {DEFAULT_CLASS}=true, or set every storageClassName in the values"
    return Check("storage class", Outcome.MISSING, f"no default among: {names}", advice)


def check_namespace(namespace: str, found: Object | None) -> Check:
    """The Pod Security level of the namespace; the platform's pods satisfy the strictest one."""
    name = f"namespace {namespace}"
    if found is None:
        return Check(name, Outcome.OK, "does not exist yet", "helm install --create-namespace creates it")
    level = (found["metadata"].get("labels") or {}).get(POD_SECURITY)
    if level == "restricted":
        return Check(name, Outcome.OK, "Pod Security: restricted")
    advice = f"the platform supports the strictest level: kubectl label namespace {namespace} {POD_SECURITY}=restricted"
    return Check(name, Outcome.OK, f"Pod Security: {level or 'not enforced'}", advice)


def run_checks(cluster: Cluster) -> Iterable[Check]:
    """Run every check; without the permission for it, its outcome is unknown."""

    def capacity() -> Iterable[Check]:
        return check_capacity(cluster.list("/api/v1/nodes"), cluster.list("/api/v1/pods"), cluster.namespace)

    def watches() -> Iterable[Check]:
        deployments = cluster.list("/apis/apps/v1/deployments")
        return [check_watch(operator, deployments, cluster.namespace) for operator in OPERATORS if operator.labels]

    yield from run_check("Kubernetes", lambda: [check_version(cluster.get("/version") or {})])
    yield from run_check("memory, cpu", capacity)
    for operator in OPERATORS:
        yield from run_check(operator.name, lambda: [check_kinds(operator, cluster.get(f"/apis/{operator.api}"))])  # noqa: B023
    yield from run_check("operators watch", watches)
    classes = "/apis/storage.k8s.io/v1/storageclasses"
    yield from run_check("storage class", lambda: [check_storage(cluster.list(classes))])
    path = f"/api/v1/namespaces/{cluster.namespace}"
    yield from run_check("namespace", lambda: [check_namespace(cluster.namespace, cluster.get(path))])


def run_check(name: str, check: Callable[[], Iterable[Check]]) -> list[Check]:
    """Run a check; if the cluster denies access, the outcome is unknown."""
    try:
        return list(check())
    except ForbiddenError as error:
        return [Check(name, Outcome.UNKNOWN, str(error), "have someone with the permission run this")]


def show_preflight(settings: ClusterSettings, namespace: str, console: Console) -> bool:
    """Show a table of the checks and return whether all requirements are met."""
    cluster = connect_cluster(settings, namespace)
    checks = list(run_checks(cluster))
    table = Table("check", "", Column("found, and advice", overflow="fold"), box=SIMPLE)
    for check in checks:
        found = check.found if not check.advice else f"{check.found}\n-> {check.advice}"
        table.add_row(escape(check.name), check.outcome, escape(found))
    console.print(f"namespace {namespace} of the cluster at {cluster.host}", highlight=False)
    console.print(table)
    return all(check.outcome is not Outcome.MISSING for check in checks)
