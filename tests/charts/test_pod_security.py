from collections.abc import Iterator
from typing import Any

import jmespath
import pytest
import yaml

from combinations import BACKUPS, FILES
from member_analyzer.cluster.preflight import NEEDED
from node_requests import CPU, MEMORY, Kind, cores, handed_over_requests, memory, rendered_requests
from rendering import OPERATORS, PLATFORM, Helm, Object, has_dependencies, laid_over
from restricted import container_violations, violations
from workloads import CONTROLLERS, Workload, find, workloads

# Who asks Kubernetes for something, and so gets a token: the drivers make executors, the tasks submit Spark jobs, the
# scheduler makes the tasks' pods, the console looks for ZooKeeper's.
WITH_TOKEN = {
    "Deployment/member-analyzer-console",
    "SparkApplication/member-analyzer-stream driver",
    "SparkApplication/member-analyzer-recount driver",
    "the tasks",
    "Deployment/member-analyzer-airflow-scheduler",
}
# A page shows the log of a running task, which its pod has.
WITH_TOKEN_BY_THEIR_CHART = {"Deployment/member-analyzer-airflow-api-server"}
RUN_TO_THEIR_END = ("Job/", "Pod/", "the tasks", "SparkApplication/member-analyzer-recount")
KIND_NODE_BYTES = 12 * 1000**3
KIND_NODE_CORES = 2
# What a kind node's own pods request: etcd, DNS, the pod network; of CPU Kubernetes' servers too.
KIND_SYSTEM_BYTES = 290 * 1024**2
KIND_SYSTEM_CORES = cores("950m")


# A container and the security context of its pod, as the standard wants them.
GOOD: dict[str, Any] = {
    "name": "one",
    "securityContext": {"allowPrivilegeEscalation": False, "capabilities": {"drop": ["ALL"]}},
}
POD: dict[str, Any] = {"runAsNonRoot": True, "seccompProfile": {"type": "RuntimeDefault"}}


def test_every_pod_satisfies_the_pod_security_standard_restricted(rendered: list[Object]) -> None:
    pods = workloads(rendered)
    assert pods
    assert {pod.name: found for pod in pods if (found := violations(pod))} == {}


def test_the_pods_of_airflow_are_among_them(helm: Helm) -> None:
    if not has_dependencies(PLATFORM):
        pytest.skip("helm dependency update has not brought Airflow's chart")
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
def test_cassandras_pods_which_their_operator_makes_do_so_too(helm: Helm, values: tuple[Any, ...]) -> None:
    cluster = find(helm.render(*values), "K8ssandraCluster", PLATFORM)
    containers = dict(cassandra_containers(cluster))
    assert containers.keys() >= {"cassandra", "server-config-init", "server-system-logger"}
    pod = cluster["spec"]["cassandra"]["podSecurityContext"]
    assert {name: found for name, one in containers.items() if (found := list(container_violations(one, pod)))} == {}


def test_strimzi_is_told_to_make_pods_that_do_so(helm: Helm) -> None:
    environment = jmespath.search('"strimzi-kafka-operator".extraEnvs', helm.values(OPERATORS))
    assert {"name": "STRIMZI_POD_SECURITY_PROVIDER_CLASS", "value": "restricted"} in environment


def test_nothing_of_ours_writes_to_its_root_file_system(helm: Helm) -> None:
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
    """The ServiceAccount of the pods; Spark sets that of its pods itself."""
    if pod.name.startswith("SparkApplication/"):
        return f"{PLATFORM}-spark" if pod.name.endswith(" driver") else f"{PLATFORM}-spark-executor"
    name: str = pod.spec.get("serviceAccountName", "default")
    return name


