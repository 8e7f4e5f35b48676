"""What a cluster has to have before the charts are installed."""

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
from member_analyzer.cluster.pods import condition, name_amount, requested
from member_analyzer.settings import ClusterSettings

# Strimzi 0.45 runs on these.
OLDEST_MINOR, NEWEST_MINOR = 25, 35
# What the platform asks for with the values for one node, and some room to start in.
NEEDED: Mapping[str, Decimal] = {"memory": Decimal(10 * 2**30), "cpu": Decimal("0.8")}

INSTALL = "helm install operators charts/operators -n operators --create-namespace --wait"
DEFAULT_CLASS = "storageclass.kubernetes.io/is-default-class"
WATCH_VARIABLES = {"STRIMZI_NAMESPACE", "WATCH_NAMESPACE"}
ALL = {"", "*"}
POD_SECURITY = "pod-security.kubernetes.io/enforce"


class Outcome(StrEnum):
    """What came of a check."""

    OK = "ok"
    MISSING = "missing"
    UNKNOWN = "unknown"


@dataclass(frozen=True)
class Check:
    """One thing that was looked at: what was found, and what to do about it."""

    name: str
    outcome: Outcome
    found: str
    advice: str = ""


@dataclass(frozen=True)
class Operator:
    """An operator: the kinds that it brings, its pods' labels, and the value that lets it watch all namespaces."""

    name: str
    api: str
    kinds: tuple[str, ...]
    labels: Mapping[str, str] = field(default_factory=dict)
    mend: str = ""


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
    """Kubernetes is of a version that every operator runs on."""
    minor = int(re.sub(r"\D", "", version["minor"]))
    if version["major"] == "1" and OLDEST_MINOR <= minor <= NEWEST_MINOR:
        return Check("Kubernetes", Outcome.OK, version["gitVersion"])
    return Check(
        "Kubernetes",
        Outcome.MISSING,
        version["gitVersion"],
        f"take a cluster of 1.{OLDEST_MINOR} to 1.{NEWEST_MINOR}: Strimzi 0.45 does not run on others",
    )


def check_room(nodes: list[Object], pods: list[Object], namespace: str) -> Iterable[Check]:
    """The nodes have memory and CPU that nobody has asked for; what the platform itself asked for counts as free."""
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
    for what, needed in NEEDED.items():
        has = sum((parse_quantity(node["status"]["allocatable"][what]) for node in ready), Decimal())
        free = has - sum((requested(pod, what) for pod in others), Decimal())
        found = (
            f"{name_amount(what, free)} free of {name_amount(what, has)}, on {len(ready)} ready of {len(nodes)} nodes"
        )
        if free >= needed:
            yield Check(what, Outcome.OK, found)
        else:
            yield Check(what, Outcome.MISSING, found, f"make room: the platform needs {name_amount(what, needed)}")


def check_kinds(operator: Operator, served: Object | None) -> Check:
    """The cluster serves the kinds of an operator; `served` is what it tells of the operator's API."""
    there = {one["name"] for one in (served or {}).get("resources") or ()}
    missing = [kind for kind in operator.kinds if kind not in there]
    if missing:
        return Check(operator.name, Outcome.MISSING, f"the cluster does not know {', '.join(missing)}", INSTALL)
    return Check(operator.name, Outcome.OK, f"{', '.join(operator.kinds)} of {operator.api}")


def watched_namespaces(deployment: Object) -> set[str]:
    """The namespaces that an operator watches; an empty name or a star stands for all."""
    told = [
        variable.get("value", deployment["metadata"]["namespace"] if "valueFrom" in variable else "")
        for container in deployment["spec"]["template"]["spec"]["containers"]
        for variable in container.get("env") or ()
        if variable["name"] in WATCH_VARIABLES
    ] + [argument.partition("=")[2] for argument in arguments(deployment) if argument.startswith("--namespaces=")]
    return {name.strip(' "') for each in told or [""] for name in each.split(",")}


def arguments(deployment: Object) -> list[str]:
    """The arguments of its containers."""
    containers = deployment["spec"]["template"]["spec"]["containers"]
    return [argument for container in containers for argument in container.get("args") or ()]


