"""Access to the servers behind the console: their monitors, and the queries of requests.

A request fails at once if a server is known to be down, and after a timeout otherwise.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, date, datetime
from functools import partial
from http import HTTPStatus
from typing import Any, Self, TypeVar

import httpx2
import psycopg
from anyio import CapacityLimiter, fail_after, to_thread
from confluent_kafka import KafkaException
from confluent_kafka.schema_registry.error import SchemaRegistryError

from member_analyzer.analysis.counts import Distribution
from member_analyzer.console.client_errors import describe_error
from member_analyzer.console.decoding import (
    Decoder,
    RegistryUnavailableError,
    format_bytes,
    format_headers,
    format_key,
    to_json_value,
)
from member_analyzer.console.masking import mask_identifier
from member_analyzer.console.messages import MessageQuery, read_messages
from member_analyzer.console.monitoring import Monitor, MonitorThread, UnavailableError, Watchdog
from member_analyzer.console.monitors import cassandra, registry
from member_analyzer.console.monitors.airflow import AirflowMonitor
from member_analyzer.console.monitors.cassandra import CassandraMonitor
from member_analyzer.console.monitors.collector import CollectorMonitor
from member_analyzer.console.monitors.kafka import KafkaMonitor
from member_analyzer.console.monitors.landing import LandingMonitor
from member_analyzer.console.monitors.registry import RegistryMonitor, connect_registry
from member_analyzer.console.monitors.rejected import RejectedMonitor
from member_analyzer.console.monitors.spark import SparkMonitor
from member_analyzer.console.monitors.user_api import UserApiMonitor
from member_analyzer.console.monitors.zookeeper import ZooKeeperMonitor
from member_analyzer.console.rejected_index import Entry, StateFilter
from member_analyzer.console.restart_loops import RestartLoops
from member_analyzer.console.snapshot import Snapshot
from member_analyzer.console.status import State
from member_analyzer.console.status_store import StatusStore
from member_analyzer.deadletters.rejected import read_message
from member_analyzer.deadletters.replay import Replayed, ReplayServers, replay
from member_analyzer.http.problem import ProblemError
from member_analyzer.kafka.reader import open_topic_reader
from member_analyzer.kafka.registry import (
    SchemaMissingError,
    read_schema,
    read_version,
    value_reader,
)
from member_analyzer.kafka.topics import TopicError
from member_analyzer.landing.connection import connect_landing
from member_analyzer.publishing.producer import PublishError, RecordProducer
from member_analyzer.publishing.publisher import EventProducer, publish_unpublished
from member_analyzer.records.rejection import Reason
from member_analyzer.records.text import printable
from member_analyzer.settings import (
    AirflowSettings,
    CassandraSettings,
    ConsoleSettings,
    GraphSettings,
    KafkaSettings,
    LandingSettings,
    ProgramSettings,
    RegistrySettings,
)
from member_analyzer.streams.definition import StreamDefinition

Result = TypeVar("Result")

REQUEST_TIMEOUT = 15
REPLAY_TIMEOUT = 600
CONCURRENT_REQUESTS = 4
KAFKA_TIMEOUT = 5

# Component -> the errors of its clients while it is unavailable.
UNAVAILABLE_ERRORS: Mapping[str, tuple[type[Exception], ...]] = {
    "cassandra": (*cassandra.UNAVAILABLE_ERRORS, UnavailableError),
    "kafka": (KafkaException, TopicError, PublishError),
    "registry": (*registry.UNAVAILABLE_ERRORS,),
    "landing": (psycopg.OperationalError,),
}


@dataclass(frozen=True)
class Settings:
    """All settings of the console."""

    console: ConsoleSettings
    landing: LandingSettings
    kafka: KafkaSettings
    registry: RegistrySettings
    cassandra: CassandraSettings
    airflow: AirflowSettings
    graphs: GraphSettings

    @classmethod
    def read(cls, read: Callable[[type[ProgramSettings]], Any] = lambda settings: settings()) -> Self:
        """Read the settings from the environment, unless `read` reads them from elsewhere."""
        return cls(**{name: read(settings) for name, settings in cls.__annotations__.items()})


class Backends:
    """The servers behind the console."""

    def __init__(self, settings: Settings, definition: StreamDefinition) -> None:
        self.settings = settings
        self.definition = definition
        self.store = StatusStore(datetime.now(UTC))
        snapshot = Snapshot()
        self._cassandra = CassandraMonitor(settings.cassandra, snapshot, self.store, definition)
        self._rejected = RejectedMonitor(settings.kafka, settings.landing, snapshot.rejected, definition)
        self._registry = connect_registry(settings.registry)
        self._decoder = Decoder(self._find_schema)
        monitors: list[Monitor] = [
            UserApiMonitor(settings.console, snapshot),
            AirflowMonitor(settings.airflow, snapshot),
            CollectorMonitor(settings.console),
            LandingMonitor(settings.landing, definition),
            KafkaMonitor(settings.kafka, snapshot, definition),
            RegistryMonitor(settings.registry),
            ZooKeeperMonitor(settings.console),
            SparkMonitor(settings.console, snapshot, definition),
            self._cassandra,
            self._rejected,
        ]
        find_restart_loop = RestartLoops(settings.console).find
        self.watchdog = Watchdog([MonitorThread(monitor, self.store, find_restart_loop) for monitor in monitors])
        self._limiters = {component: CapacityLimiter(CONCURRENT_REQUESTS) for component in UNAVAILABLE_ERRORS}
        self._replay_limiter = CapacityLimiter(1)

    async def run_query(self, component: str, query: Callable[[], Result]) -> Result:
        """Run a blocking query in a thread. Raises ProblemError 503 when the server is unavailable."""
        self._require_available(component)
        try:
            with fail_after(REQUEST_TIMEOUT):
                return await to_thread.run_sync(query, limiter=self._limiters[component], abandon_on_cancel=True)
        except TimeoutError:
            raise _unavailable(component, f"No response within {REQUEST_TIMEOUT} seconds.") from None
        except UNAVAILABLE_ERRORS[component] as error:
            raise _unavailable(component, describe_error(error)) from error

    async def read_days(self) -> list[date]:
        """All analysed days, newest first."""
        return await self.run_query("cassandra", lambda: self._cassandra.tables.read_days())

    async def read_distribution(self, table: str, day: date | None) -> tuple[date, Distribution]:
        """One table of a day, by default the newest. Raises ProblemError 404 for a day without an analysis."""

        def read() -> tuple[date | None, Distribution]:
            tables = self._cassandra.tables
            chosen = day or tables.read_progress().analysis_date
            return chosen, tables.read_distribution(table, chosen) if chosen else Distribution({}, 0)

        chosen, distribution = await self.run_query("cassandra", read)
        if chosen is None:
            raise ProblemError(HTTPStatus.NOT_FOUND, "No members have been counted yet.")
        if not distribution.buckets and not distribution.total:
            raise ProblemError(HTTPStatus.NOT_FOUND, f"There is no analysis of {chosen}; /api/days lists all days.")
        return chosen, distribution

    async def read_messages(self, query: MessageQuery, *, masked: bool) -> dict[str, Any]:
        def read() -> dict[str, Any]:
            with open_topic_reader(self.settings.kafka, timeout=KAFKA_TIMEOUT) as reader:
                return read_messages(reader, query, self._decoder, masked=masked)

        return await self.run_query("kafka", read)

    async def read_schema(self, subject: str, version: int) -> tuple[int, str]:
        """Id and text of one version of a schema. Raises ProblemError 404 if there is none."""
        try:
            return await self.run_query("registry", partial(read_version, self._registry, subject, version))
        except SchemaMissingError as error:
            raise ProblemError(HTTPStatus.NOT_FOUND, str(error)) from error

    def list_rejected(self, state: StateFilter, reason: str | None, limit: int) -> tuple[int, list[Entry]]:
        """The number of matching rejected records, and the newest of them, among those read so far."""
        return self._rejected.index.list(state, reason, limit)

    def is_reason(self, reason: str) -> bool:
        """Whether records can have been rejected for this reason."""
        return reason in set(Reason) or self._rejected.index.has_reason(reason)

    async def read_rejected(self, origin: str, *, masked: bool) -> dict[str, Any]:
        """One rejected record with its contents. Raises ProblemError 404 if there is none."""
        entry = await to_thread.run_sync(self._rejected.index.find, origin)
        if entry is None:
            raise ProblemError(HTTPStatus.NOT_FOUND, f"There is no rejected record {origin}.")

        def read() -> dict[str, Any]:
            ranges = {entry.stored_partition: range(entry.stored_offset, entry.stored_offset + 1)}
            with open_topic_reader(self.settings.kafka, timeout=KAFKA_TIMEOUT) as reader:
                topic = self.definition.dead_letter_topic
                for message in reader.read_ranges(topic, ranges, seconds=KAFKA_TIMEOUT):
                    record = read_message(message, self.definition)
                    decoded = self._decoder.decode(record.value, masked=masked)
                    key = format_key(record.key)
                    return {
                        "key": mask_identifier(key) if masked else to_json_value(key),
                        "headers": format_headers(record.headers, masked=masked),
                        "fields": decoded.fields,
                        "decoding_error": decoded.error,
                        "value": format_bytes(record.value, masked=masked),
                    }
            raise TopicError(f"Kafka did not return the record {origin}.")

        return describe_entry(entry) | await self.run_query("kafka", read) | {"masked": masked}

    async def replay(self, reason: str | None, origins: list[str]) -> Replayed:
        """Replay the records with these origins or with this reason, otherwise all; one replay runs at a time."""
        for component in ("kafka", "registry", "landing"):
            self._require_available(component)
        settings, definition = self.settings, self.definition

        def send() -> Replayed:
            with (
                connect_landing(settings.landing) as landing,
                open_topic_reader(settings.kafka, timeout=KAFKA_TIMEOUT) as topics,
            ):

                def publish() -> int:
                    return publish_unpublished(landing, EventProducer(definition, settings.kafka, settings.registry))

                values = value_reader(self._registry, definition)
                producer = RecordProducer(settings.kafka, definition.topic)
                servers = ReplayServers(topics, landing, definition, producer, values, publish)
                return replay(servers, reason=reason, origins=origins)

        try:
            with fail_after(REPLAY_TIMEOUT):
                return await to_thread.run_sync(send, limiter=self._replay_limiter, abandon_on_cancel=True)
        except LookupError as error:
            raise ProblemError(HTTPStatus.NOT_FOUND, str(error)) from error
        except TimeoutError:
            raise _unavailable("kafka", f"The replay did not finish within {REPLAY_TIMEOUT} seconds.") from None
        except tuple(kind for kinds in UNAVAILABLE_ERRORS.values() for kind in kinds) as error:
            component = next(name for name, kinds in UNAVAILABLE_ERRORS.items() if isinstance(error, kinds))
            raise _unavailable(component, describe_error(error)) from error

    def _find_schema(self, schema_id: int) -> str | None:
        if self.store.component("registry").status.state == State.DOWN:
            raise RegistryUnavailableError
        try:
            return read_schema(self._registry, schema_id)
        except (SchemaRegistryError, httpx2.HTTPError) as error:
            raise RegistryUnavailableError from error

    def _require_available(self, component: str) -> None:
        status = self.store.component(component).status
        if status.state == State.DOWN:
            raise _unavailable(component, status.error or "")


def describe_entry(entry: Entry) -> dict[str, Any]:
    """A rejected record without its contents, as JSON values."""
    return {
        "origin": entry.origin,
        "reason": entry.reason,
        "message": printable(entry.message),
        "at": entry.at,
        "is_replayed": entry.is_replayed,
    }


def _unavailable(component: str, error: str) -> ProblemError:
    return ProblemError(
        HTTPStatus.SERVICE_UNAVAILABLE,
        f"The component {component} is unavailable. {error}".strip(),
        headers={"Retry-After": "5"},
        component=component,
    )