def test_only_those_who_ask_kubernetes_for_something_get_a_token(rendered: list[Object]) -> None:
    pods = {pod.name for pod in workloads(rendered)}
    found = {pod.name for pod in workloads(rendered) if has_token(pod, rendered)}
    airflow = WITH_TOKEN_BY_THEIR_CHART if has_dependencies(PLATFORM) else set()
    assert found - airflow == WITH_TOKEN & pods
    assert {
        "SparkApplication/member-analyzer-stream driver",
        "SparkApplication/member-analyzer-recount driver",
    } <= found


def test_no_pod_runs_as_the_namespaces_default_account(rendered: list[Object]) -> None:
    accounts = {one["metadata"]["name"] for one in rendered if one["kind"] == "ServiceAccount"}
    assert {pod.name for pod in workloads(rendered) if account_name(pod) not in accounts} == set()


def test_spark_runs_drivers_and_executors_as_the_accounts_that_the_chart_makes(helm: Helm) -> None:
    objects = helm.render()
    stream = find(objects, "SparkApplication", "member-analyzer-stream")
    assert stream["spec"]["driver"]["serviceAccount"] == "member-analyzer-spark"
    assert stream["spec"]["executor"]["serviceAccount"] == "member-analyzer-spark-executor"
    # The operator's webhook refuses applications that say it this way.
    assert not [name for name in stream["spec"]["sparkConf"] if name.startswith("spark.kubernetes.authenticate")]


def test_no_right_reaches_beyond_the_namespace_or_to_everything(helm: Helm) -> None:
    own = helm.render(own=True)
    assert [one["metadata"]["name"] for one in own if one["kind"] in ("ClusterRole", "ClusterRoleBinding")] == []
    rules = jmespath.search("[?kind=='Role'].rules[]", own)
    assert rules
    assert [rule for rule in rules if "*" in [*rule["apiGroups"], *rule["resources"], *rule["verbs"]]] == []
    assert [rule for rule in rules if "secrets" in rule["resources"]] == []


def servers(objects: list[Object]) -> list[Workload]:
    return [pod for pod in workloads(objects) if not pod.name.startswith(RUN_TO_THEIR_END)]


def test_every_server_of_ours_is_watched_by_probes(helm: Helm) -> None:
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


def test_a_probe_gives_a_slow_start_time_before_it_ends_the_container(helm: Helm) -> None:
    """A startup probe that gives up too early on a slow machine ends in a loop of restarts."""
    for pod in servers(helm.render(own=True)):
        for container in pod.containers:
            if probe := container.get("startupProbe"):
                assert probe.get("periodSeconds", 10) * probe.get("failureThreshold", 3) >= 120, pod.name


def test_every_container_says_what_it_needs_and_what_it_may_take(rendered: list[Object]) -> None:
    wrong = [
        f"{pod.name} {container['name']}"
        for pod in workloads(rendered)
        # Spark and the operator set those of its pods from the fields beside the template.
        if not pod.name.startswith("SparkApplication/")
        for container in pod.containers
        if not _is_complete(container.get("resources"))
    ]
    assert wrong == []


@pytest.mark.parametrize(
    "values", [(), (BACKUPS,), (FILES / "values-production.yaml",)], ids=["default", "backups", "production"]
)
def test_so_do_the_servers_that_operators_make(helm: Helm, values: tuple[Any, ...]) -> None:
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


def test_what_a_container_needs_is_no_more_than_it_may_take(rendered: list[Object]) -> None:
    for pod in workloads(rendered):
        for container in pod.containers:
            if resources := container.get("resources"):
                assert memory(resources["requests"]["memory"]) <= memory(resources["limits"]["memory"]), pod.name


def _is_complete(resources: dict[str, Any] | None) -> bool:
    return (
        resources is not None and {"cpu", "memory"} <= resources["requests"].keys() and "memory" in resources["limits"]
    )


