"""Who may talk to whom, computed from the rendered policies and compared with the arrows of the design."""

from collections.abc import Iterator
from typing import Any

import pytest
from confluent_kafka.admin import AclOperation, ResourceType

from combinations import BACKUPS, BUCKET, EXTERNAL_POSTGRES, FILES, NETWORK_OFF
from member_analyzer.local.kafka import RIGHTS
from names import secret_name
from reachability import BROKER, NAMESPACE_NAME, Network, Party, reached, selects
from rendering import OPERATORS, PLATFORM, Helm, Object, Values, has_dependencies
from workloads import workloads

CASSANDRA = {
    "app.kubernetes.io/managed-by": "cass-operator",
    "cassandra.datastax.com/cluster": PLATFORM,
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
STRANGERS = (
    Party("a pod beside them", {"app": "other"}),
    Party("a pod of another namespace", {"tier": "airflow", "component": "worker"}, "other"),
    Party("the operators", {"app": "operator"}, OPERATORS),
    Party("names", {"k8s-app": "kube-dns"}, "kube-system"),
    Party("a machine outside", address="203.0.113.7"),
)
# Every port that a server listens on, and one that nobody does.
PORTS = (4040, 5432, 7000, 7001, 7078, 7079, 8000, 8001, 8002, 8080, 8793, 9042, 9090, 9093, 9095, 50051, 12345)
# Where a way out may lead, and of the ports there those that something is asked at, and one that nothing is.
ELSEWHERE = ("names", "a machine outside")
PORTS_ELSEWHERE = (53, 443, 6432, 6443, 8443, 12345)

TASK, STREAM, RECOUNT = {"task"}, {"stream driver", "stream executor"}, {"recount driver", "recount executor"}
OPERATIONS = {"audit", "login", "web"}
WEB = {"collector", "console"}
ARROWS = {
    # The user API is pulled by the task; the console asks whether it serves.
    ("user-api", 8000): TASK | {"console"},
    # Landing: the tasks and the collector accept and publish, the provisioning makes the tables, the audit and the
    # console count. Airflow's metadata and the registry's storage are in the same server.
    ("postgres", 5432): {*AIRFLOW, "registry", "provision"} | WEB | OPERATIONS,
    # Schemas: who writes and who reads Avro, and who registers.
    ("registry", 8080): TASK | STREAM | WEB | {"provision"} | OPERATIONS,
    # Kafka: the publishers, the stream, the audit and the console. The tunnel begins inside the pod.
    ("kafka", 9093): TASK | STREAM | WEB | OPERATIONS,
    # Cassandra: the stream and the recount write, graphs, audit and pages read; its nodes talk to each other, and the
    # operator to their management.
    ("cassandra", 9042): TASK | STREAM | RECOUNT | WEB | {"provision"} | OPERATIONS,
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
    # Spark's progress, which the console shows.
    ("stream driver", 4040): {"console"},
    ("stream executor", 4040): {"console"},
    # The tasks tell the API server how they do; the console and the test of the release log in.
    ("api-server", 8080): TASK | OPERATIONS | {"console"},
    # People come through a port-forward or an Ingress.
    ("collector", 8001): {"console"} | OPERATIONS,
    ("console", 8002): OPERATIONS,
}
ELSEWHERE_IN_THE_CLUSTER = {"namespaceSelector": {"matchLabels": {NAMESPACE_NAME: "other"}}}
NAMES = {(place, 53) for place in ELSEWHERE}
# What those may ask who may not ask whatever they like, whether it answers them or not: names, the servers that they
# are clients of, and Kubernetes itself, whose address the chart does not know.
CLIENTS_OF = {("postgres", 5432), ("kafka", 9093), ("registry", 8080), ("cassandra", 9042)}
QUESTIONS: dict[str, set[tuple[str, int]]] = {
    "postgres": set(),
    "user-api": set(),
    "registry": NAMES | {("postgres", 5432)},
    "collector": NAMES | CLIENTS_OF,
    "console": {
        *(NAMES | CLIENTS_OF),
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
    return [*ours, *airflow, Party("kafka", BROKER), Party("cassandra", CASSANDRA), *STRANGERS]


def platform(everybody: list[Party]) -> list[Party]:
    """Those who are the platform's own."""
    strangers = {one.name for one in STRANGERS}
    return [party for party in everybody if party.name not in strangers]


def relation(network: Network, everybody: list[Party], targets: list[Party]) -> dict[tuple[str, int], set[str]]:
    """For each port of the targets all who reach it, where there are any."""
    found = {(target.name, port): reached(network, everybody, target, port) for target in targets for port in PORTS}
    return {place: who for place, who in found.items() if who}


def questions(network: Network, everybody: list[Party], sources: list[Party]) -> dict[str, set[tuple[str, int]]]:
    """For each source that may not ask whatever it likes, what it may ask."""
    outwards = network.outwards()
    places = [(target, port) for target in platform(everybody) for port in PORTS]
    places += [(target, port) for target in everybody if target.name in ELSEWHERE for port in PORTS_ELSEWHERE]
    found = {
        source.name: {(target.name, port) for target, port in places if outwards.reaches(source, target, port)}
        for source in sources
    }
    return {name: asked for name, asked in found.items() if len(asked) < len(places)}


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
                    place: ARROWS[place] | {"a machine outside"}
                    for place in (
                        *(("api-server", 8080), ("stream driver", 4040), ("stream executor", 4040)),
                        *(("collector", 8001), ("console", 8002)),
                    )
                }
            ),
        ),
        (
            ({"networkPolicies": {"metricsFrom": [ELSEWHERE_IN_THE_CLUSTER]}},),
            changed({("collector", 8001): ARROWS["collector", 8001] | {"a pod of another namespace"}}),
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
        "operators elsewhere", "pages", "metrics", "no collector", "no console", "production",
    ],
)  # fmt: skip
def test_nobody_reaches_anybody_but_along_the_arrows_of_the_design(
    helm: Helm, values: tuple[Values, ...], arrows: dict[tuple[str, int], set[str]]
) -> None:
    objects = helm.render(*values)
    everybody = parties(objects)
    assert relation(Network.of(objects), everybody, platform(everybody)) == arrows


