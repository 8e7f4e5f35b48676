import jmespath
import pytest

from rendering import OPERATORS, PLATFORM, Helm, Object, Values
from workloads import Workload, workloads

COMPONENTS = {
    "postgres", "kafka", "registry", "cassandra", "stream", "recount", "airflow", "user-api", "provision", "operations",
    "platform", "collector", "console",
}  # fmt: skip
IDENTITY = {"app.kubernetes.io/name", "app.kubernetes.io/instance", "app.kubernetes.io/component"}


@pytest.fixture
def own(helm: Helm, combination: tuple[Values, ...]) -> list[Object]:
    return helm.render(*combination, own=True)


def test_every_object_has_the_recommended_labels(own: list[Object]) -> None:
    expected = {
        "app.kubernetes.io/name": PLATFORM,
        "app.kubernetes.io/instance": PLATFORM,
        "app.kubernetes.io/part-of": PLATFORM,
        "app.kubernetes.io/managed-by": "Helm",
        "app.kubernetes.io/version": "0.1.0",
        "helm.sh/chart": f"{PLATFORM}-0.1.0",
    }
    wrong = [name(one) for one in own if not expected.items() <= one["metadata"]["labels"].items()]
    assert own
    assert wrong == []


def test_every_object_has_a_known_component(own: list[Object]) -> None:
    strange = {name(one): component(one) for one in own if component(one) not in COMPONENTS}
    assert strange == {}


def test_every_pod_has_the_labels_of_its_component(own: list[Object]) -> None:
    wrong = [one.name for one in workloads(own) if not one.labels.keys() >= IDENTITY | {"app.kubernetes.io/part-of"}]
    assert wrong == []


def test_selectors_contain_only_immutable_labels(own: list[Object]) -> None:
    """The selector of a Deployment or StatefulSet is immutable, so a version in it would break upgrades."""
    selectors = jmespath.search("[?kind=='Deployment' || kind=='StatefulSet'].spec.selector.matchLabels", own)
    assert selectors
    assert all(selector.keys() == IDENTITY for selector in selectors)


def test_every_selector_matches_its_own_pods_only(own: list[Object]) -> None:
    pods = workloads(own)
    for one in own:
        if one["kind"] in ("Service", "PodDisruptionBudget", "Deployment", "StatefulSet"):
            selector = one["spec"]["selector"]
            found = [pod for pod in pods if selects(selector.get("matchLabels", selector), pod)]
            assert [pod.name.rpartition("/")[2] for pod in found] == [one["metadata"]["name"]], name(one)


def test_every_service_targets_a_port_of_its_pods(own: list[Object]) -> None:
    for service in (one for one in own if one["kind"] == "Service"):
        [pods] = [pod for pod in workloads(own) if selects(service["spec"]["selector"], pod)]
        ports = jmespath.search("[].ports[].[name, containerPort][]", pods.containers)
        targets = [port.get("targetPort", port["port"]) for port in service["spec"]["ports"]]
        assert set(targets) <= set(ports), name(service)


def test_the_instance_label_is_the_release(helm: Helm) -> None:
    instances = {
        one["metadata"]["labels"]["app.kubernetes.io/instance"] for one in helm.render(release="second", own=True)
    }
    assert instances == {"second"}


def test_topics_and_users_are_labelled_with_their_cluster(own: list[Object]) -> None:
    things = [one for one in own if one["kind"] in ("KafkaTopic", "KafkaUser")]
    assert {one["metadata"]["labels"].get("strimzi.io/cluster") for one in things} == {PLATFORM}


def test_the_objects_of_the_operators_chart_have_a_name_label(helm: Helm) -> None:
    own = [one for one in helm.render(chart=OPERATORS, own=True) if one["kind"] != "CustomResourceDefinition"]
    assert [name(one) for one in own if "app.kubernetes.io/name" not in one["metadata"].get("labels", {})] == []


def name(one: Object) -> str:
    return f"{one['kind']} {one['metadata']['name']}"


def component(one: Object) -> str | None:
    found: str | None = one["metadata"]["labels"].get("app.kubernetes.io/component")
    return found


def selects(selector: dict[str, str], pod: Workload) -> bool:
    return selector.items() <= pod.labels.items()