def node_load(helm: Helm, values: str, kind: Kind) -> tuple[dict[str, Any], Any]:
    """What all requests of the one node of these values, by workload, and the sum when the most runs at once.

    That is the servers and the operators, and beside them what the installation runs; later as many tasks as may run at
    once, and the recount that one of them waits for.
    """
    needed = rendered_requests(kind, helm.render(FILES / values))
    needed |= rendered_requests(kind, helm.render(chart=OPERATORS))
    if not has_dependencies(PLATFORM):
        changed = yaml.safe_load((FILES / values).read_text())
        needed |= handed_over_requests(kind, laid_over(helm.values(PLATFORM), changed)["airflow"])
    if not has_dependencies(OPERATORS):
        needed |= handed_over_requests(kind, helm.values(OPERATORS))
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
    told = "\n".join(f"{size / 1024**2:6.0f}Mi {name}" for name, size in needed.items())
    assert at_once + KIND_SYSTEM_BYTES <= KIND_NODE_BYTES, told


@pytest.mark.parametrize("values", ["values-kind.yaml", "values-minikube.yaml"])
def test_everything_at_once_fits_into_a_node_of_2_cores(helm: Helm, values: str) -> None:
    needed, at_once = node_load(helm, values, CPU)
    told = "\n".join(f"{float(size) * 1000:6.0f}m {name}" for name, size in needed.items())
    assert at_once + KIND_SYSTEM_CORES <= KIND_NODE_CORES, told


@pytest.mark.parametrize("values", ["values-kind.yaml", "values-minikube.yaml"])
def test_the_preflight_asks_for_the_room_that_the_platform_requests(helm: Helm, values: str) -> None:
    for kind in (CPU, MEMORY):
        operators = rendered_requests(kind, helm.render(chart=OPERATORS))
        if not has_dependencies(OPERATORS):
            operators |= handed_over_requests(kind, helm.values(OPERATORS))
        _, at_once = node_load(helm, values, kind)
        platform = float(at_once - sum(operators.values()))
        assert platform <= float(NEEDED[kind.name]) <= 1.25 * platform


def test_every_server_that_runs_more_than_once_may_lose_only_one_at_a_time(helm: Helm) -> None:
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


def test_a_single_server_does_not_keep_its_node_from_being_drained(helm: Helm) -> None:
    for one in helm.render():
        if one["kind"] == "PodDisruptionBudget":
            assert one["spec"].get("minAvailable", 0) == 0, one["metadata"]["name"]


def test_no_controller_is_forgotten(rendered: list[Object]) -> None:
    found = {pod.name for pod in workloads(rendered)}
    made = {f"{one['kind']}/{one['metadata']['name']}" for one in rendered if one["kind"] in CONTROLLERS}
    assert made <= found


def test_what_is_scaled_is_counted_as_often_as_it_may_run(helm: Helm) -> None:
    bounds = {"collector": {"autoscaling": {"enabled": True, "maxReplicas": 7}}}
    for kind in (MEMORY, CPU):
        once, scaled = (rendered_requests(kind, helm.render(*values)) for values in ((), (bounds,)))
        assert scaled["Deployment/member-analyzer-collector"] == 7 * once["Deployment/member-analyzer-collector"]


@pytest.mark.parametrize(("quantity", "amount"), [("250m", 0.25), ("2", 2), (1, 1), ("0.5", 0.5)])
def test_cores_are_read_as_kubernetes_writes_them(quantity: str | int, amount: float) -> None:
    assert cores(quantity) == amount


class TestTheJudge:
    """The standard has to find what is wrong, or the tests above say nothing."""

    def test_a_pod_that_keeps_to_the_standard_passes(self) -> None:
        assert violations(Workload("good", {}, {"securityContext": POD, "containers": [GOOD]})) == []

    @pytest.mark.parametrize(
        ("spec", "told"),
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
    def test_one_that_does_not_is_told_why(self, spec: dict[str, Any], told: str) -> None:
        pod = {"securityContext": POD, "containers": [GOOD]} | spec
        assert told in violations(Workload("bad", {}, pod))
