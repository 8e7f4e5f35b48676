import json
from collections.abc import Iterator
from typing import Any

import pytest

from rendering import CHARTS, OPERATORS, PLATFORM, SHARED, Helm, Object, RenderError, has_dependencies
from schemas import UnknownKindError, validation_errors
from workloads import embedded

MISSPELT = "misspelt"
Path = tuple[str, ...]


def schema(chart: str) -> dict[str, Any]:
    read: dict[str, Any] = json.loads((CHARTS / chart / "values.schema.json").read_text())
    return read


def resolved(part: dict[str, Any], root: dict[str, Any]) -> dict[str, Any]:
    while "$ref" in part:
        part = root["definitions"][part["$ref"].rpartition("/")[2]]
    return part


def described(part: dict[str, Any], root: dict[str, Any], path: Path = ()) -> Iterator[tuple[Path, dict[str, Any]]]:
    """Every path in the values with its schema."""
    part = resolved(part, root)
    yield path, part
    for name, one in part.get("properties", {}).items():
        yield from described(one, root, (*path, name))


def closed_places(chart: str) -> list[Path]:
    """Paths of objects without additional keys."""
    root = schema(chart)
    return [path for path, part in described(root, root) if part.get("additionalProperties") is False]


def leaves(chart: str) -> list[tuple[Path, dict[str, Any]]]:
    """Every value with a type."""
    root = schema(chart)
    return [(path, part) for path, part in described(root, root) if "properties" not in part and path != ("global",)]


def nested(values: list[tuple[Path, Any]]) -> dict[str, Any]:
    tree: dict[str, Any] = {}
    for path, value in values:
        place = tree
        for name in path[:-1]:
            place = place.setdefault(name, {})
        place[path[-1]] = value
    return tree


def pointer(path: Path) -> str:
    return f"'/{'/'.join(path)}'"


@pytest.mark.parametrize("chart", [PLATFORM, OPERATORS])
def test_a_misspelt_value_is_rejected_by_name(helm: Helm, chart: str) -> None:
    places = closed_places(chart)
    assert () in places
    wrong = [(*path, "-".join([MISSPELT, *path])) for path in places]
    with pytest.raises(RenderError) as rejected:
        helm.render(nested([(path, 1) for path in wrong]), chart=chart)
    assert [path for path in wrong if f"'{path[-1]}'" not in str(rejected.value)] == []


def test_only_airflow_and_annotations_allow_additional_keys() -> None:
    root = schema(PLATFORM)
    open_places = {
        path
        for path, part in described(root, root)
        if part.get("type") == "object" and part.get("additionalProperties") is not False
    }
    annotations = {
        (name, *path) for name in ("collector", "console") for path in (("podAnnotations",), ("ingress", "annotations"))
    }
    assert open_places == {("airflow",), ("global",)} | annotations


def test_only_values_of_operators_allow_additional_keys() -> None:
    root = schema(OPERATORS)
    names = {"cert-manager", "strimzi-kafka-operator", "spark-operator", "k8ssandra-operator", "global"}
    open_places = {path for path, part in described(root, root) if part.get("additionalProperties") is not False}
    assert {path for path in open_places if len(path) == 1} >= {(name,) for name in names}
    assert {path[0] for path in open_places} == names


def test_a_value_of_a_wrong_type_is_rejected_by_name(helm: Helm) -> None:
    places = [(path, part) for path, part in leaves(PLATFORM) if path != ("airflow",)]
    wrong = [(path, "a text" if part.get("type") == "array" else [["a list"]]) for path, part in places]
    with pytest.raises(RenderError) as rejected:
        helm.render(nested(wrong))
    assert [path for path, _ in wrong if pointer(path) not in str(rejected.value)] == []


def test_a_removed_value_is_rejected_by_name(helm: Helm) -> None:
    root = schema(PLATFORM)
    places = [
        (path, name)
        for path, part in described(root, root)
        for name in part.get("required", [])
        if "properties" not in resolved(part["properties"][name], root) and name != "airflow"
    ]
    with pytest.raises(RenderError) as rejected:
        helm.render(nested([((*path, name), None) for path, name in places]))
    missing = {
        line.partition(": missing propert")[0].rpartition("at ")[2]: line
        for line in str(rejected.value).splitlines()
        if ": missing propert" in line
    }
    assert [(path, name) for path, name in places if f"'{name}'" not in missing[pointer(path)]] == []


