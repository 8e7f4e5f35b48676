"""Message browser: reads a topic from an offset or a time on, or its newest messages."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from heapq import nlargest, nsmallest
from typing import Any

from confluent_kafka import Message

from member_analyzer.console.decoding import Decoder, format_key, shorten
from member_analyzer.console.masking import mask_identifier
from member_analyzer.console.snapshot import Bounds
from member_analyzer.deadletters.rejected import write_time
from member_analyzer.kafka.reader import TopicReader
from member_analyzer.kafka.topics import TopicError
from member_analyzer.streams.definition import Topic

MAX_MESSAGES = 200
# Messages that arrive later are left out: Kafka is busy, or offsets are missing in its log.
READ_TIMEOUT = 5


class UnknownPartitionError(LookupError):
    """Raised for a partition that the topic does not have."""


@dataclass(frozen=True)
class MessageQuery:
    """Which messages to read: from an offset or a time on, otherwise the newest."""

    topic: Topic
    partition: int | None = None
    offset: int | None = None
    time: datetime | None = None
    limit: int = 50

    @property
    def is_newest(self) -> bool:
        return self.offset is None and self.time is None


def read_messages(reader: TopicReader, query: MessageQuery, decoder: Decoder, *, masked: bool) -> dict[str, Any]:
    """The messages of a query as JSON values. Raises TopicError when Kafka does not return them."""
    bounds = reader.bounds(query.topic)
    if query.partition is not None and query.partition not in bounds:
        raise UnknownPartitionError(f"The topic {query.topic.name} has no partition {query.partition}.")
    ranges = offset_ranges(query, bounds, _find_start_offsets(reader, query))
    select = nlargest if query.is_newest else nsmallest
    # A generator: a message may have megabytes, of which only the beginning is kept.
    described = (
        _describe(message, decoder, masked=masked)
        for message in reader.read_ranges(query.topic, ranges, seconds=READ_TIMEOUT)
    )
    messages = select(
        query.limit, described, key=lambda message: (message["time"] or "", message["partition"], message["offset"])
    )
    if not messages and any(ranges.values()):
        raise TopicError(f"Kafka returned no records of {query.topic.name} within {READ_TIMEOUT} seconds.")
    if query.offset is not None:
        messages.sort(key=lambda message: message["offset"])
    return {
        "topic": query.topic.name,
        "partition": query.partition,
        "bounds": {str(partition): offsets for partition, offsets in sorted(bounds.items())},
        "messages": messages,
        "masked": masked,
    }


def offset_ranges(query: MessageQuery, bounds: Bounds, starts: Mapping[int, int]) -> dict[int, range]:
    """The offsets to read in each partition; `starts` are the first offsets at the time of the query."""
    ranges = {}
    for partition, (begin, end) in bounds.items():
        if query.partition not in (None, partition):
            continue
        if query.offset is not None:
            start = query.offset
        elif query.time is not None:
            start = starts[partition]
        else:
            start = end - query.limit
        start = min(max(start, begin), end)
        ranges[partition] = range(start, min(start + query.limit, end))
    return ranges


def _find_start_offsets(reader: TopicReader, query: MessageQuery) -> Mapping[int, int]:
    return {} if query.time is None else reader.find_offsets(query.topic, query.time)


def _describe(message: Message, decoder: Decoder, *, masked: bool) -> dict[str, Any]:
    value = message.value()
    decoded = decoder.decode(value, masked=masked)
    key = format_key(message.key())
    return {
        "topic": message.topic(),
        "partition": message.partition(),
        "offset": message.offset(),
        "time": write_time(message.timestamp()),
        "key": mask_identifier(key) if masked else key and shorten(key),
        "schema_id": decoded.schema_id,
        "bytes": len(value or b""),
        "value": decoded.fields,
        "error": decoded.error,
    }
