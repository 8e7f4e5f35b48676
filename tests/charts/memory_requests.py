"""What everything that may run at once requests of its nodes in memory, by workload, in bytes."""

import re
from collections.abc import Iterator
from typing import Any

import jmespath

from rendering import Object
from workloads import embedded, workloads

UNITS = {"": 1, "k": 1000, "M": 1000**2, "G": 1000**3, "Ki": 1024, "Mi": 1024**2, "Gi": 1024**3}
# Spark's own: m and g are binary there.
JAVA_UNITS = {"k": 1024, "m": 1024**2, "g": 1024**3}


def memory(quantity: str | int) -> int:
    """Bytes of a Kubernetes quantity."""
    number, unit = re.fullmatch(r"([0-9.]+)([a-zA-Z]*)", str(quantity)).groups()  # type: ignore[union-attr]
    return int(float(number) * UNITS[unit])


def java_memory(size: str) -> int:
    """Bytes of a size as the JVM and Spark write it."""
    return int(size[:-1]) * JAVA_UNITS[size[-1].lower()]


def rendered_requests(objects: list[Object]) -> dict[str, int]:
    """Of each workload that these objects lead to."""
    found: dict[str, int] = {}
    for name, requested in _requests(objects):
        found[name] = found.get(name, 0) + requested
    return found


def handed_over_requests(values: dict[str, Any]) -> dict[str, int]:
    """Of a dependency that is not here, by what our values say: everything once, and as many tasks as may run."""
    return dict(_handed_over(values, "", jmespath.search("config.core.parallelism", values) or 1))


def laid_over(defaults: dict[str, Any], values: dict[str, Any]) -> dict[str, Any]:
    """Defaults with values laid over them, as Helm does it with its files."""
    both = {name for name, one in values.items() if isinstance(one, dict) and isinstance(defaults.get(name), dict)}
    return defaults | values | {name: laid_over(defaults[name], values[name]) for name in both}


def _requests(objects: list[Object]) -> Iterator[tuple[str, int]]:
    replicas = {f"{one['kind']}/{one['metadata']['name']}": one.get("spec", {}).get("replicas", 1) for one in objects}
    for pod in workloads(objects):
        if not pod.name.startswith(("SparkApplication/", "the tasks")):
            together = sum(_requested(one) for one in pod.spec["containers"])
            first = max((_requested(one) for one in pod.spec.get("initContainers") or []), default=0)
            yield pod.name, max(together, first) * replicas.get(pod.name, 1)
    for one in [*objects, *embedded(objects)]:
        if one["kind"] in _BY_KIND:
            yield from _BY_KIND[one["kind"]](one)


def _requested(container: dict[str, Any]) -> int:
    return memory((container.get("resources") or {}).get("requests", {}).get("memory", 0))


def _kafka(thing: Object) -> Iterator[tuple[str, int]]:
    spec = thing["spec"]
    yield "Kafka", spec["kafka"]["replicas"] * _requested(spec["kafka"])
    yield "ZooKeeper", spec["zookeeper"]["replicas"] * _requested(spec["zookeeper"])
    yield "entity operator", sum(_requested(one) for one in spec["entityOperator"].values())


def _cassandra(thing: Object) -> Iterator[tuple[str, int]]:
    cassandra = thing["spec"]["cassandra"]
    nodes = sum(one["size"] for one in cassandra["datacenters"])
    yield "Cassandra", nodes * (_requested(cassandra) + sum(_requested(one) for one in cassandra["containers"]))


def _spark(thing: Object) -> Iterator[tuple[str, int]]:
    driver, executor = thing["spec"]["driver"], thing["spec"]["executor"]
    for role, count in ((driver, 1), (executor, executor["instances"])):
        yield thing["metadata"]["name"], count * (java_memory(role["memory"]) + java_memory(role["memoryOverhead"]))


def _tasks(thing: Object) -> Iterator[tuple[str, int]]:
    """As many tasks as Airflow's configuration lets run, in Airflow's ConfigMap."""
    found = re.search(r"^parallelism = (\d+)$", thing["data"].get("airflow.cfg", ""), re.MULTILINE)
    if found:
        [task] = [one for one in workloads([thing]) if one.name == "the tasks"]
        yield task.name, int(found[1]) * sum(_requested(one) for one in task.spec["containers"])


_BY_KIND = {"Kafka": _kafka, "K8ssandraCluster": _cassandra, "SparkApplication": _spark, "ConfigMap": _tasks}


def _handed_over(values: dict[str, Any], place: str, tasks: int) -> Iterator[tuple[str, int]]:
    if "resources" in values:
        yield place, _requested(values) * (tasks if place == ".workers" else 1)
    for name, one in values.items():
        if isinstance(one, dict):
            yield from _handed_over(one, f"{place}.{name}", tasks)
