"""The pods that rendered objects create."""

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any

import jmespath
import yaml

from rendering import Object

CONTROLLERS = ("Deployment", "StatefulSet", "DaemonSet", "Job")


@dataclass(frozen=True)
class Workload:
    """Identical pods: their owner, labels and specification."""

    name: str
    labels: dict[str, str]
    spec: dict[str, Any]

    @property
    def containers(self) -> list[dict[str, Any]]:
        """All containers, including init containers."""
        return [*(self.spec.get("initContainers") or []), *self.spec["containers"]]


def find(objects: Iterable[Object], kind: str, name: str) -> Object:
    [found] = [one for one in objects if (one["kind"], one["metadata"]["name"]) == (kind, name)]
    return found


def embedded(objects: Iterable[Object]) -> list[Object]:
    """Objects in ConfigMaps: the pod template of Airflow's tasks, and the SparkApplication of the recount."""
    texts = jmespath.search("[?kind=='ConfigMap'].data.*[]", list(objects)) or []
    documents = [
        yaml.safe_load(text) for text in texts if re.search(r"^kind: (Pod|SparkApplication)$", text, re.MULTILINE)
    ]
    return [one for one in documents if one["kind"] in ("Pod", "SparkApplication")]


def workloads(objects: list[Object]) -> list[Workload]:
    """All workloads whose containers the charts specify."""
    return [workload for one in [*objects, *embedded(objects)] for workload in _workloads(one)]


def _workloads(thing: Object) -> Iterator[Workload]:
    kind, name = thing["kind"], f"{thing['kind']}/{thing['metadata']['name']}"
    if kind in CONTROLLERS:
        yield _workload(name, thing["spec"]["template"])
    elif kind == "CronJob":
        yield _workload(name, thing["spec"]["jobTemplate"]["spec"]["template"])
    elif kind == "Pod":
        yield _workload("the tasks" if name == "Pod/placeholder-name" else name, thing)
    elif kind == "SparkApplication":
        for role in ("driver", "executor"):
            yield _workload(f"{name} {role}", thing["spec"][role]["template"])


def _workload(name: str, template: dict[str, Any]) -> Workload:
    return Workload(name, template["metadata"].get("labels", {}), template["spec"])


def referenced_secrets(workload: Workload) -> set[str]:
    """The Secrets that the pods use, as variables or files."""
    found = jmespath.search(
        """[
            containers[].env[].valueFrom.secretKeyRef.name, initContainers[].env[].valueFrom.secretKeyRef.name,
            containers[].envFrom[].secretRef.name, initContainers[].envFrom[].secretRef.name,
            volumes[].secret.secretName, volumes[].projected.sources[].secret.name
        ][]""",
        workload.spec,
    )
    return {name for name in found if name}
