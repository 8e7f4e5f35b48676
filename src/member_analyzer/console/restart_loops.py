"""Finds components in a restart loop: from the logs on one machine, from the pods on Kubernetes."""

import time
from collections.abc import Mapping
from datetime import UTC, datetime
from threading import Lock
from typing import Any

from member_analyzer.console.monitoring import UnavailableError
from member_analyzer.console.monitors.pods import list_pods
from member_analyzer.operations.restarts import Restarts, read_pod_restarts, read_restarts
from member_analyzer.settings import ConsoleSettings

CACHE_SECONDS = 5

# Component -> the names of its servers on one machine.
SERVERS: Mapping[str, tuple[str, ...]] = {
    "user-api": ("user-api",),
    "airflow": ("airflow-api", "airflow-scheduler", "airflow-dag-processor"),
    "collector": ("collector",),
    "landing": ("postgres",),
    "kafka": ("kafka",),
    "registry": ("registry",),
    "zookeeper": ("zookeeper",),
    "spark": ("stream",),
    "cassandra": ("cassandra",),
}

# Component -> a label of its pods on Kubernetes, and the possible values.
LABELS: Mapping[str, tuple[str, tuple[str, ...]]] = {
    "user-api": ("app.kubernetes.io/component", ("user-api",)),
    "airflow": ("component", ("api-server", "scheduler", "dag-processor")),
    "collector": ("app.kubernetes.io/component", ("collector",)),
    "landing": ("app.kubernetes.io/component", ("postgres",)),
    "kafka": ("strimzi.io/component-type", ("kafka",)),
    "registry": ("app.kubernetes.io/component", ("registry",)),
    "zookeeper": ("strimzi.io/component-type", ("zookeeper",)),
    "spark": ("app.kubernetes.io/component", ("stream",)),
    "cassandra": ("app.kubernetes.io/name", ("cassandra",)),
}

Pod = Mapping[str, Any]


class RestartLoops:
    """The restarts of each component, cached for some seconds. Thread-safe."""

    def __init__(self, settings: ConsoleSettings) -> None:
        self._settings = settings
        self._lock = Lock()
        self._read_at = float("-inf")
        self._restarts: Mapping[str, Restarts] = {}

    def find(self, component: str) -> Restarts | None:
        """The restarts of a component in a restart loop, None for any other."""
        with self._lock:
            if time.monotonic() - self._read_at > CACHE_SECONDS:
                self._restarts, self._read_at = self._read(datetime.now(UTC)), time.monotonic()
            restarts = self._restarts.get(component)
        return restarts if restarts is not None and restarts.is_loop else None

    def _read(self, now: datetime) -> Mapping[str, Restarts]:
        if self._settings.logs_directory is not None:
            return restarts_of_servers(read_restarts(self._settings.logs_directory, now))
        if self._settings.namespace is not None:
            try:
                return restarts_of_pods(list_pods(self._settings.namespace, ""), now)
            except UnavailableError:
                # The components are monitored without the Kubernetes API, too.
                return {}
        return {}


def restarts_of_servers(restarts: Mapping[str, Restarts]) -> dict[str, Restarts]:
    """By component, the restarts of its server that was restarted most often."""
    return {
        component: max((restarts[name] for name in servers if name in restarts), key=lambda candidate: candidate.count)
        for component, servers in SERVERS.items()
        if any(name in restarts for name in servers)
    }


def restarts_of_pods(pods: list[Pod], now: datetime) -> dict[str, Restarts]:
    """By component, the restarts of its pods."""
    by_component = {
        component: read_pod_restarts(
            (pod for pod in pods if (pod["metadata"].get("labels") or {}).get(label) in values), now
        )
        for component, (label, values) in LABELS.items()
    }
    return {component: restarts for component, restarts in by_component.items() if restarts is not None}
