"""The components of the platform: whether each is ready and, where it is not, what it waits for."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta

from member_analyzer.cluster.connection import Object
from member_analyzer.cluster.pods import (
    Circumstances,
    condition,
    count_restarts,
    is_ready,
    pod_complaint,
    shorten,
)

# An operator that is there looks at a new object at once.
PATIENCE = timedelta(minutes=1)
# The web programs, each of which the chart's values can leave out.
OPTIONAL = ("user-api", "collector", "console")


@dataclass(frozen=True)
class Component:
    """How one component does; `waits_for` is empty where it is ready."""

    name: str
    ready: int
    wanted: int
    restarts: int = 0
    waits_for: list[str] = field(default_factory=list)

    @property
    def is_ready(self) -> bool:
        """Whether nothing is amiss."""
        return not self.waits_for


@dataclass(frozen=True)
class Platform:
    """All objects of the namespace that the platform is made of."""

    pods: list[Object] = field(default_factory=list)
    workloads: Mapping[tuple[str, str], Object] = field(default_factory=dict)
    """(kind, name) -> Deployment, StatefulSet or Job."""
    resources: Mapping[str, Object | None] = field(default_factory=dict)
    """kind -> the object of that kind which an operator looks after."""
    inside_kafka: list[Object] = field(default_factory=list)
    """The topics and users that Strimzi makes."""
    unknown_kinds: frozenset[str] = frozenset()
    """Kinds that this cluster does not know."""
    around: Circumstances = field(default_factory=Circumstances)
    release: str = "member-analyzer"
    airflow_name: str = "member-analyzer-airflow"
    postgres_host: str = "member-analyzer-postgres"

    def name(self, suffix: str) -> str:
        """The name of an object of the release."""
        return f"{self.release}-{suffix}"

    def pods_of(self, labels: Mapping[str, str]) -> list[Object]:
        """The pods with these labels."""
        return [one for one in self.pods if labels.items() <= one["metadata"].get("labels", {}).items()]

    def jobs_of(self, labels: Mapping[str, str]) -> list[Object]:
        """The Jobs with these labels."""
        jobs = [one for (kind, _), one in self.workloads.items() if kind == "Job"]
        return [one for one in jobs if labels.items() <= one["metadata"].get("labels", {}).items()]


def list_components(platform: Platform, now: datetime) -> Iterable[Component]:
    """Every component, in the order of the members' way."""
    if platform.postgres_host == platform.name("postgres"):
        yield workload_component("postgres", "StatefulSet", platform.name("postgres"), platform)
    yield workload_component("registry", "Deployment", platform.name("registry"), platform)
    yield from kafka_components(platform, now)
    yield cassandra_component(platform, now)
    yield stream_component(platform, now)
    yield airflow_component(platform)
    for name in OPTIONAL:
        if ("Deployment", platform.name(name)) in platform.workloads:
            yield workload_component(name, "Deployment", platform.name(name), platform)
    yield provision_component(platform)


def workload_component(name: str, kind: str, workload: str, platform: Platform) -> Component:
    """A component that is one Deployment or StatefulSet."""
    found = platform.workloads.get((kind, workload))
    if found is None:
        return Component(name, 0, 1, waits_for=[f"there is no {kind} {workload}: see `helm status`"])
    wanted, status = found["spec"].get("replicas", 1), found.get("status") or {}
    ready = status.get("readyReplicas", 0)
    pods = platform.pods_of(found["spec"]["selector"]["matchLabels"])
    waits_for = pod_complaints(pods, platform.around)
    if len(pods) < wanted and (refused := refusal(kind, workload, platform)):
        waits_for.insert(0, refused)
    is_current = status.get("updatedReplicas", 0) >= wanted
    if not wanted:
        waits_for = [f"{workload} is scaled to 0"]
    elif not waits_for and (ready < wanted or not is_current):
        waits_for = [f"the pods of {workload} are being {'made' if ready < wanted else 'replaced'}"]
    elif ready >= wanted and is_current:
        # A pod too many, which is ending.
        waits_for = []
    return Component(name, ready, wanted, sum(map(count_restarts, pods)), waits_for)


