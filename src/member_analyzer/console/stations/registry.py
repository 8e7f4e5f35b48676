"""The schema registry: its subjects and their versions."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager

import httpx2
from confluent_kafka.schema_registry import SchemaRegistryClient
from confluent_kafka.schema_registry.error import SchemaRegistryError

from member_analyzer.console.board import Look
from member_analyzer.console.watch import Glance
from member_analyzer.kafka.registry import read_subjects, registry_client
from member_analyzer.settings import RegistrySettings

TIMEOUT = 5
AWAY: tuple[type[Exception], ...] = (SchemaRegistryError, httpx2.HTTPError)


def impatient_registry(settings: RegistrySettings) -> SchemaRegistryClient:
    """A client that asks once and does not wait for long: whoever asked is told, and may ask again."""
    return registry_client(settings.model_copy(update={"timeout": min(settings.timeout, TIMEOUT)}), attempts=1)


class RegistrySource:
    """What tells which schema wrote a record."""

    name = "registry"
    away: tuple[type[Exception], ...] = AWAY

    def __init__(self, settings: RegistrySettings) -> None:
        self._settings = settings

    def means(self, since: str) -> str:
        """Who starts has to wait."""
        return (
            "What runs goes on with the schemas that it knows. A publisher that starts anew waits, and so does the "
            "stream when it starts or meets a new schema; nothing is lost, and nothing is rejected for that."
        )

    @contextmanager
    def connect(self) -> Iterator[Sequence[Glance]]:
        """One look."""
        client = impatient_registry(self._settings)
        with client:
            yield [Glance(lambda: self._look(client), rest=5)]

    def _look(self, client: SchemaRegistryClient) -> Look:
        subjects = read_subjects(client)
        return Look(
            facts=[(one.name, f"{len(one.versions)} versions, {one.compatibility}") for one in subjects],
            detail={
                "subjects": [
                    {
                        "name": one.name,
                        "compatibility": one.compatibility,
                        "versions": [
                            {"version": number, "id": schema_id} for number, schema_id in sorted(one.versions.items())
                        ],
                    }
                    for one in subjects
                ]
            },
        )
