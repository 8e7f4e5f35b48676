"""Renders the charts with the real Helm, from copies with a stub for each missing dependency.

A stub has the dependency's name and version and, if ../shared/schemas contains it, the schema of its values, so that
Helm validates the values that are passed to it.
"""

import copy
import json
import shutil
import subprocess
from collections.abc import Iterable, Iterator, Sequence
from contextlib import nullcontext
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml

from kubernetes_api import kubernetes_api
from tools import CHECKOUT

CHARTS = CHECKOUT / "charts"
SHARED = CHECKOUT.parent / "shared"
KUBERNETES = "1.34"
PLATFORM = "member-analyzer"
OPERATORS = "operators"

# Kinds that the operators add to a cluster, which the platform requires.
OPERATED = (
    "k8ssandra.io/v1alpha1/K8ssandraCluster",
    "kafka.strimzi.io/v1beta2/Kafka",
    "kafka.strimzi.io/v1beta2/KafkaTopic",
    "kafka.strimzi.io/v1beta2/KafkaUser",
    "sparkoperator.k8s.io/v1beta2/SparkApplication",
)

Object = dict[str, Any]
# A file of values, or the values themselves. Later ones win, as on the command line of Helm.
Values = Path | dict[str, Any]


class RenderError(Exception):
    """Helm rejects the chart or its values; the message is Helm's."""


def merged(defaults: dict[str, Any], values: dict[str, Any]) -> dict[str, Any]:
    """Defaults merged with values, as Helm merges files."""
    both = {name for name, one in values.items() if isinstance(one, dict) and isinstance(defaults.get(name), dict)}
    return defaults | values | {name: merged(defaults[name], values[name]) for name in both}


class _Loader(yaml.CSafeLoader):
    """YAML as Kubernetes reads it: duplicate keys are errors, and dates are strings."""

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Any, Any]:
        names = [key.value for key, _ in node.value]
        if twice := {name for name in names if names.count(name) > 1}:
            raise yaml.MarkedYAMLError(problem=f"{sorted(twice)} twice", problem_mark=node.start_mark)
        return super().construct_mapping(node, deep)


_Loader.add_constructor("tag:yaml.org,2002:timestamp", lambda loader, node: node.value)


def dependencies(chart: str) -> list[dict[str, str]]:
    """The dependencies in Chart.yaml."""
    listed: list[dict[str, str]] = yaml.safe_load((CHARTS / chart / "Chart.yaml").read_text())["dependencies"]
    return listed


def dependency_folders(chart: str) -> list[Path]:
    """The archives or folders of the downloaded dependencies."""
    folder = CHARTS / chart / "charts"
    found = []
    for one in dependencies(chart):
        archives = [folder / f"{one['name']}-{version}.tgz" for version in (one["version"], one["version"].lstrip("v"))]
        found += [path for path in (*archives, folder / one["name"]) if path.exists()][:1]
    return found


def has_dependencies(chart: str) -> bool:
    """Whether all dependencies are downloaded."""
    return len(dependency_folders(chart)) == len(dependencies(chart))


