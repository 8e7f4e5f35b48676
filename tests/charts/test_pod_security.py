from collections.abc import Iterator
from typing import Any

import jmespath
import pytest
import yaml

from combinations import BACKUPS, FILES
from member_analyzer.cluster.preflight import NEEDED
from node_requests import CPU, MEMORY, Kind, cores, dependency_requests, memory, rendered_requests
from rendering import OPERATORS, PLATFORM, Helm, Object, has_dependencies, merged
from restricted import container_violations, violations
from workloads import CONTROLLERS, Workload, find, workloads

# Pods that call the Kubernetes API and get a token: drivers create executors, tasks submit Spark jobs, the scheduler
# creates the tasks' pods, and the console reads the state of ZooKeeper's.
WITH_TOKEN = {
    "Deployment/member-analyzer-console",
    "SparkApplication/member-analyzer-stream driver",
    "SparkApplication/member-analyzer-recount driver",
    "the tasks",
    "Deployment/member-analyzer-airflow-scheduler",
}
# Airflow's UI shows the log of a running task, which it reads from the pod.
WITH_TOKEN_BY_THEIR_CHART = {"Deployment/member-analyzer-airflow-api-server"}
RUN_TO_COMPLETION = ("Job/", "Pod/", "the tasks", "SparkApplication/member-analyzer-recount")
KIND_NODE_BYTES = 12 * 1000**3
KIND_NODE_CORES = 2
# Requests of the system pods of a kind node: etcd, DNS, the pod network; for CPU also the control plane.
KIND_SYSTEM_BYTES = 290 * 1024**2
KIND_SYSTEM_CORES = cores("950m")


# A container and the security context of its pod that satisfy the standard.
GOOD: dict[str, Any] = {
    "name": "one",
    "securityContext": {"allowPrivilegeEscalation": False, "capabilities": {"drop": ["ALL"]}},
}
POD: dict[str, Any] = {"runAsNonRoot": True, "seccompProfile": {"type": "RuntimeDefault"}}


def test_every_pod_satisfies_the_pod_security_standard_restricted(rendered: list[Object]) -> None:
    pods = workloads(rendered)
    assert pods
    assert {pod.name: found for pod in pods if (found := violations(pod))} == {}


def test_the_pods_of_airflow_are_included(helm: Helm) -> None:
    if not has_dependencies(PLATFORM):
        pytest.skip("Airflow's chart is not downloaded")
    names = {pod.name for pod in workloads(helm.render())}
    assert {
        "the tasks",
        "Deployment/member-analyzer-airflow-scheduler",
        "Job/member-analyzer-airflow-create-user",
    } <= names


def cassandra_containers(cluster: Object) -> Iterator[tuple[str, dict[str, Any]]]:
    cassandra, medusa = cluster["spec"]["cassandra"], cluster["spec"].get("medusa")
    for container in [*cassandra.get("initContainers", []), *cassandra["containers"]]:
        yield container["name"], container
    if medusa is not None:
        yield "medusa", {"name": "medusa", "securityContext": medusa.get("securityContext")}


@pytest.mark.parametrize("values", [(), (BACKUPS,)], ids=["default", "backups"])
def test_the_pods_of_cassandra_satisfy_it(helm: Helm, values: tuple[Any, ...]) -> None:
    cluster = find(helm.render(*values), "K8ssandraCluster", PLATFORM)
    containers = dict(cassandra_containers(cluster))
    assert containers.keys() >= {"cassandra", "server-config-init", "server-system-logger"}
    pod = cluster["spec"]["cassandra"]["podSecurityContext"]
    assert {name: found for name, one in containers.items() if (found := list(container_violations(one, pod)))} == {}


def test_strimzi_creates_pods_that_satisfy_it(helm: Helm) -> None:
    environment = jmespath.search('"strimzi-kafka-operator".extraEnvs', helm.values(OPERATORS))
    assert {"name": "STRIMZI_POD_SECURITY_PROVIDER_CLASS", "value": "restricted"} in environment


def test_root_file_systems_are_read_only(helm: Helm) -> None:
    found = [
        f"{pod.name} {container['name']}"
        for pod in workloads(helm.render(own=True))
        for container in pod.containers
        if (container.get("securityContext") or {}).get("readOnlyRootFilesystem") is not True
    ]
    assert found == []


