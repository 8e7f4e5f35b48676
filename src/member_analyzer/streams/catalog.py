"""The streams of the platform, by name."""

from collections.abc import Mapping

from member_analyzer.streams.definition import StreamDefinition
from member_analyzer.streams.members.definition import MEMBERS

STREAMS: Mapping[str, StreamDefinition] = {definition.name: definition for definition in (MEMBERS,)}


def find_stream(name: str) -> StreamDefinition:
    """Return a stream by name. Raises LookupError if it is unknown."""
    try:
        return STREAMS[name]
    except KeyError:
        raise LookupError(f"Unknown stream {name!r}; the streams are {', '.join(STREAMS)}.") from None
