"""The whole platform in a namespace of a cluster: its servers through tunnels, its pods and their resource usage."""

import re
import subprocess
import sys
from collections import defaultdict
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, NamedTuple

from tenacity import Retrying

import measurements
from member_analyzer.analysis.connection import connect_cassandra
from member_analyzer.analysis.tables import AnalysisTables
from member_analyzer.cluster.connection import Cluster, Object
from member_analyzer.cluster.environment import ClusterEnvironment
from member_analyzer.cluster.pods import is_ready
from member_analyzer.cluster.tunnel import open_service
from member_analyzer.fake_users.page import make_users
from member_analyzer.fake_users.query import Query
from member_analyzer.kafka.registry import register_schema, registry_client
from member_analyzer.landing.connection import Connection, connect_landing
from member_analyzer.operations.airflow import AirflowClient
from member_analyzer.settings import AirflowSettings, CassandraSettings, LandingSettings, RegistrySettings
from member_analyzer.streams.members.definition import MEMBERS
from member_count import MemberCount
from namespace import Namespace

STREAM = "sparkoperator.k8s.io/app-name=member-analyzer-stream"
# The parts of the platform, with the labels of their pods.
PARTS: Mapping[str, str] = {
    "broker": "strimzi.io/name=member-analyzer-kafka",
    "zookeeper": "strimzi.io/name=member-analyzer-zookeeper",
    "cassandra": "cassandra.datastax.com/cluster=member-analyzer",
    "driver": f"{STREAM},spark-role=driver",
    "executor": f"{STREAM},spark-role=executor",
    "postgres": "app.kubernetes.io/component=postgres",
    "registry": "app.kubernetes.io/component=registry",
    "scheduler": "tier=airflow,component=scheduler",
    "api-server": "tier=airflow,component=api-server",
    "dag-processor": "tier=airflow,component=dag-processor",
    "collector": "app.kubernetes.io/component=collector",
    "console": "app.kubernetes.io/component=console",
    "user-api": "app.kubernetes.io/component=user-api",
}
READY_SECONDS = 900
# Pods that are not part of the platform.
KUBERNETES = ("kube-system/", "local-path-storage/")


class PodUsage(NamedTuple):
    """The usage of a pod: memory in MB and CPU in cores."""

    memory: float
    cores: float


Usage = dict[str, PodUsage]


