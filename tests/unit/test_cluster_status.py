"""The command `status` for a platform on a cluster, from objects of the API."""

from datetime import UTC, datetime
from typing import Any

import pytest

from member_analyzer.cluster.components import Component, Platform, list_components
from member_analyzer.cluster.pods import PodContext, event_time, pod_problem

NOW = datetime(2026, 3, 1, 12, 0, tzinfo=UTC)
LONG_AGO = "2026-03-01T11:00:00Z"
JUST_NOW = "2026-03-01T11:59:50Z"

Json = dict[str, Any]


def pod(name: str = "registry-5d4-x", ready: bool = False, labels: Json | None = None, **status: Any) -> Json:
    phase = "Running" if ready else "Pending"
    conditions = [{"type": "Ready", "status": str(ready)}]
    return {
        "metadata": {"name": name, "namespace": "members", "labels": labels or {"app": name.partition("-")[0]}},
        "spec": {
            "containers": [
                {"name": "main", "resources": {"requests": {"memory": "1536Mi"}, "limits": {"memory": "2Gi"}}}
            ],
            "volumes": [{"name": "data", "persistentVolumeClaim": {"claimName": "data-0"}}],
        },
        "status": {"phase": phase, "conditions": conditions} | status,
    }


def unscheduled(message: str) -> Json:
    conditions = [{"type": "PodScheduled", "status": "False", "reason": "Unschedulable", "message": message}]
    return pod(conditions=conditions)


def container(**state: Any) -> Json:
    given = {"name": "main", "image": "member-analyzer/web:0.1.0", "ready": False, "restartCount": 0}
    return pod(containerStatuses=[given | state])


def waiting(reason: str, message: str = "") -> Json:
    return {"waiting": {"reason": reason, "message": message}}


def ended(code: int, reason: str = "Error") -> Json:
    return {"terminated": {"exitCode": code, "reason": reason}}


def event(kind: str, name: str, reason: str, message: str, at: str = LONG_AGO, type: str = "Warning") -> Json:
    about = {"kind": kind, "name": name}
    return {
        "metadata": {"creationTimestamp": LONG_AGO},
        "involvedObject": about,
        "reason": reason,
        "message": message,
        "type": type,
        "lastTimestamp": at,
    }


def claim(phase: str = "Pending", storage: str | None = "fast") -> Json:
    return {"metadata": {"name": "data-0"}, "spec": {"storageClassName": storage}, "status": {"phase": phase}}


def why(one: Json, *events: Json, claims: list[Json] | None = None) -> str:
    return pod_problem(one, PodContext(list(events), claims or [claim("Bound")]))


# A pod


@pytest.mark.parametrize("one", [pod(ready=True), pod(phase="Succeeded")])
def test_a_ready_or_succeeded_pod_has_no_problem(one: Json) -> None:
    assert why(one) == ""


def test_an_image_that_cannot_be_pulled_with_its_event() -> None:
    one = container(state=waiting("ImagePullBackOff", "Back-off pulling image"))
    cause = (
        'Failed to pull image "web": failed to pull and unpack image "docker.io/web": failed to do request:'
        " dial tcp: lookup docker.io: no such host"
    )
    failed = event("Pod", "registry-5d4-x", "Failed", cause)
    assert why(one, failed, event("Pod", "registry-5d4-x", "Failed", "Error: ImagePullBackOff")) == (
        "the image member-analyzer/web:0.1.0 cannot be pulled: dial tcp: lookup docker.io: no such host"
    )


def test_an_image_that_cannot_be_pulled_without_its_event() -> None:
    one = container(state=waiting("ErrImageNeverPull", "Container image is not present with pull policy of Never"))
    assert "member-analyzer/web:0.1.0 cannot be pulled: Container image is not present" in why(one)


def test_insufficient_memory_is_reported_with_the_requests() -> None:
    one = unscheduled(
        "0/1 nodes are available: 1 Insufficient memory. preemption: 0/1 nodes are available: 1 No preemption victims."
    )
    assert why(one) == (
        "no node has 1.5 GiB of memory free: add capacity or lower its requests"
        " (0/1 nodes are available: 1 Insufficient memory)"
    )


