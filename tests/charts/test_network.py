"""The connections that the rendered network policies allow, compared with the data flow."""

from collections.abc import Iterator
from typing import Any

import pytest
from confluent_kafka.admin import AclOperation, ResourceType

from combinations import BACKUPS, BUCKET, EXTERNAL_POSTGRES, FILES, NETWORK_OFF
from member_analyzer.local.kafka import ACLS
from names import secret_name
from reachability import BROKER, NAMESPACE_NAME, Network, Party, reached, selects
from rendering import OPERATORS, PLATFORM, Helm, Object, Values, has_dependencies
from workloads import workloads

CASSANDRA = {
    "app.kubernetes.io/managed-by": "cass-operator",
    "cassandra.datastax.com/cluster": PLATFORM,
    "cassandra.datastax.com/datacenter": "dc1",
}
# The components of Airflow, with the labels of their pods.
AIRFLOW = {
    "task": "worker",
    "scheduler": "scheduler",
    "api-server": "api-server",
    "dag-processor": "dag-processor",
    "migration": "run-airflow-migrations",
    "create-user": "create-user-job",
}
OURS = {
    "postgres": "StatefulSet/member-analyzer-postgres",
    "registry": "Deployment/member-analyzer-registry",
    "user-api": "Deployment/member-analyzer-user-api",
    "collector": "Deployment/member-analyzer-collector",
    "console": "Deployment/member-analyzer-console",
    "stream driver": "SparkApplication/member-analyzer-stream driver",
    "stream executor": "SparkApplication/member-analyzer-stream executor",
    "recount driver": "SparkApplication/member-analyzer-recount driver",
    "recount executor": "SparkApplication/member-analyzer-recount executor",
    "provision": "Job/member-analyzer-provision-1",
    "audit": "Pod/member-analyzer-test-audit",
    "login": "Pod/member-analyzer-test-airflow",
    "web": "Pod/member-analyzer-test-web",
}
OUTSIDERS = (
    Party("an unrelated pod", {"app": "other"}),
    Party("a pod of another namespace", {"tier": "airflow", "component": "worker"}, "other"),
    Party("the operators", {"app": "operator"}, OPERATORS),
    Party("DNS", {"k8s-app": "kube-dns"}, "kube-system"),
    Party("a machine outside", address="203.0.113.7"),
)
# Every port that a server listens on, and one that is unused.
PORTS = (4040, 5432, 7000, 7001, 7078, 7079, 8000, 8001, 8002, 8080, 8793, 9042, 9090, 9093, 9095, 50051, 12345)
# Destinations outside the platform, with the ports in use there and one that is unused.
ELSEWHERE = ("DNS", "a machine outside")
PORTS_ELSEWHERE = (53, 443, 6432, 6443, 8443, 12345)

TASK, STREAM, RECOUNT = {"task"}, {"stream driver", "stream executor"}, {"recount driver", "recount executor"}
OPERATIONS = {"audit", "login", "web"}
WEB = {"collector", "console"}
INGRESS = {
    # The task fetches from the user API; the console checks its health.
    ("user-api", 8000): TASK | {"console"},
    # Landing: tasks and collector accept and publish, provisioning creates tables, audit and console count. Airflow and
    # the registry use the same server.
    ("postgres", 5432): {*AIRFLOW, "registry", "provision"} | WEB | OPERATIONS,
    # Registry: writers and readers of Avro, and provisioning, which registers the schemas.
    ("registry", 8080): TASK | STREAM | WEB | {"provision"} | OPERATIONS,
    # Kafka: publishers, stream, audit and console. The tunnel connects inside the pod.
    ("kafka", 9093): TASK | STREAM | WEB | OPERATIONS,
    # Cassandra: stream and recount write; graphs, audit and pages read. Nodes connect to each other, and the operator
    # to their management API.
    ("cassandra", 9042): TASK | STREAM | RECOUNT | WEB | {"provision"} | OPERATIONS,
    ("cassandra", 7000): {"cassandra"},
    ("cassandra", 7001): {"cassandra"},
    ("cassandra", 8080): {"the operators"},
    # Spark: drivers and executors.
    ("stream driver", 7078): STREAM,
    ("stream driver", 7079): STREAM,
    ("stream executor", 7078): STREAM,
    ("stream executor", 7079): STREAM,
    ("recount driver", 7078): RECOUNT,
    ("recount driver", 7079): RECOUNT,
    ("recount executor", 7078): RECOUNT,
    ("recount executor", 7079): RECOUNT,
    # Spark: the progress, which the console shows.
    ("stream driver", 4040): {"console"},
    ("stream executor", 4040): {"console"},
    # Airflow: tasks report their state; the console and the release's tests log in.
    ("api-server", 8080): TASK | OPERATIONS | {"console"},
    # People connect through a port-forward or an Ingress.
    ("collector", 8001): {"console"} | OPERATIONS,
    ("console", 8002): OPERATIONS,
}
ELSEWHERE_IN_THE_CLUSTER = {"namespaceSelector": {"matchLabels": {NAMESPACE_NAME: "other"}}}
DNS = {(place, 53) for place in ELSEWHERE}
# Allowed egress of the pods whose egress is restricted: DNS, their servers, and the Kubernetes API, whose address the
# chart does not know.
CLIENTS_OF = {("postgres", 5432), ("kafka", 9093), ("registry", 8080), ("cassandra", 9042)}
EGRESS: dict[str, set[tuple[str, int]]] = {
    "postgres": set(),
    "user-api": set(),
    "registry": DNS | {("postgres", 5432)},
    "collector": DNS | CLIENTS_OF,
    "console": {
        *(DNS | CLIENTS_OF),
        *(("api-server", 8080), ("collector", 8001), ("user-api", 8000)),
        *(("stream driver", 4040), ("stream executor", 4040)),
        *((place, port) for place in ELSEWHERE for port in (443, 6443, 8443)),
    },
}


