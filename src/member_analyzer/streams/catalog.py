"""The streams of the platform, by name, and everything that has a topic."""

from collections.abc import Mapping

from member_analyzer.streams.definition import StreamDefinition, TopicDefinition
from member_analyzer.streams.interactions.definition import INTERACTIONS
from member_analyzer.streams.members.definition import MEMBERS

STREAMS: Mapping[str, StreamDefinition] = {definition.name: definition for definition in (MEMBERS,)}

TOPICS: Mapping[str, TopicDefinition] = {**STREAMS, INTERACTIONS.name: INTERACTIONS}


def find_topic(name: str) -> TopicDefinition:
    """Return what has a topic by name. Raises LookupError if it is unknown."""
    try:
        return TOPICS[name]
    except KeyError:
        raise LookupError(f"Unknown stream {name!r}; the streams are {', '.join(TOPICS)}.") from None


def find_stream(name: str) -> StreamDefinition:
    """Return a stream by name. Raises LookupError if it is unknown."""
    try:
        return STREAMS[name]
    except KeyError:
        raise LookupError(f"Unknown stream {name!r}; the streams are {', '.join(STREAMS)}.") from None