def test_without_network_policies_nothing_is_held_back(helm: Helm) -> None:
    objects = helm.render(NETWORK_OFF)
    assert [one["metadata"]["name"] for one in objects if one["kind"] == "NetworkPolicy"] == []
    everybody = parties(objects)
    found = relation(Network.of(objects), everybody, platform(everybody))
    assert found["postgres", 5432] == found["kafka", 9093] == {party.name for party in everybody}


def test_who_is_asked_by_others_asks_nobody_but_those_that_it_needs(helm: Helm) -> None:
    everybody = parties(objects := helm.render())
    assert questions(Network.of(objects), everybody, platform(everybody)) == QUESTIONS


def test_a_postgresql_of_ones_own_is_asked_wherever_it_is(helm: Helm) -> None:
    everybody = parties(objects := helm.render(EXTERNAL_POSTGRES))
    expected = {
        name: asked - {("postgres", 5432)} | {(place, 6432) for place in ELSEWHERE if asked}
        for name, asked in QUESTIONS.items()
        if name != "postgres"
    }
    assert questions(Network.of(objects), everybody, platform(everybody)) == expected


def test_kubernetes_itself_can_be_named_by_its_address(helm: Helm) -> None:
    everybody = parties(
        objects := helm.render({"networkPolicies": {"apiServer": {"ports": [6443], "addresses": ["203.0.113.7/32"]}}})
    )
    asked = questions(Network.of(objects), everybody, platform(everybody))["console"]
    assert {place for place in asked if place[0] in ELSEWHERE} == NAMES | {("a machine outside", 6443)}


def test_an_arrow_more_or_less_in_any_policy_would_be_noticed(helm: Helm) -> None:
    """Each rule is left out, each peer is taken away or stands for all, each after the other."""
    # Nobody comes through the tunnel's listener: its rule lets none through, as none would.
    everybody = parties(objects := helm.render({"kafka": {"tunnel": {"enabled": False}}}))
    network = Network.of(objects)
    unnoticed, count = [], 0
    for policy in network.policies:
        bound = [party for party in platform(everybody) if selects(policy["podSelector"], party.labels)]
        for direction, see in (("ingress", relation), ("egress", questions)):
            seen = see(network, everybody, bound)
            for told, rules in wrong_rules(policy.get(direction) or []):
                others = [one for one in network.policies if one is not policy]
                count += 1
                if see(Network([*others, policy | {direction: rules}]), everybody, bound) == seen:
                    unnoticed.append(f"{policy['podSelector']} {direction} {told}")
    assert count > 100
    assert unnoticed == []


def wrong_rules(rules: list[dict[str, Any]]) -> Iterator[tuple[str, list[dict[str, Any]]]]:
    """The rules with one mistake, each time another one, and what it is."""
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


def test_each_program_has_the_rights_on_kafka_that_it_has_on_one_machine(helm: Helm) -> None:
    found = set()
    for user in (one for one in helm.render() if one["kind"] == "KafkaUser"):
        rules = user["spec"]["authorization"]["acls"]
        for rule in rules:
            resource = rule["resource"]
            name = resource.get("name", "") + ("*" if resource.get("patternType") == "prefix" else "")
            found |= {(user["metadata"]["name"], resource["type"], name, one) for one in rule["operations"]}
        assert all(rule.get("type", "allow") == "allow" and rule.get("host", "*") == "*" for rule in rules)
    assert found == {
        (secret_name(f"kafka-{user}"), *as_strimzi_says(kind, name), WORDS[one]) for user, kind, name, one in RIGHTS
    }


WORDS = {
    AclOperation.READ: "Read",
    AclOperation.WRITE: "Write",
    AclOperation.DESCRIBE: "Describe",
    AclOperation.IDEMPOTENT_WRITE: "IdempotentWrite",
}


def as_strimzi_says(kind: ResourceType, name: str) -> tuple[str, str]:
    return ("cluster", "") if kind == ResourceType.BROKER else (kind.name.lower(), name)


def test_without_a_collector_kafka_knows_no_user_of_it(helm: Helm) -> None:
    objects = helm.render({"collector": {"enabled": False}})
    assert secret_name("kafka-collector") not in {
        one["metadata"]["name"] for one in objects if one["kind"] == "KafkaUser"
    }


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
