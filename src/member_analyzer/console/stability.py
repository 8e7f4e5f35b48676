"""Which stations are in a restart loop: by the logs on one machine, by the pods on Kubernetes."""

import time
from collections.abc import Mapping
from datetime import UTC, datetime
from threading import Lock
from typing import Any

from member_analyzer.console.stations.own_pods import list_pods
from member_analyzer.console.watch import AwayError
from member_analyzer.operations.restarts import Restarts, read_pod_restarts, read_restarts
from member_analyzer.settings import ConsoleSettings

SECONDS_BETWEEN_READS = 5

# Station -> its servers on one machine, by their names.
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

# Station -> a label of its pods on Kubernetes, and the values that it may have.
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


class Stability:
    """The restarts of each station's servers, read now and then. Any thread may use it."""

    def __init__(self, settings: ConsoleSettings) -> None:
        self._settings = settings
        self._lock = Lock()
        self._read_at = float("-inf")
        self._restarts: Mapping[str, Restarts] = {}

    def find(self, station: str) -> Restarts | None:
        """The restarts of a station's servers where they are a loop."""
        with self._lock:
            if time.monotonic() - self._read_at > SECONDS_BETWEEN_READS:
                self._restarts, self._read_at = self._read(datetime.now(UTC)), time.monotonic()
            found = self._restarts.get(station)
        return found if found is not None and found.is_loop else None

    def _read(self, now: datetime) -> Mapping[str, Restarts]:
        if self._settings.logs_directory is not None:
            return of_servers(read_restarts(self._settings.logs_directory, now))
        if self._settings.namespace is not None:
            try:
                return of_pods(list_pods(self._settings.namespace, ""), now)
            except AwayError:
                # Kubernetes does not answer; the stations are looked at all the same.
                return {}
        return {}


def of_servers(restarts: Mapping[str, Restarts]) -> dict[str, Restarts]:
    """By station, the restarts of the one of its servers that was restarted most."""
    return {
        station: max((restarts[one] for one in servers if one in restarts), key=lambda one: one.count)
        for station, servers in SERVERS.items()
        if any(one in restarts for one in servers)
    }


def of_pods(pods: list[Pod], now: datetime) -> dict[str, Restarts]:
    """By station, the restarts of its pods."""
    restarts = {
        station: read_pod_restarts(
            (pod for pod in pods if (pod["metadata"].get("labels") or {}).get(label) in values), now
        )
        for station, (label, values) in LABELS.items()
    }
    return {station: one for station, one in restarts.items() if one is not None}
