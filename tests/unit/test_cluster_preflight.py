"""The checks of a cluster, from objects of the API."""

from decimal import Decimal
from typing import Any

import pytest

from member_analyzer.cluster.failure import ForbiddenError
from member_analyzer.cluster.preflight import (
    OPERATORS,
    Outcome,
    check_capacity,
    check_kinds,
    check_namespace,
    check_storage,
    check_version,
    check_watch,
    run_check,
)

Json = dict[str, Any]
STRIMZI = next(one for one in OPERATORS if one.name == "Strimzi")
SPARK = next(one for one in OPERATORS if one.name == "spark-operator")
K8SSANDRA = next(one for one in OPERATORS if one.name == "k8ssandra-operator")


@pytest.mark.parametrize(
    ("minor", "outcome"),
    [("24", Outcome.MISSING), ("25", Outcome.OK), ("34", Outcome.OK), ("35+", Outcome.OK), ("36", Outcome.MISSING)],
)
def test_versions_of_kubernetes(minor: str, outcome: Outcome) -> None:
    assert check_version({"major": "1", "minor": minor, "gitVersion": f"v1.{minor}.0"}).outcome is outcome


def node(memory: str = "16Gi", cpu: str = "4", ready: str = "True", **spec: Any) -> Json:
    return {
        "metadata": {"name": f"node-{ready}"},
        "spec": spec,
        "status": {"allocatable": {"memory": memory, "cpu": cpu}, "conditions": [{"type": "Ready", "status": ready}]},
    }


def pod(memory: str, namespace: str = "other", phase: str = "Running") -> Json:
    return {
        "metadata": {"name": "a", "namespace": namespace},
        "spec": {
            "nodeName": "node-True",
            "containers": [{"resources": {"requests": {"memory": memory, "cpu": "100m"}}}],
        },
        "status": {"phase": phase},
    }


def outcomes(nodes: list[Json], *pods: Json) -> list[Outcome]:
    return [one.outcome for one in check_capacity(nodes, list(pods), "members")]


def test_the_capacity_of_a_cluster() -> None:
    memory, cpu = check_capacity([node()], [pod("1Gi")], "members")
    assert (memory.outcome, memory.found) == (Outcome.OK, "15.0 GiB free of 16.0 GiB, on 1 ready of 1 nodes")
    assert cpu.found.startswith("3.9 cores free of 4.0 cores")


def test_requests_of_other_namespaces_are_not_free() -> None:
    assert outcomes([node()], pod("4Gi"), pod("4Gi")) == [Outcome.MISSING, Outcome.OK]


def test_requests_of_the_platform_itself_are_free_at_an_upgrade() -> None:
    assert outcomes([node()], pod("4Gi", "members"), pod("4Gi", "members")) == [Outcome.OK, Outcome.OK]


def test_a_node_with_too_few_cores() -> None:
    assert outcomes([node(cpu="0.7")]) == [Outcome.OK, Outcome.MISSING]
    assert outcomes([node(cpu="4")]) == [Outcome.OK, Outcome.OK]


def test_terminated_pods_request_nothing() -> None:
    assert outcomes([node()], pod("8Gi", phase="Succeeded")) == [Outcome.OK, Outcome.OK]


@pytest.mark.parametrize("one", [node(ready="False"), node(unschedulable=True)])
def test_a_node_that_accepts_no_pods_has_no_capacity(one: Json) -> None:
    assert outcomes([one]) == [Outcome.MISSING, Outcome.MISSING]


def test_quantities_of_kubernetes() -> None:
    (memory, _) = check_capacity([node("16393216Ki", "2000m")], [], "members")
    assert memory.found.startswith(f"{Decimal(16393216) / 2**20:.1f} GiB")


def test_missing_kinds_are_named_with_the_chart_that_installs_them() -> None:
    served = {"resources": [{"name": "kafkas"}, {"name": "kafkas/status"}, {"name": "kafkatopics"}]}
    one = check_kinds(STRIMZI, served)
    assert (one.outcome, one.found) == (Outcome.MISSING, "the cluster has no CRD for kafkausers")
    assert one.advice.startswith("helm install operators charts/operators")


def test_a_missing_operator_lacks_all_its_kinds() -> None:
    assert "kafkas, kafkatopics, kafkausers" in check_kinds(STRIMZI, None).found