def parties(objects: list[Object]) -> list[Party]:
    pods = {workload.name: workload.labels for workload in workloads(objects)}
    ours = [Party(name, pods[pod]) for name, pod in OURS.items() if pod in pods]
    airflow = [
        Party(name, {"tier": "airflow", "component": component, "release": PLATFORM})
        for name, component in AIRFLOW.items()
    ]
    return [*ours, *airflow, Party("kafka", BROKER), Party("cassandra", CASSANDRA), *OUTSIDERS]


def platform(everyone: list[Party]) -> list[Party]:
    """The parties of the platform."""
    outsiders = {one.name for one in OUTSIDERS}
    return [party for party in everyone if party.name not in outsiders]


def allowed_ingress(network: Network, everyone: list[Party], targets: list[Party]) -> dict[tuple[str, int], set[str]]:
    """For each reachable port of the targets, the sources that can connect to it."""
    found = {(target.name, port): reached(network, everyone, target, port) for target in targets for port in PORTS}
    return {place: who for place, who in found.items() if who}


def allowed_egress(network: Network, everyone: list[Party], sources: list[Party]) -> dict[str, set[tuple[str, int]]]:
    """For each source with restricted egress, the destinations that it can connect to."""
    egress = network.egress_only()
    places = [(target, port) for target in platform(everyone) for port in PORTS]
    places += [(target, port) for target in everyone if target.name in ELSEWHERE for port in PORTS_ELSEWHERE]
    found = {
        source.name: {(target.name, port) for target, port in places if egress.reaches(source, target, port)}
        for source in sources
    }
    return {name: allowed for name, allowed in found.items() if len(allowed) < len(places)}


def changed(changes: dict[tuple[str, int], set[str]], without: tuple[str, ...] = ()) -> dict[tuple[str, int], set[str]]:
    """The expected ingress, with changes and without some components."""
    ingress = {place: who - set(without) for place, who in (INGRESS | changes).items() if place[0] not in without}
    return {place: who for place, who in ingress.items() if who}


@pytest.mark.parametrize(
    ("values", "ingress"),
    [
        ((), INGRESS),
        ((FILES / "values-kind.yaml",), INGRESS),
        ((FILES / "values-minikube.yaml",), INGRESS),
        ((BUCKET,), INGRESS),
        ((EXTERNAL_POSTGRES,), changed({}, without=("postgres",))),
        (({"userApi": {"url": "https://api.example"}},), changed({}, without=("user-api",))),
        ((BACKUPS,), changed({("cassandra", 50051): {"the operators"}})),
        (({"kafka": {"tunnel": {"enabled": False}}},), INGRESS),
        (
            ({"networkPolicies": {"operatorsNamespace": "other"}},),
            changed({("cassandra", 8080): {"a pod of another namespace"}}),
        ),
        (
            ({"networkPolicies": {"webFrom": [{"ipBlock": {"cidr": "203.0.113.0/24"}}]}},),
            changed(
                {
                    place: INGRESS[place] | {"a machine outside"}
                    for place in (
                        *(("api-server", 8080), ("stream driver", 4040), ("stream executor", 4040)),
                        *(("collector", 8001), ("console", 8002)),
                    )
                }
            ),
        ),
        (
            ({"networkPolicies": {"metricsFrom": [ELSEWHERE_IN_THE_CLUSTER]}},),
            changed({("collector", 8001): INGRESS["collector", 8001] | {"a pod of another namespace"}}),
        ),
        (({"collector": {"enabled": False}},), changed({}, without=("collector",))),
        (({"console": {"enabled": False}},), changed({}, without=("console",))),
        (
            (FILES / "values-production.yaml",),
            changed({("cassandra", 50051): {"the operators"}}, without=("postgres",)),
        ),
    ],
    ids=[
        "default", "kind", "minikube", "bucket", "external PostgreSQL", "a real user API", "backups", "no tunnel",
        "another operators namespace", "pages", "metrics", "no collector", "no console", "production",
    ],
)  # fmt: skip
def test_ingress_is_allowed_along_the_data_flow_only(
    helm: Helm, values: tuple[Values, ...], ingress: dict[tuple[str, int], set[str]]
) -> None:
    objects = helm.render(*values)
    everyone = parties(objects)
    assert allowed_ingress(Network.of(objects), everyone, platform(everyone)) == ingress


