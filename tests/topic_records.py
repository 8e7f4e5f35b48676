"""Records on the real topics, written and read by the tests themselves."""

import io
import json
import struct
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

import fastavro
import requests
from confluent_kafka import Producer

from member_analyzer.deadletters.rejected import RejectedRecord, read_rejected
from member_analyzer.kafka.client import client_options
from member_analyzer.kafka.reader import open_topic_reader
from member_analyzer.kafka.registry import find_schema_id, registry_client
from member_analyzer.records.codec import to_avro, to_json
from member_analyzer.settings import KafkaSettings, RegistrySettings
from member_analyzer.streams.members.definition import MEMBERS
from member_analyzer.streams.members.forms import from_random_user
from member_analyzer.streams.members.record import MEMBER, avro_schema
from patience import DEADLINE, holds
from running_platform import Platform

Member = dict[str, Any]


class Records:
    """Writes to the topic `users` as the publisher may, and reads what was rejected."""

    def __init__(self, platform: Platform) -> None:
        self._platform = platform
        self._kafka = KafkaSettings.of(platform.environment("airflow"))
        self.registry = registry_client(RegistrySettings.of(platform.environment("admin")))
        self._producer = Producer(
            client_options(self._kafka)
            | {"enable.idempotence": True, "compression.type": "lz4", "message.max.bytes": 2**26}
        )
        self.schema_id = find_schema_id(self.registry, MEMBERS.subject, avro_schema())

    def make_members(self, seed: str, count: int) -> list[Member]:
        """Members of the bundled API, which the platform expects from now on.

        Members of a seed that was used before would be counted as they were then.
        """
        assert seed not in self._platform.seeds, f"another test made the members of {seed!r} already"
        self._platform.seeds.add(seed)
        parameters: dict[str, str | int] = {"seed": seed, "results": count, "page": 1}
        users = requests.get(self._platform.source.url, params=parameters, timeout=DEADLINE).json()["results"]
        self._platform.expect(users)
        return [from_random_user(user, datetime.now(UTC)) for user in users]

    def encode(self, member: Member, *, schema: str = "", schema_id: int | None = None, **more: Any) -> bytes:
        """A value in Confluent's wire format, made without the platform's own writer."""
        payload = io.BytesIO()
        parsed = fastavro.parse_schema(json.loads(schema or avro_schema()))
        fastavro.schemaless_writer(payload, parsed, to_avro(MEMBER, to_json(MEMBER, member)) | more)
        return b"\0" + struct.pack(">I", self.schema_id if schema_id is None else schema_id) + payload.getvalue()

    def send(
        self, *values: bytes | None, key: str = "", trace: bytes = b"", headers: list[tuple[str, Any]] | None = None
    ) -> None:
        """Produce values; unless `headers` are given, each has a header `trace`."""
        given = [("trace", trace)] if headers is None else headers
        for value in values:
            self._producer.produce(MEMBERS.topic.name, key=key.encode(), value=value, headers=given)
        assert self._producer.flush(DEADLINE) == 0

    def rejected(self) -> list[RejectedRecord]:
        """Every rejected record there is now, once."""
        with open_topic_reader(KafkaSettings.of(self._platform.environment("reader"))) as reader:
            return list(read_rejected(reader, self._platform.landing, MEMBERS))

    def wait_for_rejected(self, is_wanted: Callable[[RejectedRecord], bool], count: int) -> list[RejectedRecord]:
        """The rejected records that are wanted, once there are so many."""
        found: list[RejectedRecord] = []

        def has_all() -> bool:
            found[:] = [record for record in self.rejected() if is_wanted(record)]
            return len(found) >= count

        assert holds(has_all), f"only {len(found)} of {count} records were rejected"
        return found