@dataclass
class Helm:
    """The program, and the folder for copies of the charts."""

    program: Path
    folder: Path
    _rendered: dict[str, str] = field(default_factory=dict)
    _read: dict[str, list[tuple[str, Object]]] = field(default_factory=dict)

    def render(self, *values: Values, chart: str = PLATFORM, own: bool = False, **options: Any) -> list[Object]:
        """The rendered objects, with `own` without those of dependencies. `options` are those of `text`."""
        text = self.text(*values, chart=chart, **options)
        if text not in self._read:
            self._read[text] = list(_documents(text))
        everything = copy.deepcopy(self._read[text])
        return [one for source, one in everything if not own or source.startswith(f"{chart}/templates/")]

    def text(
        self,
        *values: Values,
        chart: str = PLATFORM,
        release: str | None = None,
        namespace: str | None = None,
        api_versions: Sequence[str] = OPERATED,
        is_upgrade: bool = False,
        cluster: Iterable[Object] | None = None,
        afresh: bool = False,
    ) -> str:
        """The output of `helm template`, cached unless `afresh`. Raises RenderError.

        With `cluster`, `lookup` finds these objects.
        """
        namespace = namespace or chart
        command = [str(self.program), "template", release or chart, str(self.copy(chart)), "--namespace", namespace]
        command += ["--kube-version", KUBERNETES, "--include-crds"]
        command += [f"--api-versions={version}" for version in api_versions]
        command += ["--is-upgrade"] if is_upgrade else []
        for number, value in enumerate(values):
            command += ["--values", str(value if isinstance(value, Path) else self._file(value, number))]
        key = json.dumps([command, [str(value) for value in values]])
        if key in self._rendered and cluster is None and not afresh:
            return self._rendered[key]
        with kubernetes_api(cluster, namespace) if cluster is not None else nullcontext() as address:
            if address:
                command += ["--dry-run=server", "--kube-apiserver", address]
            done = subprocess.run(command, capture_output=True, text=True, env=self._environment(), timeout=120)
        if done.returncode != 0:
            raise RenderError(done.stderr.strip())
        if cluster is None:
            self._rendered[key] = done.stdout
        return done.stdout

    def values(self, chart: str) -> Object:
        """The chart's defaults."""
        return self._show("values", self.copy(chart))

    def airflow_values(self, *values: Path, release: str = PLATFORM) -> Object:
        """The values that the platform passes to Airflow's chart, with the templates in them rendered for a release."""
        given = self.values(PLATFORM)["airflow"]
        for file in values:
            given = merged(given, yaml.load(file.read_text(), Loader=_Loader).get("airflow", {}))
        given = json.loads(json.dumps(given).replace("{{ .Release.Name }}", release))
        return given | {"extraEnv": yaml.safe_load(given["extraEnv"])}

    def dependency(self, chart: str, name: str) -> Object:
        """The Chart.yaml of a dependency or of its stub."""
        [folder] = (self.copy(chart) / "charts").glob(f"{name}*")
        return self._show("chart", folder)

    def _show(self, what: str, chart: Path) -> Object:
        command = [str(self.program), "show", what, str(chart)]
        done = subprocess.run(command, capture_output=True, text=True, env=self._environment(), check=True, timeout=120)
        read: Object = yaml.load(done.stdout, Loader=_Loader)
        return read

    def lint(self, chart: str, *values: Values) -> str:
        """The output of `helm lint --strict`. Raises RenderError on errors and warnings."""
        command = [str(self.program), "lint", "--strict", str(self.copy(chart)), "--kube-version", KUBERNETES]
        for number, value in enumerate(values):
            command += ["--values", str(value if isinstance(value, Path) else self._file(value, number))]
        done = subprocess.run(command, capture_output=True, text=True, env=self._environment(), timeout=120)
        if done.returncode != 0:
            raise RenderError(done.stdout + done.stderr)
        return done.stdout

    def _environment(self) -> dict[str, str]:
        # Isolated from the clusters and the Helm configuration of the user.
        home = str(self.folder)
        return {"HOME": home, "HELM_CACHE_HOME": home, "HELM_CONFIG_HOME": home, "HELM_DATA_HOME": home, "PATH": ""}

    def _file(self, values: dict[str, Any], number: int) -> Path:
        file = self.folder / f"values-{number}.json"
        file.write_text(json.dumps(values))
        return file

    def copy(self, chart: str) -> Path:
        """A copy of the chart with its dependencies, or stubs."""
        copied = self.folder / chart
        if copied.exists():
            return copied
        ignored = [] if has_dependencies(chart) else ["charts", "Chart.lock"]
        shutil.copytree(CHARTS / chart, copied, ignore=shutil.ignore_patterns(*ignored))
        if not has_dependencies(chart):
            for one in dependencies(chart):
                _stub(copied / "charts" / one["name"], one)
        return copied


def _documents(text: str) -> Iterator[tuple[str, Object]]:
    """The objects in the output of Helm, each with its template."""
    for document in text.split("---\n# Source: ")[1:]:
        source, _, written = document.partition("\n")
        yield from ((source, one) for one in yaml.load_all(written, Loader=_Loader) if one)


def _stub(folder: Path, dependency: dict[str, str]) -> None:
    folder.mkdir(parents=True)
    named = {"apiVersion": "v2", "name": dependency["name"], "version": dependency["version"]}
    (folder / "Chart.yaml").write_text(yaml.safe_dump(named))
    schema = SHARED / "schemas" / f"{dependency['name']}-{dependency['version'].lstrip('v')}.values.schema.json"
    if schema.exists():
        shutil.copy(schema, folder / "values.schema.json")
