"""The resource requests of workloads: memory in bytes, CPU in cores."""

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from fractions import Fraction
from typing import Any

import jmespath

from rendering import Object
from workloads import embedded, workloads

UNITS = {"": 1, "k": 1000, "M": 1000**2, "G": 1000**3, "Ki": 1024, "Mi": 1024**2, "Gi": 1024**3}
# Spark's units are binary.
JAVA_UNITS = {"k": 1024, "m": 1024**2, "g": 1024**3}


def memory(quantity: str | int) -> int:
    """Bytes of a Kubernetes quantity."""
    number, unit = re.fullmatch(r"([0-9.]+)([a-zA-Z]*)", str(quantity)).groups()  # type: ignore[union-attr]
    return int(float(number) * UNITS[unit])


def java_memory(size: str) -> int:
    """Bytes of a size in the format of the JVM and Spark."""
    return int(size[:-1]) * JAVA_UNITS[size[-1].lower()]


def cores(quantity: str | int) -> Fraction:
    """Cores of a Kubernetes quantity."""
    text = str(quantity)
    return Fraction(text.removesuffix("m")) / (1000 if text.endswith("m") else 1)


@dataclass(frozen=True)
class Kind:
    """A resource: how to read it from a container, and from the driver or executor of a SparkApplication."""

    name: str
    read: Callable[[str | int], Any]
    of_spark: Callable[[dict[str, Any]], Any]


MEMORY = Kind("memory", memory, lambda role: java_memory(role["memory"]) + java_memory(role["memoryOverhead"]))
CPU = Kind("cpu", cores, lambda role: cores(role["coreRequest"]))


def rendered_requests(kind: Kind, objects: list[Object]) -> dict[str, Any]:
    """The requests of each workload of these objects."""
    found: dict[str, Any] = {}
    for name, requested in _requests(kind, objects):
        found[name] = found.get(name, 0) + requested
    return found


def dependency_requests(kind: Kind, values: dict[str, Any]) -> dict[str, Any]:
    """The requests in the values of a missing dependency, with the maximum number of tasks."""
    return dict(_dependency_requests(kind, values, "", jmespath.search("config.core.parallelism", values) or 1))


def _requests(kind: Kind, objects: list[Object]) -> Iterator[tuple[str, Any]]:
    replicas = {f"{one['kind']}/{one['metadata']['name']}": one.get("spec", {}).get("replicas", 1) for one in objects}
    for scaler in (one["spec"] for one in objects if one["kind"] == "HorizontalPodAutoscaler"):
        replicas["{kind}/{name}".format(**scaler["scaleTargetRef"])] = scaler["maxReplicas"]
    for pod in workloads(objects):
        if not pod.name.startswith(("SparkApplication/", "the tasks")):
            together = sum(_requested(kind, one) for one in pod.spec["containers"])
            first = max((_requested(kind, one) for one in pod.spec.get("initContainers") or []), default=0)
            yield pod.name, max(together, first) * replicas.get(pod.name, 1)
    for one in [*objects, *embedded(objects)]:
        if one["kind"] in _BY_KIND:
            yield from _BY_KIND[one["kind"]](kind, one)


def _requested(kind: Kind, container: dict[str, Any]) -> Any:
    return kind.read((container.get("resources") or {}).get("requests", {}).get(kind.name, 0))


def _kafka(kind: Kind, thing: Object) -> Iterator[tuple[str, Any]]:
    spec = thing["spec"]
    yield "Kafka", spec["kafka"]["replicas"] * _requested(kind, spec["kafka"])
    yield "ZooKeeper", spec["zookeeper"]["replicas"] * _requested(kind, spec["zookeeper"])
    yield "entity operator", sum(_requested(kind, one) for one in spec["entityOperator"].values())


def _cassandra(kind: Kind, thing: Object) -> Iterator[tuple[str, Any]]:
    cassandra = thing["spec"]["cassandra"]
    nodes = sum(one["size"] for one in cassandra["datacenters"])
    of_others = sum(_requested(kind, one) for one in cassandra["containers"])
    yield "Cassandra", nodes * (_requested(kind, cassandra) + of_others)


def _spark(kind: Kind, thing: Object) -> Iterator[tuple[str, Any]]:
    driver, executor = thing["spec"]["driver"], thing["spec"]["executor"]
    for role, count in ((driver, 1), (executor, executor["instances"])):
        yield thing["metadata"]["name"], count * kind.of_spark(role)


def _tasks(kind: Kind, thing: Object) -> Iterator[tuple[str, Any]]:
    """The maximum number of tasks, from Airflow's ConfigMap."""
    found = re.search(r"^parallelism = (\d+)$", thing["data"].get("airflow.cfg", ""), re.MULTILINE)
    if found:
        [task] = [one for one in workloads([thing]) if one.name == "the tasks"]
        yield task.name, int(found[1]) * sum(_requested(kind, one) for one in task.spec["containers"])


_BY_KIND = {"Kafka": _kafka, "K8ssandraCluster": _cassandra, "SparkApplication": _spark, "ConfigMap": _tasks}


def _dependency_requests(kind: Kind, values: dict[str, Any], place: str, tasks: int) -> Iterator[tuple[str, Any]]:
    if "resources" in values:
        yield place, _requested(kind, values) * (tasks if place == ".workers" else 1)
    for name, one in values.items():
        if isinstance(one, dict):
            yield from _dependency_requests(kind, one, f"{place}.{name}", tasks)
