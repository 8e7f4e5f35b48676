"""Encodes records and rejected items for the topics of a definition."""

from datetime import datetime
from typing import Any

from member_analyzer.publishing.producer import Headers, OutgoingRecord
from member_analyzer.publishing.transactions import TopicRecord
from member_analyzer.records.rejection import Rejection, describe_rejected_item
from member_analyzer.records.wire import ValueWriter
from member_analyzer.streams.definition import TopicDefinition


class TopicEncoder:
    """Encodes with the schema of a definition, which is registered with this id."""

    def __init__(self, definition: TopicDefinition, schema_id: int) -> None:
        self._definition = definition
        self._values = ValueWriter(schema_id, definition.schema)

    def encode(self, record: dict[str, Any]) -> TopicRecord:
        """Encode a valid record."""
        key = str(record[self._definition.message_key]).encode()
        return TopicRecord(self._definition.topic.name, OutgoingRecord(key, self._values.write(record)))

    def encode_rejected(self, item: bytes, rejection: Rejection, source: str, at: datetime) -> TopicRecord:
        """Encode a rejected item, as JSON, for the dead letter topic, with the reason in the headers."""
        headers: Headers = [*describe_rejected_item(rejection, source, at)]
        return TopicRecord(self._definition.dead_letter_topic.name, OutgoingRecord(source.encode(), item, headers))