def pod_complaints(pods: Iterable[Object], around: Circumstances) -> list[str]:
    """What pods wait for, each thing once with the names of all that wait for it."""
    names: dict[str, list[str]] = {}
    for pod in pods:
        if complaint := pod_complaint(pod, around):
            names.setdefault(complaint, []).append(pod["metadata"]["name"])
    return [f"{', '.join(waiting)}: {complaint}" for complaint, waiting in names.items()]


def refusal(kind: str, workload: str, platform: Platform) -> str:
    """Why the cluster does not let a workload make its pods, by the newest event of it; empty where it does."""
    for event in reversed(platform.around.events):
        maker = event.get("involvedObject", {})
        # A Deployment's pods are made by a ReplicaSet, which has its name and a hash.
        name = maker.get("name", "").rpartition("-")[0] if kind == "Deployment" else maker.get("name")
        is_maker = (maker.get("kind"), name) == ("ReplicaSet" if kind == "Deployment" else kind, workload)
        if is_maker and event.get("reason") == "FailedCreate":
            message = shorten(event.get("message", "").rpartition("is forbidden: ")[2])
            if "exceeded quota" in message:
                return f"a quota of the namespace leaves no room for the pods of {workload}: {message}"
            if "violates PodSecurity" in message:
                return f"the namespace's Pod Security refuses the pods of {workload}: {message}"
            return f"the pods of {workload} cannot be made: {message}"
    return ""


def unseen(kind: str, name: str, operator: str, platform: Platform, now: datetime) -> str:
    """Why an operator has not said anything of an object; empty where it has."""
    if kind in platform.unknown_kinds:
        return (
            f"this cluster does not know {kind}, so {operator} is not installed:"
            " helm install operators charts/operators -n operators --create-namespace --wait"
        )
    found = platform.resources.get(kind)
    if found is None:
        return f"there is no {kind} {name}: see `helm status`"
    if found.get("status"):
        return ""
    made = datetime.fromisoformat(found["metadata"]["creationTimestamp"]).astimezone(UTC)
    if now - made < PATIENCE:
        return f"{operator} has not looked at the {kind} {name} yet"
    return (
        f"{operator} has not looked at the {kind} {name}: is it installed, and does it watch this namespace?"
        " See `member-analyzer preflight`"
    )


def resource_component(name: str, wanted: int, pods: list[Object], said: list[str], platform: Platform) -> Component:
    """A component that an operator looks after: its pods, and what the operator said."""
    ready = sum(map(is_ready, pods))
    waits_for = pod_complaints(pods, platform.around) + [one for one in said if one]
    if not waits_for and ready < wanted:
        waits_for = ["its pods are being made"]
    return Component(name, ready, wanted, sum(map(count_restarts, pods)), waits_for)


def kafka_components(platform: Platform, now: datetime) -> Iterable[Component]:
    """Kafka with what makes its topics and users, and ZooKeeper."""
    absent = unseen("Kafka", platform.release, "the Strimzi operator", platform, now)
    kafka = platform.resources.get("Kafka") or {"spec": {}}
    said = [absent or strimzi_complaint(kafka) or ""]
    for one in platform.inside_kafka:
        if one.get("status") and (complaint := strimzi_complaint(one)):
            said.append(f"{one['kind']} {one['metadata']['name']}: {complaint}")
    brokers = kafka["spec"].get("kafka", {}).get("replicas", 1)
    makers = int("entityOperator" in kafka["spec"])
    pods = [
        *platform.pods_of({"strimzi.io/name": platform.name("kafka")}),
        *platform.pods_of({"strimzi.io/name": platform.name("entity-operator")}),
    ]
    yield resource_component("kafka", brokers + makers, pods, said, platform)
    servers = kafka["spec"].get("zookeeper", {}).get("replicas", 1)
    pods = platform.pods_of({"strimzi.io/name": platform.name("zookeeper")})
    yield resource_component("zookeeper", servers, pods, [absent], platform)


def strimzi_complaint(one: Object) -> str:
    """What Strimzi says of an object that is not ready; empty where it is."""
    if condition(one, "Ready").get("status") == "True":
        return ""
    said = condition(one, "NotReady") or condition(one, "Ready")
    return f"Strimzi says: {shorten(said.get('message') or said.get('reason') or 'nothing yet')}"


