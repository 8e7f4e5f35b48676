"""The definition of the members stream."""

from member_analyzer.streams.definition import Erasure, LandingTables, StreamDefinition, Topic, dead_letter_topic
from member_analyzer.streams.members.dimensions import DIMENSIONS
from member_analyzer.streams.members.forms import from_either, read_id
from member_analyzer.streams.members.record import CREATED, ERASED, MEMBER, avro_schema, erased_event

TOPIC = Topic("users")

MEMBERS = StreamDefinition(
    name="members",
    record_type=MEMBER,
    schema=avro_schema(),
    topic=TOPIC,
    dead_letter_topic=dead_letter_topic(TOPIC),
    table="created_users",
    unit="members",
    dimensions=DIMENSIONS,
    landing=LandingTables(records="users", outbox="unpublished", rejected="rejected", unpublishable="unpublishable"),
    read=from_either,
    read_key=read_id,
    erasure=Erasure(
        column="kind",
        created=CREATED,
        erased=ERASED,
        table="erased_users",
        event=erased_event,
        followers=("interactions",),
    ),
)