def test_a_taint_is_reported_with_the_message_of_the_scheduler() -> None:
    one = unscheduled("0/1 nodes are available: 1 node(s) had untolerated taint {gpu: true}.")
    assert why(one) == "cannot be scheduled: 0/1 nodes are available: 1 node(s) had untolerated taint {gpu: true}"


UNBOUND = "0/1 nodes are available: pod has unbound immediate PersistentVolumeClaims. preemption: 0/1 nodes"


def test_an_unbound_claim_is_reported_with_its_storage_class_and_the_cause() -> None:
    cause = event(
        "PersistentVolumeClaim", "data-0", "ProvisioningFailed", 'storageclass.storage.k8s.io "fast" not found'
    )
    assert why(unscheduled(UNBOUND), cause, claims=[claim()]) == (
        "the PersistentVolumeClaim data-0 of the storage class fast is not bound:"
        ' storageclass.storage.k8s.io "fast" not found'
    )


def test_a_claim_without_a_storage_class() -> None:
    assert "the cluster has no default" in why(unscheduled(UNBOUND), claims=[claim(storage=None)])


def test_a_claim_that_waits_for_its_pod_does_not_hide_insufficient_memory() -> None:
    assert "1.5 GiB of memory" in why(unscheduled("0/1 nodes are available: 1 Insufficient memory."), claims=[claim()])


def test_a_missing_claim() -> None:
    one = unscheduled('0/1 nodes are available: persistentvolumeclaim "data-0" not found.')
    assert pod_problem(one, PodContext()) == "there is no PersistentVolumeClaim data-0"


def test_a_missing_secret() -> None:
    one = container(state=waiting("CreateContainerConfigError", 'secret "landing" not found'))
    assert why(one) == 'its container main cannot be created: secret "landing" not found'


def test_a_missing_secret_of_a_volume() -> None:
    mount = 'MountVolume.SetUp failed for volume "kafka-ca" : secret "members-cluster-ca-cert" not found'
    one = container(state=waiting("ContainerCreating"))
    assert why(one, event("Pod", "registry-5d4-x", "FailedMount", mount)) == f"cannot start: {mount}"


def test_an_oom_killed_container_is_reported_with_its_limit() -> None:
    one = container(state=waiting("CrashLoopBackOff"), lastState=ended(137, "OOMKilled"), restartCount=4)
    assert why(one) == ("its container main was OOM-killed at its limit of 2Gi, after 4 restarts: raise the limit")


def test_a_kill_without_a_reason_may_be_for_memory() -> None:
    one = container(state=waiting("CrashLoopBackOff"), lastState=ended(137), restartCount=1)
    assert "exited with code 137 (killed, perhaps out of memory at its limit of 2Gi)" in why(one)


def test_a_crash_loop_is_reported_with_the_last_exit_code_and_the_log() -> None:
    one = container(state=waiting("CrashLoopBackOff"), lastState=ended(3), restartCount=2)
    assert why(one) == (
        "its container main exited with code 3 (Error), after 2 restarts;"
        " see `kubectl logs -n members registry-5d4-x -c main --previous`"
    )


def test_a_container_that_is_not_ready_is_reported_with_its_probe() -> None:
    one = container(state={"running": {}})
    probe = event(
        "Pod", "registry-5d4-x", "Unhealthy", "Readiness probe failed: HTTP probe failed with statuscode: 503"
    )
    assert why(one, probe).endswith("Readiness probe failed: HTTP probe failed with statuscode: 503")


def test_a_pod_waits_for_its_init_container() -> None:
    one = pod(
        initContainerStatuses=[{"name": "wait-for-airflow-migrations", "state": {"running": {}}}],
        containerStatuses=[{"name": "main", "image": "a", "state": waiting("PodInitializing")}],
    )
    assert why(one) == "waits for its init container wait-for-airflow-migrations"


def test_an_evicted_pod() -> None:
    assert why(pod(phase="Failed", reason="Evicted", message="The node was low on resource: memory.")) == (
        "has failed: The node was low on resource: memory"
    )


def test_the_newer_of_two_events_is_reported() -> None:
    one = container(state={"running": {}})
    older = event("Pod", "registry-5d4-x", "Unhealthy", "refused")
    newer = event("Pod", "registry-5d4-x", "Unhealthy", "timed out", at="2026-03-01T11:30:00Z")
    assert "timed out" in why(one, *sorted([newer, older], key=event_time))


