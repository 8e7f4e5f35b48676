"""The background publisher, which publishes members as soon as they land and retries until it succeeds."""

from contextlib import ExitStack
from dataclasses import dataclass
from threading import Event, Thread

import structlog
from tenacity import (
    RetryCallState,
    Retrying,
    retry_if_exception_type,
    sleep_using_event,
    stop_when_event_set,
    wait_exponential,
)

from member_analyzer.collector.metrics import Metrics
from member_analyzer.landing.connection import Connection, connect_landing
from member_analyzer.publishing.publisher import EventProducer, publish_unpublished
from member_analyzer.settings import KafkaSettings, LandingSettings, RegistrySettings
from member_analyzer.streams.definition import StreamDefinition

log = structlog.get_logger(__name__)

POLL_INTERVAL_SECONDS = 1
# Batches what lands within this time: members that arrive one by one then cost a third of the transactions.
LINGER_SECONDS = 0.05
MAX_BACKOFF_SECONDS = 5
# A batch that is not done by then is rolled back, and another publisher takes it.
SHUTDOWN_SECONDS = 6


@dataclass(frozen=True)
class PublisherSettings:
    """The stream that is published, and the servers that the publisher connects to."""

    definition: StreamDefinition
    landing: LandingSettings
    kafka: KafkaSettings
    registry: RegistrySettings


class Publisher:
    """A thread that publishes what has landed until it is stopped; it survives unavailable servers."""

    def __init__(self, settings: PublisherSettings, metrics: Metrics) -> None:
        self._settings = settings
        self._metrics = metrics
        self._stack = ExitStack()
        self._open: tuple[Connection, EventProducer] | None = None
        self._landed = Event()
        self._stopping = Event()
        self._is_failing = False
        # A daemon, so that a server that hangs does not block the exit.
        self._thread = Thread(target=self._run, name="publisher", daemon=True)

    def start(self) -> None:
        self._thread.start()

    def wake(self) -> None:
        """Publish without waiting for the next poll."""
        self._landed.set()

    def stop(self) -> None:
        """Stop after the current batch."""
        self._stopping.set()
        self._landed.set()
        self._thread.join(SHUTDOWN_SECONDS)

    def _run(self) -> None:
        attempts = Retrying(
            retry=retry_if_exception_type(Exception),
            wait=wait_exponential(multiplier=0.5, max=MAX_BACKOFF_SECONDS),
            stop=stop_when_event_set(self._stopping),
            sleep=sleep_using_event(self._stopping),
            after=self._handle_failure,
            retry_error_callback=lambda _: None,
        )
        while not self._stopping.is_set():
            if self._landed.wait(POLL_INTERVAL_SECONDS):
                self._stopping.wait(LINGER_SECONDS)
            self._landed.clear()
            attempts(self._publish)
        self._disconnect()

    def _publish(self) -> None:
        connection, producer = self._open or self._connect()
        publish_unpublished(connection, producer)
        self._metrics.mark_published()
        if self._is_failing:
            self._is_failing = False
            log.info("publisher.recovered")

    def _connect(self) -> tuple[Connection, EventProducer]:
        settings = self._settings
        producer = EventProducer(settings.definition, settings.kafka, settings.registry)
        self._open = self._stack.enter_context(connect_landing(settings.landing)), producer
        return self._open

    def _disconnect(self) -> None:
        # A producer that has failed to deliver a record accepts no more records.
        self._open = None
        self._stack.close()

    def _handle_failure(self, state: RetryCallState) -> None:
        self._disconnect()
        error = state.outcome.exception() if state.outcome else None
        if not self._is_failing:
            self._is_failing = True
            # Only its type: PostgreSQL's message may contain a row.
            log.warning("publisher.failing", error=type(error).__name__)
