"""The servers behind the console: what watches them, and what a request asks them for.

A request never waits for a server that the board shows as down, and for no other one longer than some seconds.
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
from member_analyzer.console.board import Board, State
from member_analyzer.console.complaint import explain
from member_analyzer.console.decoding import Decoder, SchemasAwayError, as_shown, show_bytes, show_headers, show_key
from member_analyzer.console.masking import mask_identifier
from member_analyzer.console.messages import Window, read_window
from member_analyzer.console.rejected_index import Entry
from member_analyzer.console.sightings import Sightings
from member_analyzer.console.stability import Stability
from member_analyzer.console.stations import cassandra, registry
from member_analyzer.console.stations.airflow import AirflowSource
from member_analyzer.console.stations.cassandra import CassandraSource
from member_analyzer.console.stations.collector import CollectorSource
from member_analyzer.console.stations.kafka import KafkaSource
from member_analyzer.console.stations.landing import LandingSource
from member_analyzer.console.stations.registry import RegistrySource, impatient_registry
from member_analyzer.console.stations.rejected import RejectedSource
from member_analyzer.console.stations.spark import SparkSource
from member_analyzer.console.stations.user_api import UserApiSource
from member_analyzer.console.stations.zookeeper import ZooKeeperSource
from member_analyzer.console.watch import AwayError, Overseer, Source, Watch
from member_analyzer.deadletters.rejected import read_message
from member_analyzer.deadletters.replay import Replayed, ReplayServers, replay
from member_analyzer.http.problem import ProblemError
from member_analyzer.kafka.reader import open_topic_reader
from member_analyzer.kafka.registry import USERS_VALUE, SchemaMissingError, read_schema, subject_schemas
from member_analyzer.kafka.topics import USERS_REJECTED, TopicError
from member_analyzer.landing.connection import connect_landing
from member_analyzer.publishing.producer import Outbox, PublishError
from member_analyzer.publishing.publisher import MemberProducer, publish_unpublished
from member_analyzer.records.rejection import Reason
from member_analyzer.records.text import printable
from member_analyzer.records.wire import ValueReader
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
from member_analyzer.streams.members.record import avro_schema

Answer = TypeVar("Answer")

SECONDS_OF_A_REQUEST = 15
SECONDS_OF_A_REPLAY = 600
REQUESTS_AT_ONCE = 4
KAFKA_TIMEOUT = 5

AWAY: Mapping[str, tuple[type[Exception], ...]] = {
    "cassandra": (*cassandra.AWAY, AwayError),
    "kafka": (KafkaException, TopicError, PublishError),
    "registry": (*registry.AWAY,),
    "landing": (psycopg.OperationalError,),
}


@dataclass(frozen=True)
class Settings:
    """All that the console reads from the environment."""

    console: ConsoleSettings
    landing: LandingSettings
    kafka: KafkaSettings
    registry: RegistrySettings
    cassandra: CassandraSettings
    airflow: AirflowSettings
    graphs: GraphSettings

    @classmethod
    def read(cls, read: Callable[[type[ProgramSettings]], Any] = lambda kind: kind()) -> Self:
        """From this program's environment, unless `read` reads another one."""
        return cls(**{name: read(kind) for name, kind in cls.__annotations__.items()})


