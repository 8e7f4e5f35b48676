"""The components of the platform: whether each is ready and, if not, why."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta

from member_analyzer.cluster.connection import Object
from member_analyzer.cluster.pods import PodContext, condition, count_restarts, is_ready, pod_problem, shorten

# A running operator reconciles a new object at once.
GRACE_PERIOD = timedelta(minutes=1)
# The web programs, which the chart's values can disable.
OPTIONAL = ("user-api", "collector", "console")


@dataclass(frozen=True)
class Component:
    """The state of one component; without `problems` it is ready."""

    name: str
    ready: int
    desired: int
    restarts: int = 0
    problems: list[str] = field(default_factory=list)

    @property
    def is_ready(self) -> bool:
        """Whether it has no problems."""
        return not self.problems


@dataclass(frozen=True)
class Platform:
    """The objects of the namespace that make up the platform."""

    pods: list[Object] = field(default_factory=list)
    workloads: Mapping[tuple[str, str], Object] = field(default_factory=dict)
    """(kind, name) -> Deployment, StatefulSet or Job."""
    resources: Mapping[str, Object | None] = field(default_factory=dict)
    """kind -> the custom resource of that kind."""
    kafka_resources: list[Object] = field(default_factory=list)
    """KafkaTopics and KafkaUsers."""
    unknown_kinds: frozenset[str] = frozenset()
    """Kinds without a CRD in this cluster."""
    context: PodContext = field(default_factory=PodContext)
    release: str = "member-analyzer"
    airflow_name: str = "member-analyzer-airflow"
    postgres_host: str = "member-analyzer-postgres"

    def object_name(self, suffix: str) -> str:
        """The name of an object of the release."""
        return f"{self.release}-{suffix}"

    def pods_of(self, labels: Mapping[str, str]) -> list[Object]:
        """The pods with these labels."""
        return [pod for pod in self.pods if labels.items() <= pod["metadata"].get("labels", {}).items()]

    def jobs_of(self, labels: Mapping[str, str]) -> list[Object]:
        """The Jobs with these labels."""
        jobs = [workload for (kind, _), workload in self.workloads.items() if kind == "Job"]
        return [job for job in jobs if labels.items() <= job["metadata"].get("labels", {}).items()]


def list_components(platform: Platform, now: datetime) -> Iterable[Component]:
    """Every component, in the order of the data flow."""
    if platform.postgres_host == platform.object_name("postgres"):
        yield workload_component("postgres", "StatefulSet", platform.object_name("postgres"), platform)
    yield workload_component("registry", "Deployment", platform.object_name("registry"), platform)
    yield from kafka_components(platform, now)
    yield cassandra_component(platform, now)
    yield stream_component(platform, now)
    yield airflow_component(platform)
    for name in OPTIONAL:
        if ("Deployment", platform.object_name(name)) in platform.workloads:
            yield workload_component(name, "Deployment", platform.object_name(name), platform)
    yield provision_component(platform)


def workload_component(name: str, kind: str, workload: str, platform: Platform) -> Component:
    """A component that is one Deployment or StatefulSet."""
    found = platform.workloads.get((kind, workload))
    if found is None:
        return Component(name, 0, 1, problems=[f"there is no {kind} {workload}: see `helm status`"])
    desired, status = found["spec"].get("replicas", 1), found.get("status") or {}
    ready = status.get("readyReplicas", 0)
    pods = platform.pods_of(found["spec"]["selector"]["matchLabels"])
    problems = pod_problems(pods, platform.context)
    if len(pods) < desired and (problem := creation_problem(kind, workload, platform)):
        problems.insert(0, problem)
    is_current = status.get("updatedReplicas", 0) >= desired
    if not desired:
        problems = [f"{workload} is scaled to 0"]
    elif not problems and (ready < desired or not is_current):
        problems = [f"the pods of {workload} are being {'created' if ready < desired else 'replaced'}"]
    elif ready >= desired and is_current:
        # A surplus pod that is terminating.
        problems = []
    return Component(name, ready, desired, sum(map(count_restarts, pods)), problems)


def pod_problems(pods: Iterable[Object], context: PodContext) -> list[str]:
    """The problems of pods, each once with the names of its pods."""
    names: dict[str, list[str]] = {}
    for pod in pods:
        if problem := pod_problem(pod, context):
            names.setdefault(problem, []).append(pod["metadata"]["name"])
    return [f"{', '.join(affected)}: {problem}" for problem, affected in names.items()]


def creation_problem(kind: str, workload: str, platform: Platform) -> str:
    """Why a workload cannot create its pods, from its newest event; empty if it can."""
    for event in reversed(platform.context.events):
        owner = event.get("involvedObject", {})
        # The pods of a Deployment are created by a ReplicaSet, whose name has a hash appended.
        name = owner.get("name", "").rpartition("-")[0] if kind == "Deployment" else owner.get("name")
        is_owner = (owner.get("kind"), name) == ("ReplicaSet" if kind == "Deployment" else kind, workload)
        if is_owner and event.get("reason") == "FailedCreate":
            message = shorten(event.get("message", "").rpartition("is forbidden: ")[2])
            if "exceeded quota" in message:
                return f"a quota of the namespace prevents the pods of {workload}: {message}"
            if "violates PodSecurity" in message:
                return f"the namespace's Pod Security rejects the pods of {workload}: {message}"
            return f"the pods of {workload} cannot be created: {message}"
    return ""


def operator_problem(kind: str, name: str, operator: str, platform: Platform, now: datetime) -> str:
    """Why an operator has not reconciled an object; empty if it has."""
    if kind in platform.unknown_kinds:
        return (
            f"this cluster has no CRD for {kind}, so {operator} is not installed:"
            " helm install operators charts/operators -n operators --create-namespace --wait"
        )
    found = platform.resources.get(kind)
    if found is None:
        return f"there is no {kind} {name}: see `helm status`"
    if found.get("status"):
        return ""
    created = datetime.fromisoformat(found["metadata"]["creationTimestamp"]).astimezone(UTC)
    if now - created < GRACE_PERIOD:
        return f"{operator} has not reconciled the {kind} {name} yet"
    return (
        f"{operator} has not reconciled the {kind} {name}: is it installed, and does it watch this namespace?"
        " See `member-analyzer preflight`"
    )


def resource_component(
    name: str, desired: int, pods: list[Object], messages: list[str], platform: Platform
) -> Component:
    """A component that an operator manages, from its pods and the operator's messages."""
    ready = sum(map(is_ready, pods))
    problems = pod_problems(pods, platform.context) + [message for message in messages if message]
    if not problems and ready < desired:
        problems = ["its pods are being created"]
    return Component(name, ready, desired, sum(map(count_restarts, pods)), problems)


