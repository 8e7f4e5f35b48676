import json
from collections.abc import Iterator
from typing import Any

import pytest

from rendering import CHARTS, OPERATORS, PLATFORM, SHARED, Helm, Object, RefusedError, has_dependencies
from schemas import UnknownKindError, faults
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
    """Every place in the values with what the schema says of it."""
    part = resolved(part, root)
    yield path, part
    for name, one in part.get("properties", {}).items():
        yield from described(one, root, (*path, name))


def closed_places(chart: str) -> list[Path]:
    """Where only the keys that the schema names may stand."""
    root = schema(chart)
    return [path for path, part in described(root, root) if part.get("additionalProperties") is False]


def leaves(chart: str) -> list[tuple[Path, dict[str, Any]]]:
    """Every value that the schema says a type of."""
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
def test_a_misspelt_value_at_any_level_is_refused_by_its_name(helm: Helm, chart: str) -> None:
    places = closed_places(chart)
    assert () in places
    wrong = [(*path, "-".join([MISSPELT, *path])) for path in places]
    with pytest.raises(RefusedError) as refused:
        helm.render(nested([(path, 1) for path in wrong]), chart=chart)
    assert [path for path in wrong if f"'{path[-1]}'" not in str(refused.value)] == []


def test_every_level_of_the_platform_is_closed_but_the_values_of_airflow_and_annotations() -> None:
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


def test_only_the_operators_own_values_are_open() -> None:
    root = schema(OPERATORS)
    names = {"cert-manager", "strimzi-kafka-operator", "spark-operator", "k8ssandra-operator", "global"}
    open_places = {path for path, part in described(root, root) if part.get("additionalProperties") is not False}
    assert {path for path in open_places if len(path) == 1} >= {(name,) for name in names}
    assert {path[0] for path in open_places} == names


def test_a_value_of_a_wrong_type_is_refused_by_its_name(helm: Helm) -> None:
    places = [(path, part) for path, part in leaves(PLATFORM) if path != ("airflow",)]
    wrong = [(path, "a text" if part.get("type") == "array" else [["a list"]]) for path, part in places]
    with pytest.raises(RefusedError) as refused:
        helm.render(nested(wrong))
    assert [path for path, _ in wrong if pointer(path) not in str(refused.value)] == []


def test_a_value_that_is_taken_away_is_refused_by_its_name(helm: Helm) -> None:
    root = schema(PLATFORM)
    places = [
        (path, name)
        for path, part in described(root, root)
        for name in part.get("required", [])
        if "properties" not in resolved(part["properties"][name], root) and name != "airflow"
    ]
    with pytest.raises(RefusedError) as refused:
        helm.render(nested([((*path, name), None) for path, name in places]))
    missing = {
        line.partition(": missing propert")[0].rpartition("at ")[2]: line
        for line in str(refused.value).splitlines()
        if ": missing propert" in line
    }
    assert [(path, name) for path, name in places if f"'{name}'" not in missing[pointer(path)]] == []


@pytest.mark.parametrize(
    ("values", "told"),
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
def test_values_that_cannot_work_are_refused_by_their_name(helm: Helm, values: dict[str, Any], told: str) -> None:
    with pytest.raises(RefusedError, match=told):
        helm.render(values)


@pytest.mark.parametrize(
    ("chart", "dependency", "values", "told"),
    [
        (PLATFORM, "airflow-1.22.0", {"airflow": {"executor": ["Celery"]}}, "executor"),
        (OPERATORS, "cert-manager-1.21.1", {"cert-manager": {"replicaCont": 2}}, "replicaCont"),
    ],
)
def test_what_a_dependency_does_not_understand_is_refused(
    helm: Helm, chart: str, dependency: str, values: dict[str, Any], told: str
) -> None:
    if not has_dependencies(chart) and not (SHARED / "schemas" / f"{dependency}.values.schema.json").exists():
        pytest.skip(f"neither the chart of {dependency} nor the schema of its values is here")
    with pytest.raises(RefusedError, match=told):
        helm.render(values, chart=chart)


def test_every_object_of_the_platform_is_as_its_schema_says(rendered: list[Object]) -> None:
    assert wrong_objects(rendered) == []


@pytest.mark.parametrize("switched_off", [(), ("cert-manager",), ("strimzi-kafka-operator", "spark-operator")])
def test_every_object_of_the_operators_is_as_its_schema_says(helm: Helm, switched_off: tuple[str, ...]) -> None:
    values = {name: {"enabled": False} for name in switched_off}
    assert (
        wrong_objects(helm.render(values, chart=OPERATORS, api_versions=["cert-manager.io/v1/CertificateRequest"]))
        == []
    )


def wrong_objects(objects: list[Object]) -> list[str]:
    assert objects
    told, unknown = [], []
    for one in [*objects, *embedded(objects)]:
        name = f"{one['kind']} {one['metadata']['name']}"
        try:
            told += [f"{name}: {fault}" for fault in faults(one)]
        except UnknownKindError as error:
            unknown.append(f"{name}: {error}")
    if unknown and not told:
        pytest.skip("; ".join(unknown))
    return told


def test_no_object_is_made_twice(rendered: list[Object]) -> None:
    names = [(one["apiVersion"], one["kind"], one["metadata"]["name"]) for one in rendered]
    assert [name for name in names if names.count(name) > 1] == []


@pytest.mark.parametrize("chart", [PLATFORM, OPERATORS])
def test_helm_finds_nothing_to_say_about_the_chart(helm: Helm, chart: str) -> None:
    helm.lint(chart)


class TestTheJudge:
    """The schemas have to find what is wrong, or the tests above say nothing."""

    @pytest.mark.parametrize(
        ("kind", "place", "value", "told"),
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
        self, helm: Helm, kind: str, place: str, value: Any, told: str
    ) -> None:
        [thing, *_] = [one for one in helm.render() if one["kind"] == kind]
        *path, last = place.split(".")
        target = thing
        for name in path:
            target = target[name]
        target[last] = value
        try:
            assert [fault for fault in faults(thing) if told in fault]
        except UnknownKindError as error:
            pytest.skip(str(error))