def deployment(labels: Any, running: int = 1, **container: Any) -> Json:
    return {
        "metadata": {"name": "operator", "namespace": "operators"},
        "spec": {"template": {"metadata": {"labels": dict(labels)}, "spec": {"containers": [container]}}},
        "status": {"availableReplicas": running},
    }


def spark(*arguments: str, running: int = 1) -> Json:
    return deployment(SPARK.labels, running, args=["controller", "start", *arguments])


@pytest.mark.parametrize("argument", ['--namespaces=""', "--namespaces=", "--namespaces=default,members", "--other=1"])
def test_a_spark_operator_that_watches_the_namespace_is_found(argument: str) -> None:
    assert check_watch(SPARK, [spark(argument)], "members").outcome is Outcome.OK


def test_an_unwatched_namespace_is_reported_with_the_value_to_set() -> None:
    one = check_watch(SPARK, [spark("--namespaces=default,jobs")], "members")
    assert (one.outcome, one.found) == (Outcome.MISSING, "only default, jobs")
    assert "jobNamespaces" in one.advice


def test_a_second_operator_may_watch_the_namespace() -> None:
    both = [spark("--namespaces=default"), spark("--namespaces=members")]
    assert check_watch(SPARK, both, "members").outcome is Outcome.OK


def test_an_operator_that_watches_by_label_is_unknown() -> None:
    one = check_watch(SPARK, [spark("--namespaces=default", "--namespace-selector=spark=yes")], "members")
    assert one.outcome is Outcome.UNKNOWN


def test_an_operator_that_is_not_running() -> None:
    assert "is not running" in check_watch(SPARK, [spark(running=0)], "members").found


def test_an_operator_that_is_not_installed() -> None:
    one = check_watch(SPARK, [deployment({"app": "web"})], "members")
    assert "no Deployment" in one.found


@pytest.mark.parametrize(
    ("variable", "outcome"),
    [
        ({"value": "*"}, Outcome.OK),
        ({"value": "a,members"}, Outcome.OK),
        ({"value": "a"}, Outcome.MISSING),
        ({"valueFrom": {"fieldRef": {"fieldPath": "metadata.namespace"}}}, Outcome.MISSING),
    ],
)
def test_the_namespaces_of_strimzi_are_in_a_variable(variable: Json, outcome: Outcome) -> None:
    one = deployment(STRIMZI.labels, env=[{"name": "STRIMZI_NAMESPACE"} | variable])
    assert check_watch(STRIMZI, [one], "members").outcome is outcome


def test_k8ssandra_watches_all_namespaces_with_an_empty_variable() -> None:
    # The API omits an empty value.
    one = deployment(K8SSANDRA.labels, env=[{"name": "WATCH_NAMESPACE"}])
    assert check_watch(K8SSANDRA, [one], "members").found == "all namespaces"


def test_an_operator_in_the_platforms_own_namespace_watches_it() -> None:
    variable = {"name": "WATCH_NAMESPACE", "valueFrom": {"fieldRef": {"fieldPath": "metadata.namespace"}}}
    assert check_watch(K8SSANDRA, [deployment(K8SSANDRA.labels, env=[variable])], "operators").outcome is Outcome.OK


def storage(name: str, default: str | None = None) -> Json:
    annotations = {"storageclass.kubernetes.io/is-default-class": default} if default else None
    return {"metadata": {"name": name, "annotations": annotations}}


def test_a_cluster_needs_a_default_storage_class() -> None:
    assert check_storage([storage("slow"), storage("standard", "true")]).found == "standard is the default"
    assert check_storage([storage("slow"), storage("fast", "false")]).found == "no default among: slow, fast"
    assert check_storage([]).outcome is Outcome.MISSING


def test_a_namespace_may_be_missing_and_its_pod_security_is_reported() -> None:
    label = "pod-security.kubernetes.io/enforce"
    assert check_namespace("members", None).found == "does not exist yet"
    assert check_namespace("members", {"metadata": {"labels": {label: "restricted"}}}).advice == ""
    assert f"kubectl label namespace members {label}=restricted" in check_namespace("members", {"metadata": {}}).advice


def test_without_permission_the_outcome_is_unknown() -> None:
    def forbidden() -> list[Any]:
        raise ForbiddenError('permission denied: nodes is forbidden: User "dev" cannot list resource "nodes"')

    (one,) = run_check("memory, cpu", forbidden)
    assert one.outcome is Outcome.UNKNOWN
    assert 'User "dev" cannot list' in one.found