def kafka_components(platform: Platform, now: datetime) -> Iterable[Component]:
    """Kafka with its entity operator, and ZooKeeper."""
    missing = operator_problem("Kafka", platform.release, "the Strimzi operator", platform, now)
    kafka = platform.resources.get("Kafka") or {"spec": {}}
    messages = [missing or strimzi_problem(kafka)]
    for resource in platform.kafka_resources:
        if resource.get("status") and (problem := strimzi_problem(resource)):
            messages.append(f"{resource['kind']} {resource['metadata']['name']}: {problem}")
    brokers = kafka["spec"].get("kafka", {}).get("replicas", 1)
    entity_operators = int("entityOperator" in kafka["spec"])
    pods = [
        *platform.pods_of({"strimzi.io/name": platform.object_name("kafka")}),
        *platform.pods_of({"strimzi.io/name": platform.object_name("entity-operator")}),
    ]
    yield resource_component("kafka", brokers + entity_operators, pods, messages, platform)
    servers = kafka["spec"].get("zookeeper", {}).get("replicas", 1)
    pods = platform.pods_of({"strimzi.io/name": platform.object_name("zookeeper")})
    yield resource_component("zookeeper", servers, pods, [missing], platform)


def strimzi_problem(resource: Object) -> str:
    """What Strimzi reports on a resource that is not ready; empty if it is."""
    if condition(resource, "Ready").get("status") == "True":
        return ""
    reported = condition(resource, "NotReady") or condition(resource, "Ready")
    return f"Strimzi reports: {shorten(reported.get('message') or reported.get('reason') or 'nothing yet')}"


