"""Sends interactions to the running collector, and reads them from the real topics."""

import json
import os
import signal
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import requests
from confluent_kafka import Message

from member_analyzer.deadletters.rejected import RejectedRecord, read_rejected
from member_analyzer.kafka.reader import TopicReader, open_topic_reader
from member_analyzer.kafka.registry import registry_client, value_reader
from member_analyzer.landing.connection import connect_landing
from member_analyzer.landing.sources import Source, create_source
from member_analyzer.local.supervision import list_processes
from member_analyzer.settings import KafkaSettings, LandingSettings, RegistrySettings
from member_analyzer.streams.interactions.definition import INTERACTIONS
from patience import holds
from running_platform import Platform

Interaction = dict[str, Any]


def is_of(record: Interaction, run: str) -> bool:
    """Whether a record belongs to a run: its message id or its previous id begins with the run, or a property is it."""
    begins = any((record[name] or "").startswith(run) for name in ("message_id", "previous_id"))
    return begins or json.loads(record["properties"] or "{}").get("run") == run


class Interactions:
    """The interactions of a platform."""

    def __init__(self, platform: Platform) -> None:
        self._platform = platform
        self._environment = platform.environment("reader")

    @property
    def url(self) -> str:
        """The address of the collector."""
        return f"http://127.0.0.1:{self._platform.home.settings.collector_port}"

    def create_source(self, name: str, *origins: str, **more: Any) -> str:
        """Create a source with an administrator's rights, and return its write key."""
        with connect_landing(LandingSettings.of(self._platform.environment("operator"))) as landing:
            return create_source(landing, Source(name, origins, **more))

    def post(self, key: str, body: Any, path: str = "/v1/batch", **more: Any) -> requests.Response:
        """Post a body as JSON with a write key."""
        return requests.post(f"{self.url}{path}", json=body, auth=(key, ""), timeout=60, **more)

    def send(self, key: str, body: Any, path: str = "/v1/batch") -> None:
        """Post a body until it is accepted: a collector may be starting, and knows a new source after some seconds."""

        def is_accepted() -> bool:
            try:
                return self.post(key, body, path).status_code == 200
            except requests.ConnectionError:
                return False

        assert holds(is_accepted), "the interactions are not accepted"

    def read(self, run: str | None = None) -> list[Interaction]:
        """The records in the topic: all, or those of a run."""
        values = value_reader(registry_client(RegistrySettings.of(self._environment)), INTERACTIONS)
        with self._reader() as reader:
            records = [values.read(message.value()) for message in reader.read(INTERACTIONS.topic)]
        return [one for one in records if run is None or is_of(one, run)]

    def read_messages(self) -> Sequence[Message]:
        """The messages in the topic."""
        with self._reader() as reader:
            return list(reader.read(INTERACTIONS.topic))

    def read_rejected(self, source: str) -> list[RejectedRecord]:
        """The rejected items of a source."""
        with self._reader() as reader:
            return [one for one in read_rejected(reader, self._platform.landing, INTERACTIONS) if one.source == source]

    def read_rejected_keys(self, reason: str) -> set[bytes | None]:
        """The keys of the records that the stream rejected for a reason."""
        with self._reader() as reader:
            every = read_rejected(reader, self._platform.landing, INTERACTIONS)
            return {one.key for one in every if one.reason == reason}

    def wait_for(self, run: str, count: int) -> list[Interaction]:
        """Wait for this many records of a run, and return all of them."""
        found: list[Interaction] = []

        def has_all() -> bool:
            found[:] = self.read(run)
            return len({one["message_id"] for one in found}) >= count

        assert holds(has_all), f"only {len(found)} of {count} interactions arrived"
        return found

    def kill_collector(self) -> None:
        """Kill the collector; its supervisor restarts it."""
        killed = list_processes(self._platform.home)["collector"].pid
        # Process id 0 would signal the tests themselves.
        assert killed, "the collector is not running"
        os.kill(killed, signal.SIGKILL)

    @contextmanager
    def _reader(self) -> Iterator[TopicReader]:
        with open_topic_reader(KafkaSettings.of(self._environment)) as reader:
            yield reader
