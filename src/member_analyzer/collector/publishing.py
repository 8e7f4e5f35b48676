"""The background publisher: what has landed is on its way to Kafka at once, whatever became of the last attempt."""

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

from member_analyzer.collector.measures import Measures
from member_analyzer.landing.connection import Connection, connect_landing
from member_analyzer.publishing.publisher import MemberProducer, publish_unpublished
from member_analyzer.settings import KafkaSettings, LandingSettings, RegistrySettings

log = structlog.get_logger(__name__)

SECONDS_BETWEEN_LOOKS = 1
# What lands meanwhile goes along: members that come one by one cost a third of the transactions then.
SECONDS_TO_GATHER = 0.05
LONGEST_WAIT_SECONDS = 5
# What is not finished after so long is rolled back, and published by whoever is next.
SECONDS_TO_FINISH = 6


@dataclass(frozen=True)
class Servers:
    """Where the members come from and go to."""

    landing: LandingSettings
    kafka: KafkaSettings
    registry: RegistrySettings


class Publisher:
    """A thread that publishes what has landed until it is stopped; no server that is away ends it."""

    def __init__(self, servers: Servers, measures: Measures) -> None:
        self._servers = servers
        self._measures = measures
        self._stack = ExitStack()
        self._open: tuple[Connection, MemberProducer] | None = None
        self._landed = Event()
        self._ending = Event()
        self._is_waiting = False
        # A daemon, so that a server that hangs does not keep the program from ending.
        self._thread = Thread(target=self._run, name="publisher", daemon=True)

    def start(self) -> None:
        """Begin to publish."""
        self._thread.start()

    def wake(self) -> None:
        """Tell it that something has landed."""
        self._landed.set()

    def stop(self) -> None:
        """Let it finish its batch, and end it."""
        self._ending.set()
        self._landed.set()
        self._thread.join(SECONDS_TO_FINISH)

    def _run(self) -> None:
        attempts = Retrying(
            retry=retry_if_exception_type(Exception),
            wait=wait_exponential(multiplier=0.5, max=LONGEST_WAIT_SECONDS),
            stop=stop_when_event_set(self._ending),
            sleep=sleep_using_event(self._ending),
            after=self._tell_fault,
            retry_error_callback=lambda _: None,
        )
        while not self._ending.is_set():
            if self._landed.wait(SECONDS_BETWEEN_LOOKS):
                self._ending.wait(SECONDS_TO_GATHER)
            self._landed.clear()
            attempts(self._publish)
        self._disconnect()

    def _publish(self) -> None:
        connection, producer = self._open or self._connect()
        publish_unpublished(connection, producer)
        self._measures.published()
        if self._is_waiting:
            self._is_waiting = False
            log.info("publisher.goes_on")

    def _connect(self) -> tuple[Connection, MemberProducer]:
        producer = MemberProducer(self._servers.kafka, self._servers.registry)
        self._open = self._stack.enter_context(connect_landing(self._servers.landing)), producer
        return self._open

    def _disconnect(self) -> None:
        # A producer that has given up a record takes no more of them.
        self._open = None
        self._stack.close()

    def _tell_fault(self, state: RetryCallState) -> None:
        self._disconnect()
        error = state.outcome.exception() if state.outcome else None
        if not self._is_waiting:
            self._is_waiting = True
            # Only its type: what PostgreSQL says of a row may hold the row.
            log.warning("publisher.waits", error=type(error).__name__)