def cassandra_component(platform: Platform, now: datetime) -> Component:
    """Cassandra, from its cluster, its datacenter and its pods."""
    cluster = platform.resources.get("K8ssandraCluster") or {"spec": {}}
    datacenter = platform.resources.get("CassandraDatacenter") or {}
    status = datacenter.get("status") or {}
    messages = [operator_problem("K8ssandraCluster", platform.release, "k8ssandra-operator", platform, now)]
    if (error := (cluster.get("status") or {}).get("error")) not in (None, "", "None"):
        messages.append(shorten(f"k8ssandra-operator reports: {error}"))
    pods = platform.pods_of({"cassandra.datastax.com/cluster": platform.release})
    # The operator keeps a failed start in the status after a successful one.
    ready = {pod["metadata"]["name"] for pod in pods if is_ready(pod)}
    if failed := [name for name in status.get("failedStarts") or () if name not in ready]:
        messages.append(f"Cassandra failed to start in {', '.join(failed)}: see the log of server-system-logger there")
    if not any(messages):
        if not datacenter:
            messages.append("k8ssandra-operator has not created the datacenter yet")
        elif condition(datacenter, "Ready").get("status") != "True":
            progress = status.get("cassandraOperatorProgress") or "nothing yet"
            messages.append(f"cass-operator is in progress, and reports: {progress}")
    desired = sum(one.get("size", 1) for one in cluster["spec"].get("cassandra", {}).get("datacenters", ()))
    return resource_component("cassandra", desired or 1, pods, messages, platform)


def stream_component(platform: Platform, now: datetime) -> Component:
    """The streaming Spark application."""
    application = platform.resources.get("SparkApplication") or {"spec": {}}
    reported = (application.get("status") or {}).get("applicationState") or {}
    name = platform.object_name("stream")
    message = operator_problem("SparkApplication", name, "the Spark operator", platform, now)
    if not message and (state := reported.get("state") or "new") != "RUNNING":
        error = reported.get("errorMessage") or ""
        message = shorten(f"the Spark application is {state}: {error}".removesuffix(": "))
    labels = {"sparkoperator.k8s.io/app-name": name}
    drivers = platform.pods_of(labels | {"spark-role": "driver"})
    # The number of executors varies, but a pending one is a problem.
    executors = platform.pods_of(labels | {"spark-role": "executor"})
    pending = pod_problems([pod for pod in executors if pod["status"]["phase"] == "Pending"], platform.context)
    return resource_component("stream", 1, drivers, [message, *pending], platform)


def airflow_component(platform: Platform) -> Component:
    """Airflow's servers, and the Jobs that they depend on."""
    servers = [
        workload_component(name, "Deployment", name, platform)
        for name in (f"{platform.airflow_name}-{server}" for server in ("api-server", "scheduler", "dag-processor"))
    ]
    problems = [problem for job in platform.jobs_of({"tier": "airflow"}) for problem in job_problems(job, platform)]
    for server in servers:
        problems += server.problems
    return Component(
        "airflow",
        sum(server.ready for server in servers),
        sum(server.desired for server in servers),
        sum(server.restarts for server in servers),
        problems,
    )


def provision_component(platform: Platform) -> Component:
    """The newest provisioning Job; a completed one is deleted after some time."""
    jobs = platform.jobs_of({"app.kubernetes.io/component": "provision"})
    newest = max(jobs, key=lambda job: str(job["metadata"]["creationTimestamp"]), default=None)
    if newest is None:
        return Component("provision", 0, 0)
    problems = job_problems(newest, platform)
    return Component("provision", int(not problems), 1, problems=problems)


def job_problems(job: Object, platform: Platform) -> list[str]:
    """Why a Job is not complete; empty if it is."""
    if condition(job, "Complete").get("status") == "True":
        return []
    name = job["metadata"]["name"]
    pods = platform.pods_of(job["spec"]["selector"]["matchLabels"])
    failed = condition(job, "Failed")
    problems = [
        f"the Job {name} has failed: {failed.get('message')}" if failed.get("status") == "True" else "",
        creation_problem("Job", name, platform) if not pods else "",
        *pod_problems(pods, platform.context),
    ]
    return [problem for problem in problems if problem] or [f"the Job {name} is not complete yet"]
