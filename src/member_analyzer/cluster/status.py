"""The command `status` for a platform on a cluster."""

from datetime import UTC, datetime

from rich.box import SIMPLE
from rich.console import Console
from rich.markup import escape
from rich.table import Column, Table

from member_analyzer.cluster.components import Component, Platform, list_components
from member_analyzer.cluster.connection import Cluster, Object, connect_cluster
from member_analyzer.cluster.pods import PodContext, event_time
from member_analyzer.settings import ClusterSettings

WORKLOADS = {
    "Deployment": ("deployments", "apis/apps/v1"),
    "StatefulSet": ("statefulsets", "apis/apps/v1"),
    "Job": ("jobs", "apis/batch/v1"),
}


def read_components(cluster: Cluster) -> list[Component]:
    """Read the current state of every component."""
    settings = cluster.read_settings()
    release = settings["release"]
    names = {
        "Kafka": ("kafkas", release, "apis/kafka.strimzi.io/v1beta2"),
        "K8ssandraCluster": ("k8ssandraclusters", release, "apis/k8ssandra.io/v1alpha1"),
        "CassandraDatacenter": (
            "cassandradatacenters",
            settings["cassandra-datacenter"],
            "apis/cassandra.datastax.com/v1beta1",
        ),
        "SparkApplication": ("sparkapplications", f"{release}-stream", "apis/sparkoperator.k8s.io/v1beta2"),
    }
    resources = {kind: cluster.get(cluster.path(*where)) for kind, where in names.items()}
    platform = Platform(
        pods=cluster.list(cluster.path("pods")),
        workloads=read_workloads(cluster),
        resources=resources,
        kafka_resources=[
            resource
            for kinds in ("kafkatopics", "kafkausers")
            for resource in cluster.list(cluster.path(kinds, api="apis/kafka.strimzi.io/v1beta2"))
        ],
        unknown_kinds=frozenset(
            kind for kind, (_, _, api) in names.items() if resources[kind] is None and cluster.get(f"/{api}") is None
        ),
        context=PodContext(
            events=sorted(cluster.list(cluster.path("events")), key=event_time),
            claims=cluster.list(cluster.path("persistentvolumeclaims")),
            now=datetime.now(UTC),
        ),
        release=release,
        airflow_name=settings["airflow-name"],
        postgres_host=settings["postgres-host"],
    )
    return list(list_components(platform, datetime.now(UTC)))


def read_workloads(cluster: Cluster) -> dict[tuple[str, str], Object]:
    """Read the workloads of the namespace by kind and name."""
    return {
        (kind, workload["metadata"]["name"]): workload
        for kind, (kinds, api) in WORKLOADS.items()
        for workload in cluster.list(cluster.path(kinds, api=api))
    }


def show_status(settings: ClusterSettings, namespace: str, console: Console) -> bool:
    """Show a table of the components and return whether all are ready."""
    components = read_components(connect_cluster(settings, namespace))
    table = Table("component", "state", "pods", "restarts", Column("problem", overflow="fold"), box=SIMPLE)
    for component in components:
        pods = f"{component.ready}/{component.desired}" if component.desired else ""
        state = "ready" if component.is_ready else "not ready"
        problems = escape("\n".join(component.problems))
        table.add_row(component.name, state, pods, str(component.restarts or ""), problems)
    console.print(table)
    return all(component.is_ready for component in components)
