"""Who may talk to whom, computed from the rendered policies and compared with the arrows of the design."""

from typing import Any

import pytest

from combinations import BACKUPS, BUCKET, EXTERNAL_POSTGRES, FILES, NETWORK_OFF
from reachability import BROKER, Network, Party, reached
from rendering import OPERATORS, PLATFORM, Helm, Object, Values, has_dependencies
from workloads import workloads

CASSANDRA = {
    "app.kubernetes.io/managed-by": "cass-operator",
    "cassandra.datastax.com/cluster": "members",
    "cassandra.datastax.com/datacenter": "dc1",
}
# The components of Airflow, with the labels that its chart gives to their pods.
AIRFLOW = {
    "task": "worker",
    "scheduler": "scheduler",
    "api-server": "api-server",
    "dag-processor": "dag-processor",
    "migration": "run-airflow-migrations",
    "create-user": "create-user-job",
}
OURS = {
    "postgres": "StatefulSet/postgres",
    "registry": "Deployment/registry",
    "user-api": "Deployment/user-api",
    "stream driver": "SparkApplication/members-stream driver",
    "stream executor": "SparkApplication/members-stream executor",
    "recount driver": "SparkApplication/recount-members driver",
    "recount executor": "SparkApplication/recount-members executor",
    "provision": "Job/provision-1",
    "audit": "Pod/test-audit",
    "login": "Pod/test-airflow",
}
STRANGERS = (
    Party("a pod beside them", {"app": "other"}),
    Party("a pod of another namespace", {"tier": "airflow", "component": "worker"}, "other"),
    Party("the operators", {"app": "operator"}, OPERATORS),
    Party("a machine outside", address="203.0.113.7"),
)
# Every port that a server listens on, and one that nobody does.
PORTS = (4040, 5432, 7000, 7001, 7078, 7079, 8000, 8080, 8793, 9042, 9090, 9093, 9095, 50051, 12345)

TASK, STREAM, RECOUNT = {"task"}, {"stream driver", "stream executor"}, {"recount driver", "recount executor"}
OPERATIONS = {"audit", "login"}
ARROWS = {
    # The user API is pulled by the task.
    ("user-api", 8000): TASK,
    # Landing: the tasks accept and publish, the provisioning makes the tables, the audit counts. Airflow's metadata and
    # the registry's storage are in the same server.
    ("postgres", 5432): {*AIRFLOW, "registry", "provision"} | OPERATIONS,
    # Schemas: who writes and who reads Avro, and who registers.
    ("registry", 8080): TASK | STREAM | {"provision"} | OPERATIONS,
    # Kafka: the publisher, the stream and the audit. The tunnel begins inside the pod.
    ("kafka", 9093): TASK | STREAM | OPERATIONS,
    # Cassandra: the stream and the recount write, graphs and audit read; its nodes talk to each other, and the operator
    # to their management.
    ("cassandra", 9042): TASK | STREAM | RECOUNT | {"provision"} | OPERATIONS,
    ("cassandra", 7000): {"cassandra"},
    ("cassandra", 7001): {"cassandra"},
    ("cassandra", 8080): {"the operators"},
    # Spark's drivers and executors among themselves.
    ("stream driver", 7078): STREAM,
    ("stream driver", 7079): STREAM,
    ("stream executor", 7078): STREAM,
    ("stream executor", 7079): STREAM,
    ("recount driver", 7078): RECOUNT,
    ("recount driver", 7079): RECOUNT,
    ("recount executor", 7078): RECOUNT,
    ("recount executor", 7079): RECOUNT,
    # The tasks tell the API server how they do; the test of the release logs in.
    ("api-server", 8080): TASK | OPERATIONS,
}


def parties(objects: list[Object]) -> list[Party]:
    pods = {workload.name: workload.labels for workload in workloads(objects)}
    ours = [Party(name, pods[pod]) for name, pod in OURS.items() if pod in pods]
    airflow = [
        Party(name, {"tier": "airflow", "component": component, "release": PLATFORM})
        for name, component in AIRFLOW.items()
    ]
    return [*ours, *airflow, Party("kafka", BROKER), Party("cassandra", CASSANDRA), *STRANGERS]