# A component


def workload(name: str, replicas: int = 1, ready: int = 0, updated: int | None = None) -> Json:
    return {
        "metadata": {"name": name},
        "spec": {"replicas": replicas, "selector": {"matchLabels": {"app": name}}},
        "status": {"readyReplicas": ready, "updatedReplicas": replicas if updated is None else updated},
    }


def resource(status: Json | None = None, made: str = LONG_AGO, **spec: Any) -> Json:
    return {"metadata": {"creationTimestamp": made}, "spec": spec, "status": status or {}}


def installed(**platform: Any) -> Platform:
    names = {"release": "members", "airflow_name": "members-airflow", "postgres_host": "members-postgres"}
    return Platform(**(names | platform))


def find(name: str, **platform: Any) -> Component:
    return next(one for one in list_components(installed(**platform), NOW) if one.name == name)


def test_a_component_with_all_its_pods_is_ready() -> None:
    one = find("registry", workloads={("Deployment", "members-registry"): workload("registry", ready=1)})
    assert (one.is_ready, one.ready, one.desired) == (True, 1, 1)


def test_a_missing_component_is_not_ready() -> None:
    assert find("registry").problems == ["there is no Deployment members-registry: see `helm status`"]


def test_pods_with_the_same_problem_are_grouped() -> None:
    pods = [container(state=waiting("CreateContainerConfigError", 'secret "landing" not found')) for _ in "ab"]
    pods[1]["metadata"]["name"] = "registry-5d4-y"
    one = find("registry", pods=pods, workloads={("Deployment", "members-registry"): workload("registry", replicas=2)})
    assert one.problems == [
        'registry-5d4-x, registry-5d4-y: its container main cannot be created: secret "landing" not found'
    ]


def test_a_failing_rollout_is_reported_while_the_old_version_is_ready() -> None:
    new = container(state=waiting("ErrImagePull", "not found"))
    pods = [pod("registry-7c9-old", ready=True), new]
    one = find(
        "registry", pods=pods, workloads={("Deployment", "members-registry"): workload("registry", ready=1, updated=0)}
    )
    assert not one.is_ready
    assert "cannot be pulled" in one.problems[0]


QUOTA = 'pods "postgres-0" is forbidden: exceeded quota: small, requested: requests.memory=256Mi, limited: ...=1Gi'
SECURITY = 'pods "registry-5d4-x" is forbidden: violates PodSecurity "restricted:latest": runAsNonRoot != true'


def test_an_exceeded_quota() -> None:
    failed = event("StatefulSet", "members-postgres", "FailedCreate", f"create Pod postgres-0 failed error: {QUOTA}")
    one = find(
        "postgres",
        workloads={("StatefulSet", "members-postgres"): workload("postgres")},
        context=PodContext([failed], []),
    )
    assert one.problems[0].startswith(
        "a quota of the namespace prevents the pods of members-postgres: exceeded quota: small"
    )


def test_a_pod_security_violation() -> None:
    failed = event("ReplicaSet", "members-registry-5d4", "FailedCreate", f"Error creating: {SECURITY}")
    one = find(
        "registry",
        workloads={("Deployment", "members-registry"): workload("registry")},
        context=PodContext([failed], []),
    )
    assert one.problems == [
        "the namespace's Pod Security rejects the pods of members-registry:"
        ' violates PodSecurity "restricted:latest": runAsNonRoot != true'
    ]


def test_the_newer_of_two_creation_failures_is_reported() -> None:
    older = event("ReplicaSet", "members-registry-5d4", "FailedCreate", f"Error creating: {SECURITY}")
    newer = event("ReplicaSet", "members-registry-7c9", "FailedCreate", 'pods "a" is forbidden: failed quota: small')
    one = find(
        "registry",
        workloads={("Deployment", "members-registry"): workload("registry")},
        context=PodContext([older, newer]),
    )
    assert one.problems == ["the pods of members-registry cannot be created: failed quota: small"]


def test_a_resolved_creation_failure_is_not_reported() -> None:
    failed = event("ReplicaSet", "members-registry-5d4", "FailedCreate", f"Error creating: {SECURITY}")
    one = find(
        "registry",
        pods=[pod(ready=True)],
        workloads={("Deployment", "members-registry"): workload("registry", ready=1)},
        context=PodContext([failed], []),
    )
    assert one.is_ready