def test_without_network_policies_all_connections_are_allowed(helm: Helm) -> None:
    objects = helm.render(NETWORK_OFF)
    assert [one["metadata"]["name"] for one in objects if one["kind"] == "NetworkPolicy"] == []
    everyone = parties(objects)
    found = allowed_ingress(Network.of(objects), everyone, platform(everyone))
    assert found["postgres", 5432] == found["kafka", 9093] == {party.name for party in everyone}


def test_egress_of_servers_is_restricted(helm: Helm) -> None:
    everyone = parties(objects := helm.render())
    assert allowed_egress(Network.of(objects), everyone, platform(everyone)) == EGRESS


def test_egress_to_an_external_postgresql_is_allowed_everywhere(helm: Helm) -> None:
    everyone = parties(objects := helm.render(EXTERNAL_POSTGRES))
    expected = {
        name: allowed - {("postgres", 5432)} | {(place, 6432) for place in ELSEWHERE if allowed}
        for name, allowed in EGRESS.items()
        if name != "postgres"
    }
    assert allowed_egress(Network.of(objects), everyone, platform(everyone)) == expected


def test_egress_to_the_kubernetes_api_can_be_restricted_to_its_address(helm: Helm) -> None:
    everyone = parties(
        objects := helm.render({"networkPolicies": {"apiServer": {"ports": [6443], "addresses": ["203.0.113.7/32"]}}})
    )
    allowed = allowed_egress(Network.of(objects), everyone, platform(everyone))["console"]
    assert {place for place in allowed if place[0] in ELSEWHERE} == DNS | {("a machine outside", 6443)}


def test_any_changed_rule_changes_the_result(helm: Helm) -> None:
    """Mutates the policies: removes each rule, removes each peer, and replaces each peer by all pods."""
    # Without the tunnel's listener, whose rule allows nobody.
    everyone = parties(objects := helm.render({"kafka": {"tunnel": {"enabled": False}}}))
    network = Network.of(objects)
    undetected, count = [], 0
    for policy in network.policies:
        bound = [party for party in platform(everyone) if selects(policy["podSelector"], party.labels)]
        for direction, see in (("ingress", allowed_ingress), ("egress", allowed_egress)):
            seen = see(network, everyone, bound)
            for mutation, rules in mutations(policy.get(direction) or []):
                others = [one for one in network.policies if one is not policy]
                count += 1
                if see(Network([*others, policy | {direction: rules}]), everyone, bound) == seen:
                    undetected.append(f"{policy['podSelector']} {direction} {mutation}")
    assert count > 100
    assert undetected == []


def mutations(rules: list[dict[str, Any]]) -> Iterator[tuple[str, list[dict[str, Any]]]]:
    """Mutations of the rules, each with a description."""
    for place, rule in enumerate(rules):
        before, after = rules[:place], rules[place + 1 :]
        yield f"without {rule}", [*before, *after]
        for side in ("from", "to"):
            peers = rule.get(side) or []
            for index, peer in enumerate(peers):
                without = [*peers[:index], *peers[index + 1 :]]
                yield f"all instead of {peer}", [*before, rule | {side: [*without, {"podSelector": {}}]}, *after]
                if without:
                    yield f"without {peer}", [*before, rule | {side: without}, *after]


def test_the_labels_of_airflow_s_pods_are_those_in_the_policies(helm: Helm) -> None:
    if not has_dependencies(PLATFORM):
        pytest.skip("Airflow's chart is not downloaded")
    found = {pod.labels["component"] for pod in workloads(helm.render()) if pod.labels.get("tier") == "airflow"}
    assert found == set(AIRFLOW.values())


def test_the_tunnel_advertises_the_forwarded_port_of_each_broker(helm: Helm) -> None:
    objects = helm.render({"kafka": {"brokers": 3}})
    [kafka] = [one for one in objects if one["kind"] == "Kafka"]
    [tunnel] = [one for one in kafka["spec"]["kafka"]["listeners"] if one["name"] == "tunnel"]
    advertised = [
        (one["broker"], one["advertisedHost"], one["advertisedPort"]) for one in tunnel["configuration"]["brokers"]
    ]
    assert advertised == [(broker, "127.0.0.1", 29095 + broker) for broker in range(3)]
    assert tunnel["port"] == 9095