def cassandra_component(platform: Platform, now: datetime) -> Component:
    """Cassandra."""
    cluster = platform.resources.get("K8ssandraCluster") or {"spec": {}}
    datacenter = platform.resources.get("CassandraDatacenter") or {}
    status = datacenter.get("status") or {}
    said = [unseen("K8ssandraCluster", platform.release, "k8ssandra-operator", platform, now)]
    if (error := (cluster.get("status") or {}).get("error")) not in (None, "", "None"):
        said.append(shorten(f"k8ssandra-operator says: {error}"))
    pods = platform.pods_of({"cassandra.datastax.com/cluster": platform.release})
    # What failed once is told on, also when another try has worked.
    serving = {one["metadata"]["name"] for one in pods if is_ready(one)}
    if failed := [name for name in status.get("failedStarts") or () if name not in serving]:
        said.append(f"Cassandra did not start in {', '.join(failed)}: see its container server-system-logger's log")
    if not any(said):
        if not datacenter:
            said.append("k8ssandra-operator has not made the datacenter yet")
        elif condition(datacenter, "Ready").get("status") != "True":
            progress = status.get("cassandraOperatorProgress") or "nothing yet"
            said.append(f"cass-operator is still working on it, and says: {progress}")
    wanted = sum(one.get("size", 1) for one in cluster["spec"].get("cassandra", {}).get("datacenters", ()))
    return resource_component("cassandra", wanted or 1, pods, said, platform)


def stream_component(platform: Platform, now: datetime) -> Component:
    """The Spark application that streams."""
    application = platform.resources.get("SparkApplication") or {"spec": {}}
    told = (application.get("status") or {}).get("applicationState") or {}
    said = unseen("SparkApplication", platform.name("stream"), "the Spark operator", platform, now)
    if not said and (state := told.get("state") or "new") != "RUNNING":
        said = shorten(f"the Spark application is {state}: {told.get('errorMessage') or ''}".removesuffix(": "))
    labels = {"sparkoperator.k8s.io/app-name": platform.name("stream")}
    drivers = platform.pods_of(labels | {"spark-role": "driver"})
    # Executors come and go as Spark likes, but one that cannot come is wanting.
    executors = platform.pods_of(labels | {"spark-role": "executor"})
    wanting = pod_complaints([one for one in executors if one["status"]["phase"] == "Pending"], platform.around)
    return resource_component("stream", 1, drivers, [said, *wanting], platform)


def airflow_component(platform: Platform) -> Component:
    """Airflow's servers, and the jobs that they wait for."""
    servers = [
        workload_component(name, "Deployment", name, platform)
        for name in (f"{platform.airflow_name}-{part}" for part in ("api-server", "scheduler", "dag-processor"))
    ]
    waits_for = [why for job in platform.jobs_of({"tier": "airflow"}) for why in job_complaints(job, platform)]
    for one in servers:
        waits_for += one.waits_for
    return Component(
        "airflow",
        sum(one.ready for one in servers),
        sum(one.wanted for one in servers),
        sum(one.restarts for one in servers),
        waits_for,
    )


def provision_component(platform: Platform) -> Component:
    """The newest Job that made tables, topics and schemas; a Job that is done is deleted after a while."""
    jobs = platform.jobs_of({"app.kubernetes.io/component": "provision"})
    newest = max(jobs, key=lambda job: str(job["metadata"]["creationTimestamp"]), default=None)
    if newest is None:
        return Component("provision", 0, 0)
    waits_for = job_complaints(newest, platform)
    return Component("provision", int(not waits_for), 1, waits_for=waits_for)


def job_complaints(job: Object, platform: Platform) -> list[str]:
    """Why a Job is not done; empty where it is."""
    if condition(job, "Complete").get("status") == "True":
        return []
    name = job["metadata"]["name"]
    pods = platform.pods_of(job["spec"]["selector"]["matchLabels"])
    failed = condition(job, "Failed")
    said = [
        f"the Job {name} has failed: {failed.get('message')}" if failed.get("status") == "True" else "",
        refusal("Job", name, platform) if not pods else "",
        *pod_complaints(pods, platform.around),
    ]
    return [one for one in said if one] or [f"the Job {name} is not done yet"]