@pytest.mark.parametrize("name", ["user-api", "collector", "console"])
def test_a_web_program_is_a_component_if_installed(name: str) -> None:
    without = [one.name for one in list_components(installed(), NOW)]
    assert name not in without
    pods = [
        container(state=waiting("CreateContainerConfigError", 'secret "kafka-publisher" not found'))
        | {"metadata": {"name": f"{name}-7c9-x", "namespace": "members", "labels": {"app": name}}}
    ]
    one = find(name, pods=pods, workloads={("Deployment", f"members-{name}"): workload(name)})
    assert one.problems == [f'{name}-7c9-x: its container main cannot be created: secret "kafka-publisher" not found']


def test_an_external_postgres_is_not_a_component() -> None:
    names = [one.name for one in list_components(installed(postgres_host="db.example"), NOW)]
    assert "postgres" not in names


KAFKA = {"kafka": {"replicas": 1}, "zookeeper": {"replicas": 1}, "entityOperator": {"topicOperator": {}}}


def kafka_pod(part: str, ready: bool = True) -> Json:
    return pod(f"members-{part}-0", ready=ready, labels={"strimzi.io/name": f"members-{part}"})


def condition(kind: str, status: str = "True", **more: str) -> Json:
    return {"conditions": [{"type": kind, "status": status} | more]}


def test_kafka_and_zookeeper_are_ready_if_strimzi_and_their_pods_are() -> None:
    pods = [kafka_pod("kafka"), kafka_pod("zookeeper"), kafka_pod("entity-operator")]
    resources = {"Kafka": resource(condition("Ready"), **KAFKA)}
    found = [find(name, pods=pods, resources=resources) for name in ("kafka", "zookeeper")]
    assert [(one.is_ready, one.ready, one.desired) for one in found] == [(True, 2, 2), (True, 1, 1)]


def test_an_error_of_strimzi() -> None:
    said = condition("NotReady", reason="InvalidResourceException", message="Kafka 9.9 is not supported.")
    one = find("kafka", resources={"Kafka": resource(said, **KAFKA)})
    assert one.problems == ["Strimzi reports: Kafka 9.9 is not supported"]


@pytest.mark.parametrize("said", [condition("Ready", "False", message="so"), condition("NotReady", message="so")])
def test_a_topic_or_user_that_strimzi_cannot_create(said: Json) -> None:
    made = {"kind": "KafkaUser", "metadata": {"name": "kafka-reader"}, "status": condition("Ready")}
    failed = {"kind": "KafkaTopic", "metadata": {"name": "users"}, "status": said}
    one = find("kafka", resources={"Kafka": resource(condition("Ready"), **KAFKA)}, kafka_resources=[made, failed])
    assert one.problems == ["KafkaTopic users: Strimzi reports: so"]


@pytest.mark.parametrize(
    ("kind", "name"),
    [("Kafka", "kafka"), ("Kafka", "zookeeper"), ("K8ssandraCluster", "cassandra"), ("SparkApplication", "stream")],
)
def test_an_object_that_no_operator_reconciles(kind: str, name: str) -> None:
    one = find(name, resources={kind: resource()})
    assert "is it installed, and does it watch this namespace?" in one.problems[0]


def test_an_operator_has_a_grace_period() -> None:
    one = find("stream", resources={"SparkApplication": resource(made=JUST_NOW)})
    assert one.problems == ["the Spark operator has not reconciled the SparkApplication members-stream yet"]


def test_a_kind_without_a_crd_names_the_chart_that_installs_it() -> None:
    one = find("cassandra", unknown_kinds=frozenset({"K8ssandraCluster"}))
    assert "helm install operators charts/operators" in one.problems[0]


CASSANDRA = resource({"error": "None"}, cassandra={"datacenters": [{"size": 1}]})
NODE = {"cassandra.datastax.com/cluster": "members"}


def test_cassandra_is_ready_if_its_datacenter_is() -> None:
    resources = {"K8ssandraCluster": CASSANDRA, "CassandraDatacenter": resource(condition("Ready"))}
    assert find("cassandra", pods=[pod("members-dc1-r1-sts-0", True, NODE)], resources=resources).is_ready


