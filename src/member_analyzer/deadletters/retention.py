"""The retention of erased records, as stated in the response to an erasure."""

from member_analyzer.settings import RejectedSettings
from member_analyzer.streams.definition import DAY_IN_MILLISECONDS, StreamDefinition

# Kafka deletes whole segments, which span up to a day.
SEGMENT_DAYS = 1


def explain_retention(definition: StreamDefinition, rejected: RejectedSettings) -> str:
    """Describe which data of an erased record remains, and for how long."""
    topic_days = definition.topic.retention_milliseconds // DAY_IN_MILLISECONDS + SEGMENT_DAYS
    rejected_days = rejected.retention_days + SEGMENT_DAYS
    return (
        f"The id stays, so that it cannot come back. The topic {definition.topic.name} deletes the events of this id "
        f"within {topic_days} days, and {definition.dead_letter_topic.name} what the stream rejected of it within "
        f"{rejected_days} days. What was rejected before landing without this id is deleted within "
        f"{rejected.retention_days} days."
    )
