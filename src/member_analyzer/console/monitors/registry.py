"""Schema Registry: its subjects and their versions."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager

import httpx2
from confluent_kafka.schema_registry import SchemaRegistryClient
from confluent_kafka.schema_registry.error import SchemaRegistryError

from member_analyzer.console.monitoring import Probe
from member_analyzer.console.status import Status
from member_analyzer.kafka.registry import read_subjects, registry_client
from member_analyzer.settings import RegistrySettings

TIMEOUT = 5
UNAVAILABLE_ERRORS: tuple[type[Exception], ...] = (SchemaRegistryError, httpx2.HTTPError)


def connect_registry(settings: RegistrySettings) -> SchemaRegistryClient:
    """A client that does not retry and has a short timeout: the user sees the error and can retry."""
    return registry_client(settings.model_copy(update={"timeout": min(settings.timeout, TIMEOUT)}), attempts=1)


class RegistryMonitor:
    """Lists the subjects of the registry."""

    name = "registry"
    unavailable_errors: tuple[type[Exception], ...] = UNAVAILABLE_ERRORS

    def __init__(self, settings: RegistrySettings) -> None:
        self._settings = settings

    def impact(self, last_seen: str) -> str:
        return (
            "Running programs use their cached schemas. A publisher that starts now waits for the registry, and so "
            "does the stream when it starts or reads a new schema. Nothing is lost or rejected because of this."
        )

    @contextmanager
    def connect(self) -> Iterator[Sequence[Probe]]:
        client = connect_registry(self._settings)
        with client:
            yield [Probe(lambda: self._check(client), pause=5)]

    def _check(self, client: SchemaRegistryClient) -> Status:
        subjects = read_subjects(client)
        return Status(
            facts=[
                (subject.name, f"{len(subject.versions)} versions, {subject.compatibility}") for subject in subjects
            ],
            detail={
                "subjects": [
                    {
                        "name": subject.name,
                        "compatibility": subject.compatibility,
                        "versions": [
                            {"version": version, "id": schema_id}
                            for version, schema_id in sorted(subject.versions.items())
                        ],
                    }
                    for subject in subjects
                ]
            },
        )