def has_token(pod: Workload, objects: list[Object]) -> bool:
    accounts = {one["metadata"]["name"]: one for one in objects if one["kind"] == "ServiceAccount"}
    account = accounts.get(account_name(pod), {})
    own = pod.spec.get("automountServiceAccountToken")
    of_account = account.get("automountServiceAccountToken")
    return own if own is not None else of_account if of_account is not None else True


def account_name(pod: Workload) -> str:
    """The ServiceAccount of the pods; that of Spark's pods is not in their template."""
    if pod.name.startswith("SparkApplication/"):
        return f"{PLATFORM}-spark" if pod.name.endswith(" driver") else f"{PLATFORM}-spark-executor"
    name: str = pod.spec.get("serviceAccountName", "default")
    return name


def test_only_pods_that_call_the_kubernetes_api_get_a_token(rendered: list[Object]) -> None:
    pods = {pod.name for pod in workloads(rendered)}
    found = {pod.name for pod in workloads(rendered) if has_token(pod, rendered)}
    airflow = WITH_TOKEN_BY_THEIR_CHART if has_dependencies(PLATFORM) else set()
    assert found - airflow == WITH_TOKEN & pods
    assert {
        "SparkApplication/member-analyzer-stream driver",
        "SparkApplication/member-analyzer-recount driver",
    } <= found


def test_no_pod_uses_the_default_service_account(rendered: list[Object]) -> None:
    accounts = {one["metadata"]["name"] for one in rendered if one["kind"] == "ServiceAccount"}
    assert {pod.name for pod in workloads(rendered) if account_name(pod) not in accounts} == set()


def test_spark_uses_the_service_accounts_of_the_chart(helm: Helm) -> None:
    objects = helm.render()
    stream = find(objects, "SparkApplication", "member-analyzer-stream")
    assert stream["spec"]["driver"]["serviceAccount"] == "member-analyzer-spark"
    assert stream["spec"]["executor"]["serviceAccount"] == "member-analyzer-spark-executor"
    # The operator's webhook rejects applications that set it here.
    assert not [name for name in stream["spec"]["sparkConf"] if name.startswith("spark.kubernetes.authenticate")]


def test_roles_are_namespaced_and_have_no_wildcards(helm: Helm) -> None:
    own = helm.render(own=True)
    assert [one["metadata"]["name"] for one in own if one["kind"] in ("ClusterRole", "ClusterRoleBinding")] == []
    rules = jmespath.search("[?kind=='Role'].rules[]", own)
    assert rules
    assert [rule for rule in rules if "*" in [*rule["apiGroups"], *rule["resources"], *rule["verbs"]]] == []
    assert [rule for rule in rules if "secrets" in rule["resources"]] == []


def servers(objects: list[Object]) -> list[Workload]:
    return [pod for pod in workloads(objects) if not pod.name.startswith(RUN_TO_COMPLETION)]


def test_every_server_has_probes(helm: Helm) -> None:
    own = servers(helm.render(own=True))
    watched = [pod for pod in own if not pod.name.endswith(" executor")]
    for pod in watched:
        [container] = pod.spec["containers"]
        assert {"startupProbe", "livenessProbe"} <= container.keys(), pod.name
        assert "readinessProbe" in container or pod.name.startswith("SparkApplication/"), pod.name
    assert {pod.name for pod in watched} == {
        "StatefulSet/member-analyzer-postgres",
        "Deployment/member-analyzer-registry",
        "Deployment/member-analyzer-user-api",
        "Deployment/member-analyzer-collector",
        "Deployment/member-analyzer-console",
        "SparkApplication/member-analyzer-stream driver",
    }


def test_startup_probes_allow_two_minutes(helm: Helm) -> None:
    """On a slow machine a shorter startup probe causes a restart loop."""
    for pod in servers(helm.render(own=True)):
        for container in pod.containers:
            if probe := container.get("startupProbe"):
                assert probe.get("periodSeconds", 10) * probe.get("failureThreshold", 3) >= 120, pod.name


def test_every_container_has_requests_and_a_memory_limit(rendered: list[Object]) -> None:
    wrong = [
        f"{pod.name} {container['name']}"
        for pod in workloads(rendered)
        # Those of Spark's pods are set outside the template.
        if not pod.name.startswith("SparkApplication/")
        for container in pod.containers
        if not _is_complete(container.get("resources"))
    ]
    assert wrong == []