def relation(objects: list[Object]) -> dict[tuple[str, int], set[str]]:
    """For each port of each pod of the platform the others who reach it, where there are any."""
    network, everybody = Network.of(objects), parties(objects)
    own = [
        party
        for party in everybody
        if party.namespace == PLATFORM and not party.address and party.name != STRANGERS[0].name
    ]
    found = {(target.name, port): reached(network, everybody, target, port) for target in own for port in PORTS}
    return {place: who for place, who in found.items() if who}


def changed(changes: dict[tuple[str, int], set[str]], without: tuple[str, ...] = ()) -> dict[tuple[str, int], set[str]]:
    """The arrows, some of them changed, and without some components."""
    arrows = {place: who - set(without) for place, who in (ARROWS | changes).items() if place[0] not in without}
    return {place: who for place, who in arrows.items() if who}


@pytest.mark.parametrize(
    ("values", "arrows"),
    [
        ((), ARROWS),
        ((FILES / "values-kind.yaml",), ARROWS),
        ((FILES / "values-minikube.yaml",), ARROWS),
        ((BUCKET,), ARROWS),
        ((EXTERNAL_POSTGRES,), changed({}, without=("postgres",))),
        (({"userApi": {"url": "https://api.example"}},), changed({}, without=("user-api",))),
        ((BACKUPS,), changed({("cassandra", 50051): {"the operators"}})),
        (({"kafka": {"tunnel": {"enabled": False}}},), ARROWS),
        (
            ({"networkPolicies": {"operatorsNamespace": "other"}},),
            changed({("cassandra", 8080): {"a pod of another namespace"}}),
        ),
        (
            ({"networkPolicies": {"webFrom": [{"ipBlock": {"cidr": "203.0.113.0/24"}}]}},),
            changed(
                {
                    ("api-server", 8080): TASK | OPERATIONS | {"a machine outside"},
                    ("stream driver", 4040): {"a machine outside"},
                    ("stream executor", 4040): {"a machine outside"},
                }
            ),
        ),
        (
            (FILES / "values-production.yaml",),
            changed({("cassandra", 50051): {"the operators"}}, without=("postgres",)),
        ),
    ],
    ids=[
        "default", "kind", "minikube", "bucket", "external PostgreSQL", "a real user API", "backups", "no tunnel",
        "operators elsewhere", "pages", "production",
    ],
)  # fmt: skip
def test_nobody_reaches_anybody_but_along_the_arrows_of_the_design(
    helm: Helm, values: tuple[Values, ...], arrows: dict[tuple[str, int], set[str]]
) -> None:
    assert relation(helm.render(*values)) == arrows


def test_without_network_policies_nothing_is_held_back(helm: Helm) -> None:
    objects = helm.render(NETWORK_OFF)
    assert [one["metadata"]["name"] for one in objects if one["kind"] == "NetworkPolicy"] == []
    everybody = {party.name for party in parties(objects)}
    assert relation(objects)["postgres", 5432] == everybody
    assert relation(objects)["kafka", 9093] == everybody


@pytest.mark.parametrize("values", [(), (EXTERNAL_POSTGRES,)], ids=["own", "external"])
def test_the_registry_goes_nowhere_but_to_its_storage_and_a_postgresql_nowhere_at_all(
    helm: Helm, values: tuple[Values, ...]
) -> None:
    objects = helm.render(*values)
    network, everybody = Network.of(objects), parties(objects)
    registry = next(party for party in everybody if party.name == "registry")
    outside = next(party for party in everybody if party.name == "a machine outside")
    assert not network.reaches(registry, outside, 443)
    assert network.reaches(registry, outside, 6432) == bool(values)
    for closed in (party for party in everybody if party.name in ("postgres", "user-api")):
        assert not network.reaches(closed, outside, 443)


def test_airflows_pods_have_the_labels_that_the_policies_go_by(helm: Helm) -> None:
    if not has_dependencies(PLATFORM):
        pytest.skip("helm dependency update has not brought Airflow's chart")
    found = {pod.labels["component"] for pod in workloads(helm.render()) if pod.labels.get("tier") == "airflow"}
    assert found == set(AIRFLOW.values())


def test_the_tunnel_tells_each_client_the_port_that_it_is_forwarded_to(helm: Helm) -> None:
    objects = helm.render({"kafka": {"brokers": 3}})
    [kafka] = [one for one in objects if one["kind"] == "Kafka"]
    [tunnel] = [one for one in kafka["spec"]["kafka"]["listeners"] if one["name"] == "tunnel"]
    told = [(one["broker"], one["advertisedHost"], one["advertisedPort"]) for one in tunnel["configuration"]["brokers"]]
    assert told == [(broker, "127.0.0.1", 29095 + broker) for broker in range(3)]
    assert tunnel["port"] == 9095


