"""The collector's Prometheus metrics."""

from collections.abc import Mapping

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest
from prometheus_client.exposition import CONTENT_TYPE_PLAIN_0_0_4

CONTENT_TYPE = CONTENT_TYPE_PLAIN_0_0_4
BUCKETS = (0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1, 2, 5, 15)


class Metrics:
    """Counters, histograms and gauges of one process."""

    def __init__(self) -> None:
        self._registry = CollectorRegistry()
        self._requests = Counter(
            "collector_requests", "Completed requests.", ["route", "method", "status"], registry=self._registry
        )
        self._seconds = Histogram(
            "collector_request_seconds",
            "Time from the end of the request's headers to the end of its response.",
            ["route", "method"],
            buckets=BUCKETS,
            registry=self._registry,
        )
        self._records = Counter("collector_records", "Posted records by outcome.", ["outcome"], registry=self._registry)
        self._interactions = Counter(
            "collector_interactions", "Received interactions by outcome.", ["outcome"], registry=self._registry
        )
        self._unpublished = Gauge(
            "collector_unpublished_events",
            "Events that are not in Kafka yet; NaN if unknown.",
            registry=self._registry,
        )
        self._last_publish = Gauge(
            "collector_last_publish_timestamp_seconds",
            "When this process last emptied the outbox or found it empty; 0 for never.",
            registry=self._registry,
        )

    def count_request(self, route: str, method: str, status: int, seconds: float) -> None:
        self._requests.labels(route, method, status).inc()
        self._seconds.labels(route, method).observe(seconds)

    def count_records(self, outcomes: Mapping[str, int]) -> None:
        for outcome, records in outcomes.items():
            if records:
                self._records.labels(outcome).inc(records)

    def count_interactions(self, outcomes: Mapping[str, int]) -> None:
        for outcome, interactions in outcomes.items():
            if interactions:
                self._interactions.labels(outcome).inc(interactions)

    def mark_published(self) -> None:
        """Record that the outbox is empty now."""
        self._last_publish.set_to_current_time()

    def render(self, unpublished: int | None) -> bytes:
        """All metrics in Prometheus' text format."""
        self._unpublished.set(float("nan") if unpublished is None else unpublished)
        return generate_latest(self._registry)
