"""Accepts interactions: encodes them, and writes them to Kafka with the dead letters of the same request."""

import asyncio
from collections.abc import Sequence
from threading import Lock

from member_analyzer.kafka.registry import REGISTRY_ERRORS, find_schema_id, registry_client
from member_analyzer.publishing.topic_encoder import TopicEncoder
from member_analyzer.publishing.transactions import KafkaUnavailableError, TopicRecord, TransactionalWriter
from member_analyzer.settings import KafkaSettings, RegistrySettings
from member_analyzer.streams.definition import TopicDefinition

# Longer than a broker takes to restart a transaction, and shorter than the timeout of the SDKs.
WRITE_SECONDS = 10
SHUTDOWN_SECONDS = 6


class RegistryUnavailableError(RuntimeError):
    """Raised when the id of the schema is not known yet, and the schema registry does not answer."""


class InteractionIntake:
    """Writes interactions to the topic of a definition, and rejected items to its dead letter topic."""

    def __init__(
        self, definition: TopicDefinition, kafka: KafkaSettings, registry: RegistrySettings, transactional_id: str
    ) -> None:
        self.definition = definition
        self._registry = registry
        self._writer = TransactionalWriter(kafka, transactional_id)
        self._encoder: TopicEncoder | None = None
        self._lock = Lock()

    def start(self) -> None:
        self._writer.start()

    def stop(self) -> None:
        """Finish the requests in flight."""
        self._writer.stop(SHUTDOWN_SECONDS)

    @property
    def is_ready(self) -> bool:
        """Whether `encoder` does not have to ask the schema registry first."""
        return self._encoder is not None

    @property
    def encoder(self) -> TopicEncoder:
        """The encoder of the topics. Raises RegistryUnavailableError."""
        with self._lock:
            if self._encoder is None:
                client = registry_client(self._registry, attempts=1)
                try:
                    schema_id = find_schema_id(client, self.definition.subject, self.definition.schema)
                except REGISTRY_ERRORS as error:
                    raise RegistryUnavailableError(str(error)) from error
                self._encoder = TopicEncoder(self.definition, schema_id)
            return self._encoder

    async def write(self, records: Sequence[TopicRecord]) -> None:
        """Write the records of a request: all of them, or none. Raises KafkaUnavailableError."""
        try:
            async with asyncio.timeout(WRITE_SECONDS):
                await asyncio.wrap_future(self._writer.write(records))
        except TimeoutError:
            raise KafkaUnavailableError(f"No answer within {WRITE_SECONDS} seconds.") from None