def test_every_listener_of_kafka_requires_tls_and_a_password(rendered: list[Object]) -> None:
    [kafka] = [one for one in rendered if one["kind"] == "Kafka"]
    for listener in kafka["spec"]["kafka"]["listeners"]:
        assert listener["tls"] is True
        assert listener["authentication"] == {"type": "scram-sha-512"}
    assert kafka["spec"]["kafka"]["authorization"]["type"] == "simple"


def test_the_acls_of_kafka_are_the_same_as_on_one_machine(helm: Helm) -> None:
    found = set()
    for user in (one for one in helm.render() if one["kind"] == "KafkaUser"):
        rules = user["spec"]["authorization"]["acls"]
        for rule in rules:
            resource = rule["resource"]
            name = resource.get("name", "") + ("*" if resource.get("patternType") == "prefix" else "")
            found |= {(user["metadata"]["name"], resource["type"], name, one) for one in rule["operations"]}
        assert all(rule.get("type", "allow") == "allow" and rule.get("host", "*") == "*" for rule in rules)
    assert found == {
        (secret_name(f"kafka-{user}"), *strimzi_resource(kind, name), OPERATIONS_OF_STRIMZI[one])
        for user, kind, name, one in ACLS
    }


OPERATIONS_OF_STRIMZI = {
    AclOperation.READ: "Read",
    AclOperation.WRITE: "Write",
    AclOperation.DESCRIBE: "Describe",
    AclOperation.IDEMPOTENT_WRITE: "IdempotentWrite",
}


def strimzi_resource(kind: ResourceType, name: str) -> tuple[str, str]:
    kinds = {ResourceType.TRANSACTIONAL_ID: "transactionalId"}
    return ("cluster", "") if kind == ResourceType.BROKER else (kinds.get(kind, kind.name.lower()), name)


def test_without_a_collector_it_has_no_kafka_user(helm: Helm) -> None:
    objects = helm.render({"collector": {"enabled": False}})
    assert secret_name("kafka-collector") not in {
        one["metadata"]["name"] for one in objects if one["kind"] == "KafkaUser"
    }


class TestReachability:
    """The computation follows the rules of Kubernetes."""

    def network(self, *policies: dict[str, Any]) -> Network:
        return Network(list(policies))

    def test_without_a_policy_all_connections_are_allowed(self) -> None:
        assert self.network().reaches(Party("a"), Party("b"), 80)

    def test_a_policy_without_rules_denies_its_direction_only(self) -> None:
        closed = self.network({"podSelector": {}, "policyTypes": ["Ingress"]})
        assert not closed.reaches(Party("a"), Party("b"), 80)
        assert closed.reaches(Party("a"), Party("outside", address="203.0.113.7"), 80)

    def test_policies_are_additive(self) -> None:
        allow = {"podSelector": {}, "policyTypes": ["Ingress"], "ingress": [{"ports": [{"port": 80}]}]}
        both = self.network({"podSelector": {}, "policyTypes": ["Ingress"]}, allow)
        assert both.reaches(Party("a"), Party("b"), 80)
        assert not both.reaches(Party("a"), Party("b"), 81)

    def test_a_pod_selector_alone_matches_its_own_namespace(self) -> None:
        rule = {"from": [{"podSelector": {"matchLabels": {"app": "a"}}}]}
        network = self.network({"podSelector": {}, "policyTypes": ["Ingress"], "ingress": [rule]})
        assert network.reaches(Party("a", {"app": "a"}), Party("b"), 80)
        assert not network.reaches(Party("a", {"app": "a"}, "elsewhere"), Party("b"), 80)

    def test_a_namespace_selector_and_a_pod_selector_must_both_match(self) -> None:
        peer = {"namespaceSelector": {}, "podSelector": {"matchLabels": {"app": "a"}}}
        network = self.network({"podSelector": {}, "policyTypes": ["Ingress"], "ingress": [{"from": [peer]}]})
        assert network.reaches(Party("a", {"app": "a"}, "elsewhere"), Party("b"), 80)
        assert not network.reaches(Party("a", {"app": "c"}, "elsewhere"), Party("b"), 80)

    def test_egress_is_checked_too(self) -> None:
        network = self.network({"podSelector": {"matchLabels": {"app": "a"}}, "policyTypes": ["Egress"]})
        assert not network.reaches(Party("a", {"app": "a"}), Party("b"), 80)
        assert network.reaches(Party("b"), Party("a", {"app": "a"}), 80)
