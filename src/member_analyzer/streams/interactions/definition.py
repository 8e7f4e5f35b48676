"""The definition of the interactions."""

from member_analyzer.streams.definition import DAY_IN_MILLISECONDS, Topic, TopicDefinition, dead_letter_topic
from member_analyzer.streams.interactions.record import INTERACTION, avro_schema

# As long as an interaction may be late.
TOPIC = Topic("interactions", retention_milliseconds=30 * DAY_IN_MILLISECONDS)

INTERACTIONS = TopicDefinition(
    name="interactions",
    record_type=INTERACTION,
    schema=avro_schema(),
    topic=TOPIC,
    dead_letter_topic=dead_letter_topic(TOPIC),
    # So that all interactions of a visitor are in order.
    partitioned_by="visitor",
    is_direct=True,
)