@pytest.mark.parametrize("is_ready", [True, False])
def test_a_failed_start_of_a_cassandra_node_is_reported_until_it_is_ready(is_ready: bool) -> None:
    datacenter = resource({"failedStarts": ["members-dc1-r1-sts-0"]} | condition("Ready"))
    resources = {"K8ssandraCluster": CASSANDRA, "CassandraDatacenter": datacenter}
    one = find("cassandra", pods=[pod("members-dc1-r1-sts-0", is_ready, NODE)], resources=resources)
    failed = [
        problem for problem in one.problems if problem.startswith("Cassandra failed to start in members-dc1-r1-sts-0")
    ]
    assert (one.is_ready, bool(failed)) == (is_ready, not is_ready)


def test_the_progress_of_cassandra_is_reported() -> None:
    datacenter = resource({"cassandraOperatorProgress": "Updating"} | condition("Ready", "False"))
    one = find(
        "cassandra",
        pods=[
            container(state=waiting("CrashLoopBackOff"), lastState=ended(1))
            | {"metadata": {"name": "c", "labels": NODE}}
        ],
        resources={"K8ssandraCluster": CASSANDRA, "CassandraDatacenter": datacenter},
    )
    assert "exited with code 1" in one.problems[0]
    assert one.problems[1] == "cass-operator is in progress, and reports: Updating"


def test_an_error_of_k8ssandra() -> None:
    one = find("cassandra", resources={"K8ssandraCluster": resource({"error": "no such rack"})})
    assert "k8ssandra-operator reports: no such rack" in one.problems


DRIVER = {"sparkoperator.k8s.io/app-name": "members-stream", "spark-role": "driver"}


def test_the_stream_is_ready_if_its_application_is_running() -> None:
    application = resource({"applicationState": {"state": "RUNNING"}})
    one = find("stream", pods=[pod("members-stream-driver", True, DRIVER)], resources={"SparkApplication": application})
    assert one.is_ready


def test_a_failed_submission() -> None:
    state = {"state": "SUBMISSION_FAILED", "errorMessage": 'failed to submit: serviceaccount "m-spark"\nnot found'}
    one = find("stream", resources={"SparkApplication": resource({"applicationState": state})})
    assert one.problems == [
        'the Spark application is SUBMISSION_FAILED: failed to submit: serviceaccount "m-spark" not found'
    ]


def test_an_executor_that_cannot_be_scheduled() -> None:
    executor = unscheduled("0/1 nodes are available: 1 Insufficient cpu.")
    executor["metadata"]["labels"] = DRIVER | {"spark-role": "executor"}
    application = resource({"applicationState": {"state": "RUNNING"}})
    pods = [pod("members-stream-driver", True, DRIVER), executor]
    one = find("stream", pods=pods, resources={"SparkApplication": application})
    assert len(one.problems) == 1
    assert "Insufficient cpu" in one.problems[0]


def job(name: str, labels: Json, done: str = "", made: str = LONG_AGO) -> Json:
    return {
        "metadata": {"name": name, "labels": labels, "creationTimestamp": made},
        "spec": {"selector": {"matchLabels": {"job-name": name}}},
        "status": condition(done, message="Job has reached the specified backoff limit") if done else {},
    }


def test_a_failed_job_of_airflow() -> None:
    servers = [f"members-airflow-{server}" for server in ("api-server", "scheduler", "dag-processor")]
    workloads = {("Deployment", name): workload(name, ready=1) for name in servers}
    migrations = {
        ("Job", "airflow-run-airflow-migrations"): job("airflow-run-airflow-migrations", {"tier": "airflow"}, "Failed")
    }
    assert find("airflow", workloads=workloads).is_ready
    assert find("airflow", workloads=workloads | migrations).problems == [
        "the Job airflow-run-airflow-migrations has failed: Job has reached the specified backoff limit"
    ]


def test_only_the_newest_provisioning_job_counts() -> None:
    labels = {"app.kubernetes.io/component": "provision"}
    jobs = [job("provision-1", labels, "Failed"), job("provision-2", labels, "Complete", JUST_NOW)]
    assert find("provision", workloads={("Job", one["metadata"]["name"]): one for one in jobs}).is_ready


def test_a_deleted_provisioning_job_is_ready() -> None:
    assert find("provision").is_ready