@pytest.mark.parametrize(
    "values", [(), (BACKUPS,), (FILES / "values-production.yaml",)], ids=["default", "backups", "production"]
)
def test_servers_created_by_operators_have_them_too(helm: Helm, values: tuple[Any, ...]) -> None:
    objects = helm.render(*values)
    kafka = find(objects, "Kafka", PLATFORM)["spec"]
    cluster = find(objects, "K8ssandraCluster", PLATFORM)["spec"]
    of = {
        "broker": kafka["kafka"].get("resources"),
        "ZooKeeper": kafka["zookeeper"].get("resources"),
        "topic operator": kafka["entityOperator"]["topicOperator"].get("resources"),
        "user operator": kafka["entityOperator"]["userOperator"].get("resources"),
        "Cassandra": cluster["cassandra"].get("resources"),
    }
    containers = [*cluster["cassandra"]["initContainers"], *cluster["cassandra"]["containers"]]
    of |= {
        one["name"]: one.get("resources")
        for one in containers
        if one["name"] not in ("cassandra", "server-config-init-base")
    }
    if "medusa" in cluster:
        of |= {"Medusa": cluster["medusa"].get("containerResources")}
        of |= {"Medusa's restore": cluster["medusa"].get("initContainerResources")}
    assert [name for name, resources in of.items() if not _is_complete(resources)] == []
    stream = find(objects, "SparkApplication", "member-analyzer-stream")["spec"]
    for role in ("driver", "executor"):
        assert {"cores", "coreRequest", "memory", "memoryOverhead"} <= stream[role].keys()


def test_memory_requests_do_not_exceed_limits(rendered: list[Object]) -> None:
    for pod in workloads(rendered):
        for container in pod.containers:
            if resources := container.get("resources"):
                assert memory(resources["requests"]["memory"]) <= memory(resources["limits"]["memory"]), pod.name


def _is_complete(resources: dict[str, Any] | None) -> bool:
    return (
        resources is not None and {"cpu", "memory"} <= resources["requests"].keys() and "memory" in resources["limits"]
    )


def node_load(helm: Helm, values: str, kind: Kind) -> tuple[dict[str, Any], Any]:
    """The requests by workload on a single node, and the largest sum at any time.

    That is the servers and the operators, plus either the Jobs of the installation, or the maximum number of tasks and
    the recount that one of them waits for.
    """
    needed = rendered_requests(kind, helm.render(FILES / values))
    needed |= rendered_requests(kind, helm.render(chart=OPERATORS))
    if not has_dependencies(PLATFORM):
        changed = yaml.safe_load((FILES / values).read_text())
        needed |= dependency_requests(kind, merged(helm.values(PLATFORM), changed)["airflow"])
    if not has_dependencies(OPERATORS):
        needed |= dependency_requests(kind, helm.values(OPERATORS))
    installing = {name: size for name, size in needed.items() if name.startswith("Job/") or name.endswith("Job")}
    testing = {name: size for name, size in needed.items() if name.startswith("Pod/member-analyzer-test-")}
    working = {
        name: size for name, size in needed.items() if name in ("the tasks", ".workers", "member-analyzer-recount")
    }
    serving = {name: size for name, size in needed.items() if name not in installing | testing | working}
    assert len(working) == 2
    assert {
        "Kafka",
        "ZooKeeper",
        "Cassandra",
        "member-analyzer-stream",
        "Deployment/member-analyzer-collector",
    } <= serving.keys()
    beside = max(sum(installing.values()), sum(working.values()) + max(testing.values()))
    return serving | working, sum(serving.values()) + beside


@pytest.mark.parametrize("values", ["values-kind.yaml", "values-minikube.yaml"])
def test_everything_at_once_fits_into_a_node_of_12_gigabytes(helm: Helm, values: str) -> None:
    needed, at_once = node_load(helm, values, MEMORY)
    expected = "\n".join(f"{size / 1024**2:6.0f}Mi {name}" for name, size in needed.items())
    assert at_once + KIND_SYSTEM_BYTES <= KIND_NODE_BYTES, expected


