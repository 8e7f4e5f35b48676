"""`status` of a platform on a cluster: reads what the platform is made of, and shows every component."""

from datetime import UTC, datetime

from rich.box import SIMPLE
from rich.console import Console
from rich.markup import escape
from rich.table import Column, Table

from member_analyzer.cluster.components import Component, Platform, list_components
from member_analyzer.cluster.connection import Cluster, Object, connect_cluster
from member_analyzer.cluster.pods import Circumstances, event_time
from member_analyzer.settings import ClusterSettings

WORKLOADS = {
    "Deployment": ("deployments", "apis/apps/v1"),
    "StatefulSet": ("statefulsets", "apis/apps/v1"),
    "Job": ("jobs", "apis/batch/v1"),
}


def read_components(cluster: Cluster) -> list[Component]:
    """Every component of the platform as it is now."""
    settings = cluster.read_settings()
    release = settings["release"]
    own = {
        "Kafka": ("kafkas", release, "apis/kafka.strimzi.io/v1beta2"),
        "K8ssandraCluster": ("k8ssandraclusters", release, "apis/k8ssandra.io/v1alpha1"),
        "CassandraDatacenter": (
            "cassandradatacenters",
            settings["cassandra-datacenter"],
            "apis/cassandra.datastax.com/v1beta1",
        ),
        "SparkApplication": ("sparkapplications", f"{release}-stream", "apis/sparkoperator.k8s.io/v1beta2"),
    }
    resources = {kind: cluster.find(cluster.own(*where)) for kind, where in own.items()}
    platform = Platform(
        pods=cluster.list(cluster.own("pods")),
        workloads=read_workloads(cluster),
        resources=resources,
        inside_kafka=[
            one
            for kinds in ("kafkatopics", "kafkausers")
            for one in cluster.list(cluster.own(kinds, api="apis/kafka.strimzi.io/v1beta2"))
        ],
        unknown_kinds=frozenset(
            kind for kind, (_, _, api) in own.items() if resources[kind] is None and cluster.find(f"/{api}") is None
        ),
        around=Circumstances(
            events=sorted(cluster.list(cluster.own("events")), key=event_time),
            claims=cluster.list(cluster.own("persistentvolumeclaims")),
            now=datetime.now(UTC),
        ),
        release=release,
        airflow_name=settings["airflow-name"],
        postgres_host=settings["postgres-host"],
    )
    return list(list_components(platform, datetime.now(UTC)))


def read_workloads(cluster: Cluster) -> dict[tuple[str, str], Object]:
    """(kind, name) -> each workload of the namespace."""
    return {
        (kind, one["metadata"]["name"]): one
        for kind, (kinds, api) in WORKLOADS.items()
        for one in cluster.list(cluster.own(kinds, api=api))
    }


def show_status(settings: ClusterSettings, namespace: str, console: Console) -> bool:
    """Show the components, one a row; gives whether all are ready."""
    components = read_components(connect_cluster(settings, namespace))
    table = Table("component", "state", "pods", "restarts", Column("waits for", overflow="fold"), box=SIMPLE)
    for one in components:
        pods = f"{one.ready}/{one.wanted}" if one.wanted else ""
        state = "ready" if one.is_ready else "not ready"
        table.add_row(one.name, state, pods, str(one.restarts or ""), escape("\n".join(one.waits_for)))
    console.print(table)
    return all(one.is_ready for one in components)
