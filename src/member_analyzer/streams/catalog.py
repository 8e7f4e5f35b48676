"""The streams of the platform, by name."""

from collections.abc import Mapping

from member_analyzer.streams.definition import StreamDefinition
from member_analyzer.streams.members.definition import MEMBERS

STREAMS: Mapping[str, StreamDefinition] = {definition.name: definition for definition in (MEMBERS,)}


def find_stream(name: str) -> StreamDefinition:
    """The stream of a name. Raises LookupError for an unknown one."""
    try:
        return STREAMS[name]
    except KeyError:
        raise LookupError(f"There is no stream {name!r}; there are {', '.join(STREAMS)}.") from None