@pytest.mark.parametrize(
    ("values", "expected"),
    [
        ({"images": {"pullPolicy": "Sometimes"}}, "/images/pullPolicy"),
        ({"kafka": {"brokers": 2}}, "/kafka/brokers"),
        ({"kafka": {"zookeeper": {"replicas": 2}}}, "/kafka/zookeeper/replicas"),
        ({"kafka": {"partitions": 0}}, "/kafka/partitions"),
        ({"kafka": {"resources": {"requests": {"memory": "much"}}}}, "/kafka/resources/requests/memory"),
        ({"kafka": {"resources": {"request": {}}}}, "request"),
        ({"cassandra": {"racks": []}}, "/cassandra/racks"),
        ({"cassandra": {"racks": [{"nmae": "rack1"}]}}, "nmae"),
        ({"cassandra": {"keyspace": "Robert'); DROP"}}, "/cassandra/keyspace"),
        ({"cassandra": {"nodes": 1, "replicationFactor": 3}}, "cassandra.replicationFactor"),
        ({"cassandra": {"nodes": 3, "racks": [{"name": "a"}, {"name": "b"}]}}, "cassandra.nodes"),
        ({"cassandra": {"medusa": {"enabled": True}}}, "cassandra.medusa.bucket"),
        ({"stream": {"checkpoint": {"url": "hdfs://elsewhere"}}}, "/stream/checkpoint/url"),
        ({"stream": {"dynamicAllocation": {"enabled": True}}}, "stream.checkpoint"),
        ({"postgres": {"external": {"sslmode": "maybe"}}}, "/postgres/external/sslmode"),
        ({"userApi": {"url": "https://a.example", "existingSecret": True}}, "userApi.existingSecret"),
        ({"collector": {"requestsPerSecond": 0}}, "/collector/requestsPerSecond"),
        ({"collector": {"podAnnotations": {"a": 1}}}, "/collector/podAnnotations/a"),
        ({"collector": {"ingress": {"enabled": True}}}, "collector.ingress.host"),
        ({"collector": {"autoscaling": {"minReplicas": 9}}}, "collector.autoscaling.minReplicas"),
        ({"console": {"ingress": {"enabled": True}}}, "console.ingress.host"),
        ({"console": {"secureCookies": True}}, "/console/secureCookies"),
        ({"console": {"sessionHours": 0}}, "/console/sessionHours"),
    ],
)
def test_invalid_values_are_rejected_by_name(helm: Helm, values: dict[str, Any], expected: str) -> None:
    with pytest.raises(RenderError, match=expected):
        helm.render(values)


@pytest.mark.parametrize(
    ("chart", "dependency", "values", "expected"),
    [
        (PLATFORM, "airflow-1.22.0", {"airflow": {"executor": ["Celery"]}}, "executor"),
        (OPERATORS, "cert-manager-1.21.1", {"cert-manager": {"replicaCont": 2}}, "replicaCont"),
    ],
)
def test_invalid_values_of_a_dependency_are_rejected(
    helm: Helm, chart: str, dependency: str, values: dict[str, Any], expected: str
) -> None:
    if not has_dependencies(chart) and not (SHARED / "schemas" / f"{dependency}.values.schema.json").exists():
        pytest.skip(f"neither the chart {dependency} nor its schema is available")
    with pytest.raises(RenderError, match=expected):
        helm.render(values, chart=chart)


def test_every_object_of_the_platform_is_valid(rendered: list[Object]) -> None:
    assert invalid_objects(rendered) == []


@pytest.mark.parametrize("disabled", [(), ("cert-manager",), ("strimzi-kafka-operator", "spark-operator")])
def test_every_object_of_the_operators_is_valid(helm: Helm, disabled: tuple[str, ...]) -> None:
    values = {name: {"enabled": False} for name in disabled}
    assert (
        invalid_objects(helm.render(values, chart=OPERATORS, api_versions=["cert-manager.io/v1/CertificateRequest"]))
        == []
    )


def invalid_objects(objects: list[Object]) -> list[str]:
    assert objects
    errors, unknown = [], []
    for one in [*objects, *embedded(objects)]:
        name = f"{one['kind']} {one['metadata']['name']}"
        try:
            errors += [f"{name}: {error}" for error in validation_errors(one)]
        except UnknownKindError as error:
            unknown.append(f"{name}: {error}")
    if unknown and not errors:
        pytest.skip("; ".join(unknown))
    return errors


def test_object_names_are_unique(rendered: list[Object]) -> None:
    names = [(one["apiVersion"], one["kind"], one["metadata"]["name"]) for one in rendered]
    assert [name for name in names if names.count(name) > 1] == []


@pytest.mark.parametrize("chart", [PLATFORM, OPERATORS])
def test_helm_lint_finds_nothing(helm: Helm, chart: str) -> None:
    helm.lint(chart)


class TestValidation:
    """The validation finds errors."""

    @pytest.mark.parametrize(
        ("kind", "place", "value", "expected"),
        [
            ("Kafka", "spec.kafka.replica", 1, "replica"),
            ("Kafka", "spec.kafka.replicas", "one", "spec.kafka.replicas"),
            ("KafkaUser", "spec.authorization.acl", [], "acl"),
            ("K8ssandraCluster", "spec.cassandra.sizes", 1, "sizes"),
            ("SparkApplication", "spec.driver.momory", "1g", "momory"),
            ("StatefulSet", "spec.replica", 1, "replica"),
            ("Service", "metadata.label", {}, "label"),
            ("KafkaTopic", "metadata.labels", {"a": 1}, "metadata.labels"),
        ],
    )
    def test_a_field_that_is_misspelt_or_of_a_wrong_type_is_found(
        self, helm: Helm, kind: str, place: str, value: Any, expected: str
    ) -> None:
        [thing, *_] = [one for one in helm.render() if one["kind"] == kind]
        *path, last = place.split(".")
        target = thing
        for name in path:
            target = target[name]
        target[last] = value
        try:
            assert [error for error in validation_errors(thing) if expected in error]
        except UnknownKindError as error:
            pytest.skip(str(error))