def test_every_listener_of_kafka_asks_for_tls_and_a_password(rendered: list[Object]) -> None:
    [kafka] = [one for one in rendered if one["kind"] == "Kafka"]
    for listener in kafka["spec"]["kafka"]["listeners"]:
        assert listener["tls"] is True
        assert listener["authentication"] == {"type": "scram-sha-512"}
    assert kafka["spec"]["kafka"]["authorization"]["type"] == "simple"


# What each program may do on Kafka, and nothing else.
RIGHTS: dict[str, set[tuple[str, str, str]]] = {
    "kafka-publisher": {("topic", "users", "Write"), ("cluster", "", "IdempotentWrite")},
    "kafka-stream": {
        ("topic", "users", "Read"),
        ("topic", "users_rejected", "Write"),
        ("cluster", "", "IdempotentWrite"),
        ("group", "spark-kafka-", "Read"),
    },
    "kafka-reader": {("topic", "users", "Read"), ("topic", "users_rejected", "Read"), ("group", "*", "Read")},
    "kafka-operator": {
        ("topic", "users", "Read"),
        ("topic", "users", "Write"),
        ("topic", "users_rejected", "Read"),
        ("cluster", "", "IdempotentWrite"),
        ("group", "*", "Read"),
    },
}


def test_each_program_has_just_its_rights_on_kafka(helm: Helm) -> None:
    found: dict[str, Any] = {}
    for user in (one for one in helm.render() if one["kind"] == "KafkaUser"):
        rules = user["spec"]["authorization"]["acls"]
        found[user["metadata"]["name"]] = {
            (rule["resource"]["type"], rule["resource"].get("name", ""), operation)
            for rule in rules
            for operation in rule["operations"]
        }
        assert all(rule.get("type", "allow") == "allow" and rule.get("host", "*") == "*" for rule in rules)
    assert found == RIGHTS


class TestTheJudge:
    """The computation has to follow Kubernetes' own rules, or the tables above say nothing."""

    def network(self, *policies: dict[str, Any]) -> Network:
        return Network(list(policies))

    def test_a_pod_without_a_policy_is_open(self) -> None:
        assert self.network().reaches(Party("a"), Party("b"), 80)

    def test_a_policy_without_rules_closes_its_direction_only(self) -> None:
        closed = self.network({"podSelector": {}, "policyTypes": ["Ingress"]})
        assert not closed.reaches(Party("a"), Party("b"), 80)
        assert closed.reaches(Party("a"), Party("outside", address="203.0.113.7"), 80)

    def test_two_policies_add_up(self) -> None:
        allow = {"podSelector": {}, "policyTypes": ["Ingress"], "ingress": [{"ports": [{"port": 80}]}]}
        both = self.network({"podSelector": {}, "policyTypes": ["Ingress"]}, allow)
        assert both.reaches(Party("a"), Party("b"), 80)
        assert not both.reaches(Party("a"), Party("b"), 81)

    def test_a_pod_selector_alone_means_the_same_namespace(self) -> None:
        rule = {"from": [{"podSelector": {"matchLabels": {"app": "a"}}}]}
        network = self.network({"podSelector": {}, "policyTypes": ["Ingress"], "ingress": [rule]})
        assert network.reaches(Party("a", {"app": "a"}), Party("b"), 80)
        assert not network.reaches(Party("a", {"app": "a"}, "elsewhere"), Party("b"), 80)

    def test_a_namespace_selector_and_a_pod_selector_have_to_hold_both(self) -> None:
        peer = {"namespaceSelector": {}, "podSelector": {"matchLabels": {"app": "a"}}}
        network = self.network({"podSelector": {}, "policyTypes": ["Ingress"], "ingress": [{"from": [peer]}]})
        assert network.reaches(Party("a", {"app": "a"}, "elsewhere"), Party("b"), 80)
        assert not network.reaches(Party("a", {"app": "c"}, "elsewhere"), Party("b"), 80)

    def test_what_leaves_counts_as_well(self) -> None:
        network = self.network({"podSelector": {"matchLabels": {"app": "a"}}, "policyTypes": ["Egress"]})
        assert not network.reaches(Party("a", {"app": "a"}), Party("b"), 80)
        assert network.reaches(Party("b"), Party("a", {"app": "a"}), 80)