class InstalledPlatform(MemberCount):
    """The platform as an administrator connects to it, and the members that the tests sent."""

    def __init__(self, namespace: Namespace) -> None:
        super().__init__()
        self.namespace = namespace
        self._stack = ExitStack()

    def users(self, seed: str, results: int, page: int) -> list[dict[str, Any]]:
        """A page of the bundled user API, generated locally."""
        return list(make_users(Query(seed=seed, results=results, page=page), datetime.now(UTC).date()))

    @property
    def cluster(self) -> Cluster:
        """The connection to the cluster."""
        return self.namespace.connect()

    def command(self, *arguments: str, check: bool = True) -> subprocess.CompletedProcess[str]:
        """Run `member-analyzer --namespace ...`."""
        program = Path(sys.executable).with_name("member-analyzer")
        return subprocess.run(
            [program, "--namespace", self.namespace.name, *arguments],
            env=self.namespace.environment | {"COLUMNS": "200"},
            capture_output=True,
            text=True,
            check=check,
            timeout=900,
        )

    def connect(self) -> None:
        """Open the connections that the tests share, again after a server was unavailable."""
        self._stack.close()
        environment = ClusterEnvironment(self.cluster, self._stack)
        cassandra = CassandraSettings.of(environment)
        self.session = self._stack.enter_context(connect_cassandra(cassandra))
        self.tables = AnalysisTables(self.session, cassandra.keyspace, MEMBERS)
        self.landing: Connection = self._stack.enter_context(connect_landing(LandingSettings.of(environment)))
        self.airflow: AirflowClient = self._stack.enter_context(AirflowClient.log_in(AirflowSettings.of(environment)))

    @contextmanager
    def airflow_alone(self, patient: Retrying) -> Iterator[AirflowClient]:
        """A client of Airflow only, as soon as it accepts logins."""

        def log_in() -> AirflowClient:
            stack.close()
            return stack.enter_context(
                AirflowClient.log_in(AirflowSettings.of(ClusterEnvironment(self.cluster, stack)))
            )

        with ExitStack() as stack:
            yield patient(log_in)

    def disconnect(self) -> None:
        self._stack.close()

    def pods(self, part: str) -> list[Object]:
        """The pods of a part that have not completed."""
        found = self.namespace.read("pods", "--selector", PARTS[part])["items"]
        return [one for one in found if one["status"]["phase"] not in ("Succeeded", "Failed")]

    def kill(self, part: str) -> set[str]:
        """Force the deletion of all pods of a part. Returns their uids."""
        pods = self.pods(part)
        assert pods, f"there is no pod of {part} to kill"
        names = [one["metadata"]["name"] for one in pods]
        self.namespace.kubectl("delete", "pods", *names, "--grace-period=0", "--force", "--wait=false")
        return {one["metadata"]["uid"] for one in pods}

    def wait_until_back(self, part: str, killed: set[str]) -> None:
        """Wait until new pods are ready."""

        def is_back() -> bool:
            pods = self.pods(part)
            return bool(pods) and all(map(is_ready, pods)) and not killed & {one["metadata"]["uid"] for one in pods}

        self.namespace.wait(f"{part} is ready again", is_back, seconds=READY_SECONDS)

    def restore_schemas(self) -> None:
        """Register the schema again if the registry lost it, as its stub does when it restarts."""
        with open_service(self.cluster, "member-analyzer-registry", 8080) as port:
            registry = registry_client(RegistrySettings(url=f"http://127.0.0.1:{port}/apis/ccompat/v7"))
            if not registry.get_subjects():
                register_schema(registry, MEMBERS.subject, MEMBERS.schema)
                measurements.note("the registry lost its schemas when it was killed; they were registered again", True)

    def wait_until_ready(self) -> None:
        """Wait until `member-analyzer status` succeeds."""
        self.namespace.wait(
            "every component is ready",
            lambda: self.command("status", check=False).returncode == 0,
            seconds=READY_SECONDS,
        )

    def check(self, seconds: float = 300) -> None:
        """All accepted members are counted once, and the audit agrees."""
        # Rows are written less often than counts, and a restarted stream is slow until Java has compiled it.
        self.wait_until_counted(seconds, rows_seconds=180)
        audit = self.command("audit", "--wait", "120", check=False)
        assert audit.returncode == 0, audit.stdout + audit.stderr

    def usage(self) -> Usage:
        """The current usage of each running pod, from the kubelets."""
        found: Usage = {}
        for node in self.cluster.list("/api/v1/nodes"):
            summary = self.cluster.get(f"/api/v1/nodes/{node['metadata']['name']}/proxy/stats/summary") or {}
            for pod in summary.get("pods") or ():
                found[f"{pod['podRef']['namespace']}/{pod['podRef']['name']}"] = PodUsage(
                    pod.get("memory", {}).get("workingSetBytes", 0) / 2**20,
                    pod.get("cpu", {}).get("usageNanoCores", 0) / 1e9,
                )
        return found


def own_memory(usage: Usage) -> float:
    """Memory of the platform and its operators, in MB."""
    return sum(used.memory for name, used in usage.items() if not name.startswith(KUBERNETES))


def usage_by_component(samples: list[Usage]) -> dict[str, str]:
    """The maximum memory and the mean CPU of each component, formatted."""
    most: dict[str, float] = defaultdict(float)
    cores: dict[str, float] = defaultdict(float)
    for usage in samples:
        now: dict[str, float] = defaultdict(float)
        for name, used in usage.items():
            component = re.sub(r"(-[0-9a-f]{8,10})?-[a-z0-9]{5}$|-[0-9a-f]{16}(?=-exec)|-[a-z0-9]{8}$", "", name)
            now[component] += used.memory
            cores[component] += used.cores / len(samples)
        most |= {component: max(most[component], memory) for component, memory in now.items()}
    return {name: f"{most[name]:.0f} MB, {cores[name]:.2f} cores" for name in sorted(most) if most[name]}
