"""The message browser: a window of a topic, from an offset, from a moment, or the newest of it."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from heapq import nlargest, nsmallest
from typing import Any

from confluent_kafka import Message

from member_analyzer.console.decoding import Decoder, shorten, show_key
from member_analyzer.console.masking import mask_identifier
from member_analyzer.console.sightings import Bounds
from member_analyzer.deadletters.rejected import write_time
from member_analyzer.kafka.reader import TopicReader
from member_analyzer.kafka.topics import Topic, TopicError

MOST_MESSAGES = 200
# What did not come by then is not shown: Kafka then has much to do, or holds less than its offsets say.
SECONDS_TO_READ = 5


class NoSuchPartitionError(LookupError):
    """Raised for a partition that a topic does not have."""


@dataclass(frozen=True)
class Window:
    """Which messages of a topic are asked for: from an offset or a moment on, or the newest where there is neither."""

    topic: Topic
    partition: int | None = None
    offset: int | None = None
    moment: datetime | None = None
    limit: int = 50

    @property
    def is_newest(self) -> bool:
        """Whether the newest are asked for, which come first then."""
        return self.offset is None and self.moment is None


def read_window(reader: TopicReader, window: Window, decoder: Decoder, *, masked: bool) -> dict[str, Any]:
    """The messages of a window as JSON values. Raises TopicError when Kafka does not give them."""
    bounds = reader.bounds(window.topic)
    if window.partition is not None and window.partition not in bounds:
        raise NoSuchPartitionError(f"The topic {window.topic.name} has no partition {window.partition}.")
    ranges = choose_ranges(window, bounds, _find_starts(reader, window))
    choose = nlargest if window.is_newest else nsmallest
    # One by one: a message may have megabytes, of which only the beginning is kept.
    shown = (
        _describe(message, decoder, masked=masked)
        for message in reader.read_ranges(window.topic, ranges, seconds=SECONDS_TO_READ)
    )
    messages = choose(window.limit, shown, key=lambda one: (one["time"] or "", one["partition"], one["offset"]))
    if not messages and any(ranges.values()):
        raise TopicError(f"Kafka gave no record of {window.topic.name} in {SECONDS_TO_READ} seconds.")
    if window.offset is not None:
        messages.sort(key=lambda one: one["offset"])
    return {
        "topic": window.topic.name,
        "partition": window.partition,
        "bounds": {str(partition): ends for partition, ends in sorted(bounds.items())},
        "messages": messages,
        "masked": masked,
    }


def choose_ranges(window: Window, bounds: Bounds, starts: Mapping[int, int]) -> dict[int, range]:
    """The offsets of each partition that may hold messages of a window; `starts` are those of its moment."""
    ranges = {}
    for partition, (begin, end) in bounds.items():
        if window.partition not in (None, partition):
            continue
        if window.offset is not None:
            start = window.offset
        elif window.moment is not None:
            start = starts[partition]
        else:
            start = end - window.limit
        start = min(max(start, begin), end)
        ranges[partition] = range(start, min(start + window.limit, end))
    return ranges


def _find_starts(reader: TopicReader, window: Window) -> Mapping[int, int]:
    return {} if window.moment is None else reader.find_offsets(window.topic, window.moment)


def _describe(message: Message, decoder: Decoder, *, masked: bool) -> dict[str, Any]:
    value = message.value()
    decoded = decoder.decode(value, masked=masked)
    key = show_key(message.key())
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