class Backends:
    """Everything behind the console."""

    def __init__(self, settings: Settings) -> None:
        self.settings = settings
        self.board = Board(datetime.now(UTC))
        self._sightings = Sightings()
        self._cassandra = CassandraSource(settings.cassandra, self._sightings, self.board)
        self._rejected = RejectedSource(settings.kafka, settings.landing, self._sightings.rejected)
        self._registry = impatient_registry(settings.registry)
        self._decoder = Decoder(self._find_schema)
        sources: list[Source] = [
            UserApiSource(settings.console, self._sightings),
            AirflowSource(settings.airflow, self._sightings),
            CollectorSource(settings.console),
            LandingSource(settings.landing),
            KafkaSource(settings.kafka, self._sightings),
            RegistrySource(settings.registry),
            ZooKeeperSource(settings.console),
            SparkSource(settings.console, self._sightings),
            self._cassandra,
            self._rejected,
        ]
        find_loop = Stability(settings.console).find
        self.overseer = Overseer([Watch(source, self.board, find_loop) for source in sources])
        self._turns = {station: CapacityLimiter(REQUESTS_AT_ONCE) for station in AWAY}
        self._replays = CapacityLimiter(1)

    async def ask(self, station: str, question: Callable[[], Answer]) -> Answer:
        """What a server answers to a question, which blocks. Raises ProblemError 503 when it does not."""
        self._require(station)
        try:
            with fail_after(SECONDS_OF_A_REQUEST):
                return await to_thread.run_sync(question, limiter=self._turns[station], abandon_on_cancel=True)
        except TimeoutError:
            raise self._away(station, f"It did not answer in {SECONDS_OF_A_REQUEST} seconds.") from None
        except AWAY[station] as error:
            raise self._away(station, explain(error)) from error

    async def read_days(self) -> list[date]:
        """Every day of which there is an analysis, the newest first."""
        return await self.ask("cassandra", lambda: self._cassandra.tables.read_days())

    async def read_distribution(self, table: str, day: date | None) -> tuple[date, Distribution]:
        """One table of a day, or of the newest one. Raises ProblemError 404 for a day of which there is nothing."""

        def read() -> tuple[date | None, Distribution]:
            tables = self._cassandra.tables
            chosen = day or tables.read_progress().analysis_date
            return chosen, tables.read_distribution(table, chosen) if chosen else Distribution({}, 0)

        chosen, distribution = await self.ask("cassandra", read)
        if chosen is None:
            raise ProblemError(HTTPStatus.NOT_FOUND, "No member was counted yet.")
        if not distribution.buckets and not distribution.total:
            raise ProblemError(HTTPStatus.NOT_FOUND, f"There is no analysis of {chosen}; /api/days has all days.")
        return chosen, distribution

    async def read_messages(self, window: Window, *, masked: bool) -> dict[str, Any]:
        """The messages of a window."""

        def read() -> dict[str, Any]:
            with open_topic_reader(self.settings.kafka, timeout=KAFKA_TIMEOUT) as reader:
                return read_window(reader, window, self._decoder, masked=masked)

        return await self.ask("kafka", read)

    async def ask_registry(self, question: Callable[..., Answer], *arguments: object) -> Answer:
        """What a function of the registry's client gives. Raises ProblemError 404 for what is not there."""
        try:
            return await self.ask("registry", partial(question, self._registry, *arguments))
        except SchemaMissingError as error:
            raise ProblemError(HTTPStatus.NOT_FOUND, str(error)) from error

    def list_rejected(self, selection: Any, reason: str | None, limit: int) -> tuple[int, list[Entry]]:
        """How many rejected records there are of a kind, and the newest of them, as far as they were read."""
        return self._rejected.index.list(selection, reason, limit)

    def is_reason(self, reason: str) -> bool:
        """Whether something may have been rejected for this reason."""
        return reason in set(Reason) or self._rejected.index.has_reason(reason)

    async def read_rejected(self, origin: str, *, masked: bool) -> dict[str, Any]:
        """One rejected record as it came. Raises ProblemError 404 where there is none."""
        entry = await to_thread.run_sync(self._rejected.index.find, origin)
        if entry is None:
            raise ProblemError(HTTPStatus.NOT_FOUND, f"No rejected record comes from {origin}.")

        def read() -> dict[str, Any]:
            ranges = {entry.kept_partition: range(entry.kept_offset, entry.kept_offset + 1)}
            with open_topic_reader(self.settings.kafka, timeout=KAFKA_TIMEOUT) as reader:
                for message in reader.read_ranges(USERS_REJECTED, ranges, seconds=KAFKA_TIMEOUT):
                    record = read_message(message)
                    decoded = self._decoder.decode(record.value, masked=masked)
                    key = show_key(record.key)
                    return {
                        "key": mask_identifier(key) if masked else as_shown(key),
                        "headers": show_headers(record.headers, masked=masked),
                        "fields": decoded.fields,
                        "unreadable": decoded.error,
                        "value": show_bytes(record.value, masked=masked),
                    }
            raise TopicError(f"Kafka did not give the record of {origin}.")

        return describe_entry(entry) | await self.ask("kafka", read) | {"masked": masked}

    async def replay(self, reason: str | None, origins: list[str]) -> Replayed:
        """Send rejected records again: some, those of a reason, or all. One replay goes on at a time."""
        for station in ("kafka", "registry", "landing"):
            self._require(station)
        settings = self.settings

        def send() -> Replayed:
            with (
                connect_landing(settings.landing) as landing,
                open_topic_reader(settings.kafka, timeout=KAFKA_TIMEOUT) as topics,
            ):

                def publish() -> int:
                    return publish_unpublished(landing, MemberProducer(settings.kafka, settings.registry))

                values = ValueReader(subject_schemas(self._registry, USERS_VALUE), avro_schema())
                servers = ReplayServers(topics, landing, Outbox(settings.kafka), values, publish)
                return replay(servers, reason=reason, origins=origins)

        try:
            with fail_after(SECONDS_OF_A_REPLAY):
                return await to_thread.run_sync(send, limiter=self._replays, abandon_on_cancel=True)
        except LookupError as error:
            raise ProblemError(HTTPStatus.NOT_FOUND, str(error)) from error
        except TimeoutError:
            raise self._away("kafka", f"The replay is not done after {SECONDS_OF_A_REPLAY} seconds.") from None
        except tuple(kind for kinds in AWAY.values() for kind in kinds) as error:
            station = next(name for name, kinds in AWAY.items() if isinstance(error, kinds))
            raise self._away(station, explain(error)) from error

    def _find_schema(self, schema_id: int) -> str | None:
        if self.board.station("registry").seen.state == State.DOWN:
            raise SchemasAwayError
        try:
            return read_schema(self._registry, schema_id)
        except (SchemaRegistryError, httpx2.HTTPError) as error:
            raise SchemasAwayError from error

    def _require(self, station: str) -> None:
        seen = self.board.station(station).seen
        if seen.state == State.DOWN:
            raise self._away(station, seen.complaint or "")

    def _away(self, station: str, complaint: str) -> ProblemError:
        return ProblemError(
            HTTPStatus.SERVICE_UNAVAILABLE,
            f"{station} is away, so this cannot be shown now. {complaint}".strip(),
            headers={"Retry-After": "5"},
            station=station,
        )


def describe_entry(entry: Entry) -> dict[str, Any]:
    """A rejected record without what it holds."""
    return {
        "origin": entry.origin,
        "reason": entry.reason,
        "message": printable(entry.message),
        "at": entry.at,
        "is_replayed": entry.is_replayed,
    }