@pytest.mark.parametrize("values", ["values-kind.yaml", "values-minikube.yaml"])
def test_everything_at_once_fits_into_a_node_of_2_cores(helm: Helm, values: str) -> None:
    needed, at_once = node_load(helm, values, CPU)
    expected = "\n".join(f"{float(size) * 1000:6.0f}m {name}" for name, size in needed.items())
    assert at_once + KIND_SYSTEM_CORES <= KIND_NODE_CORES, expected


@pytest.mark.parametrize("values", ["values-kind.yaml", "values-minikube.yaml"])
def test_the_preflight_requires_what_the_platform_requests(helm: Helm, values: str) -> None:
    for kind in (CPU, MEMORY):
        operators = rendered_requests(kind, helm.render(chart=OPERATORS))
        if not has_dependencies(OPERATORS):
            operators |= dependency_requests(kind, helm.values(OPERATORS))
        _, at_once = node_load(helm, values, kind)
        platform = float(at_once - sum(operators.values()))
        assert platform <= float(NEEDED[kind.name]) <= 1.25 * platform


def test_every_server_with_several_replicas_has_a_disruption_budget(helm: Helm) -> None:
    several = {name: {"replicas": 2} for name in ("registry", "userApi", "collector", "console")}
    objects = helm.render(several)
    budgets = {
        one["metadata"]["name"]: one["spec"]["maxUnavailable"]
        for one in objects
        if one["kind"] == "PodDisruptionBudget"
    }
    assert {
        f"{PLATFORM}-{name}": 1 for name in ("registry", "user-api", "collector", "console")
    }.items() <= budgets.items()


def test_no_disruption_budget_blocks_the_drain_of_a_node(helm: Helm) -> None:
    for one in helm.render():
        if one["kind"] == "PodDisruptionBudget":
            assert one["spec"].get("minAvailable", 0) == 0, one["metadata"]["name"]


def test_all_controllers_are_workloads(rendered: list[Object]) -> None:
    found = {pod.name for pod in workloads(rendered)}
    made = {f"{one['kind']}/{one['metadata']['name']}" for one in rendered if one["kind"] in CONTROLLERS}
    assert made <= found


def test_autoscaled_workloads_count_with_their_maximum(helm: Helm) -> None:
    bounds = {"collector": {"autoscaling": {"enabled": True, "maxReplicas": 7}}}
    for kind in (MEMORY, CPU):
        once, scaled = (rendered_requests(kind, helm.render(*values)) for values in ((), (bounds,)))
        assert scaled["Deployment/member-analyzer-collector"] == 7 * once["Deployment/member-analyzer-collector"]


@pytest.mark.parametrize(("quantity", "amount"), [("250m", 0.25), ("2", 2), (1, 1), ("0.5", 0.5)])
def test_cpu_quantities_are_parsed(quantity: str | int, amount: float) -> None:
    assert cores(quantity) == amount


class TestViolations:
    """The check finds violations."""

    def test_a_compliant_pod_has_none(self) -> None:
        assert violations(Workload("good", {}, {"securityContext": POD, "containers": [GOOD]})) == []

    @pytest.mark.parametrize(
        ("spec", "expected"),
        [
            ({"hostNetwork": True}, "hostNetwork"),
            ({"volumes": [{"name": "node", "hostPath": {"path": "/"}}]}, "volume node: hostPath"),
            ({"securityContext": {"runAsNonRoot": True}}, "one: no seccomp profile"),
            ({"securityContext": {"seccompProfile": {"type": "RuntimeDefault"}}}, "one: may run as root"),
            ({"securityContext": {**POD, "runAsUser": 0}}, "one: runs as root"),
            (
                {"securityContext": {**POD, "sysctls": [{"name": "kernel.msgmax", "value": "1"}]}},
                "sysctl kernel.msgmax",
            ),
            ({"containers": [{"name": "one"}]}, "one: allowPrivilegeEscalation"),
            ({"containers": [GOOD | {"ports": [{"hostPort": 80}]}]}, "one: hostPort"),
            (
                {"initContainers": [{**GOOD, "name": "first", "securityContext": {"privileged": True}}]},
                "first: privileged",
            ),
        ],
    )
    def test_a_violation_is_found(self, spec: dict[str, Any], expected: str) -> None:
        pod = {"securityContext": POD, "containers": [GOOD]} | spec
        assert expected in violations(Workload("bad", {}, pod))
