"""What the collector tells Prometheus of itself."""

from collections.abc import Mapping

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest
from prometheus_client.exposition import CONTENT_TYPE_PLAIN_0_0_4

CONTENT_TYPE = CONTENT_TYPE_PLAIN_0_0_4
SECONDS = (0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1, 2, 5, 15)


class Measures:
    """Counters and histograms of one collector."""

    def __init__(self) -> None:
        self._registry = CollectorRegistry()
        self._requests = Counter(
            "collector_requests", "Answered requests.", ["route", "method", "status"], registry=self._registry
        )
        self._seconds = Histogram(
            "collector_request_seconds",
            "From the request's headers to the end of its answer.",
            ["route", "method"],
            buckets=SECONDS,
            registry=self._registry,
        )
        self._records = Counter("collector_records", "Posted records.", ["outcome"], registry=self._registry)
        self._unpublished = Gauge(
            "collector_unpublished_events", "Events that Kafka has not yet; NaN if unknown.", registry=self._registry
        )
        self._published = Gauge(
            "collector_last_publish_timestamp_seconds",
            "When this process last found everything published, or published it; 0 for never.",
            registry=self._registry,
        )

    def answered(self, route: str, method: str, status: int, seconds: float) -> None:
        """Count a request."""
        self._requests.labels(route, method, status).inc()
        self._seconds.labels(route, method).observe(seconds)

    def judged(self, outcomes: Mapping[str, int]) -> None:
        """Count what became of records."""
        for outcome, records in outcomes.items():
            if records:
                self._records.labels(outcome).inc(records)

    def published(self) -> None:
        """Note that nothing was left to publish."""
        self._published.set_to_current_time()

    def expose(self, unpublished: int | None) -> bytes:
        """Everything in Prometheus' text form."""
        self._unpublished.set(float("nan") if unpublished is None else unpublished)
        return generate_latest(self._registry)
