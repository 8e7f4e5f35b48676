"""A second stream, defined only here: tickets that customers open, by priority, and by how urgent they are today."""

import json
from collections.abc import Mapping
from datetime import date, datetime
from typing import Any

from member_analyzer.records.canonical import canonical
from member_analyzer.records.codec import from_json
from member_analyzer.records.fields import DateField, RecordType, TextField, TimestampField
from member_analyzer.records.rejection import Reason, RecordRejectedError, Rejection
from member_analyzer.records.rules import broken_rule
from member_analyzer.streams.definition import (
    DailyFold,
    Dimension,
    LandingTables,
    StreamDefinition,
    Topic,
    dead_letter_topic,
)

TICKET = RecordType(
    name="tickets",
    key="number",
    fields=(
        TextField(name="number", required=True, longest=20, pattern=r"T-[0-9]+", verbatim=True),
        TimestampField(name="opened_at", required=True),
        TextField(name="priority", required=True, allowed=("low", "high")),
        TextField(name="product", required=True),
        DateField(name="reported_on", required=True, earliest=date(2000, 1, 1), not_after="opened_at"),
        TextField(name="note", longest=1000, multiline=True),
    ),
)

AVRO = json.dumps(
    {
        "type": "record",
        "name": "Ticket",
        "fields": [
            {"name": "number", "type": "string"},
            {"name": "opened_at", "type": {"type": "long", "logicalType": "timestamp-millis"}},
            {"name": "priority", "type": "string"},
            {"name": "product", "type": "string"},
            {"name": "reported_on", "type": {"type": "int", "logicalType": "date"}},
            {"name": "note", "type": ["null", "string"], "default": None},
        ],
    }
)

AGES = ("today", "this week", "older")


def age_of(day: date, reported_on: date) -> str:
    days = (day - reported_on).days
    return AGES[0] if days <= 0 else AGES[1] if days < 7 else AGES[2]


def read_ticket(given: object, at: datetime) -> dict[str, Any]:
    if not isinstance(given, dict):
        raise RecordRejectedError(Rejection(Reason.NOT_AN_OBJECT, "The ticket is not a JSON object."))
    ticket = canonical(TICKET, from_json(TICKET, {"opened_at": at.isoformat(), **given}))
    if (rejection := broken_rule(TICKET, ticket)) is not None:
        raise RecordRejectedError(rejection)
    return ticket


def read_number(given: Mapping[str, Any]) -> Any:
    return given.get(TICKET.key)


def define_tickets(name: str) -> StreamDefinition:
    """A stream of tickets whose topic, tables and schemas have names of their own."""
    topic = Topic(name)
    return StreamDefinition(
        name=name,
        record_type=TICKET,
        schema=AVRO,
        topic=topic,
        dead_letter_topic=dead_letter_topic(topic),
        table=f"open_{name}",
        unit="tickets",
        dimensions=(
            Dimension(f"{name}_reported", ("reported_on",), DailyFold(f"{name}_age", "age", AGES, age_of)),
            Dimension(f"{name}_priority", ("priority",)),
            Dimension(f"{name}_product", ("priority", "product")),
        ),
        landing=LandingTables.named(name),
        read=read_ticket,
        read_key=read_number,
    )


TICKETS = define_tickets("tickets")
# In the same application, to see that two streams do not get in each other's way.
RETURNS = define_tickets("returns")