def check_watch(operator: Operator, deployments: list[Object], namespace: str) -> Check:
    """The operator runs and watches the namespace."""
    name, told = f"{operator.name} watches", []
    for one in deployments:
        if not operator.labels.items() <= one["spec"]["template"]["metadata"].get("labels", {}).items():
            continue
        if any(argument.startswith("--namespace-selector=") for argument in arguments(one)):
            return Check(name, Outcome.UNKNOWN, "namespaces by their labels", f"see that {namespace} has these")
        watched = watched_namespaces(one)
        told.append("all namespaces" if watched & ALL else ", ".join(sorted(watched)))
        if watched & {*ALL, namespace}:
            if (one.get("status") or {}).get("availableReplicas"):
                return Check(name, Outcome.OK, told[-1])
            see = f"kubectl describe deployment -n {one['metadata']['namespace']} {one['metadata']['name']}"
            return Check(name, Outcome.MISSING, f"{told[-1]}, but it does not run", see)
    if not told:
        return Check(name, Outcome.MISSING, "nothing: no Deployment of it is in the cluster", INSTALL)
    advice = f"helm upgrade operators charts/operators -n operators --reuse-values --set {operator.mend}"
    return Check(name, Outcome.MISSING, f"only {'; '.join(told)}", advice)


def check_storage(classes: list[Object]) -> Check:
    """Volumes are made without naming a storage class."""
    for one in classes:
        if (one["metadata"].get("annotations") or {}).get(DEFAULT_CLASS) == "true":
            return Check("storage class", Outcome.OK, f"{one['metadata']['name']} is the default")
    names = ", ".join(one["metadata"]["name"] for one in classes) or "none at all"
    advice = f"kubectl annotate storageclass NAME {DEFAULT_CLASS}=true, or set every storageClassName in the values"
    return Check("storage class", Outcome.MISSING, f"no default; there is {names}", advice)


def check_namespace(namespace: str, found: Object | None) -> Check:
    """What the namespace lets pods do; the platform's satisfy the strictest standard."""
    name = f"namespace {namespace}"
    if found is None:
        return Check(name, Outcome.OK, "not there yet", "--create-namespace makes it")
    level = (found["metadata"].get("labels") or {}).get(POD_SECURITY)
    if level == "restricted":
        return Check(name, Outcome.OK, "Pod Security: restricted")
    advice = f"the platform runs under the strictest: kubectl label namespace {namespace} {POD_SECURITY}=restricted"
    return Check(name, Outcome.OK, f"Pod Security: {level or 'nothing is enforced'}", advice)


def take_preflight(cluster: Cluster) -> Iterable[Check]:
    """Every check; one that this person may not make is unknown."""

    def room() -> Iterable[Check]:
        return check_room(cluster.list("/api/v1/nodes"), cluster.list("/api/v1/pods"), cluster.namespace)

    def watches() -> Iterable[Check]:
        deployments = cluster.list("/apis/apps/v1/deployments")
        return [check_watch(one, deployments, cluster.namespace) for one in OPERATORS if one.labels]

    yield from ask("Kubernetes", lambda: [check_version(cluster.find("/version") or {})])
    yield from ask("memory, cpu", room)
    for operator in OPERATORS:
        yield from ask(operator.name, lambda: [check_kinds(operator, cluster.find(f"/apis/{operator.api}"))])  # noqa: B023
    yield from ask("operators watch", watches)
    classes = "/apis/storage.k8s.io/v1/storageclasses"
    yield from ask("storage class", lambda: [check_storage(cluster.list(classes))])
    path = f"/api/v1/namespaces/{cluster.namespace}"
    yield from ask("namespace", lambda: [check_namespace(cluster.namespace, cluster.find(path))])


def ask(name: str, check: Callable[[], Iterable[Check]]) -> list[Check]:
    """What a check finds; where the cluster refuses to tell, just that."""
    try:
        return list(check())
    except ForbiddenError as error:
        return [Check(name, Outcome.UNKNOWN, str(error), "ask whoever may see it to run this")]


def show_preflight(settings: ClusterSettings, namespace: str, console: Console) -> bool:
    """Show the checks, one a row; gives whether nothing is missing."""
    cluster = connect_cluster(settings, namespace)
    checks = list(take_preflight(cluster))
    table = Table("check", "", Column("found, and what to do", overflow="fold"), box=SIMPLE)
    for one in checks:
        found = one.found if not one.advice else f"{one.found}\n-> {one.advice}"
        table.add_row(escape(one.name), one.outcome, escape(found))
    console.print(f"namespace {namespace} of the cluster at {cluster.host}", highlight=False)
    console.print(table)
    return all(one.outcome is not Outcome.MISSING for one in checks)
