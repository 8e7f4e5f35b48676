"""The member record: fields, Avro schema and erasure event."""

from collections.abc import Mapping
from datetime import date, datetime
from importlib.resources import files
from typing import Any

from member_analyzer.records.codec import read_moment, to_json
from member_analyzer.records.fields import DateField, RecordType, Spelling, TextField, TimestampField
from member_analyzer.streams.members.countries import country_names, find_country
from member_analyzer.streams.members.dimensions import DIMENSIONS
from member_analyzer.streams.members.genders import GENDERS, find_gender

CREATED = "created"


ERASED = "erased"


MEMBER = RecordType(
    name="users",
    key="id",
    fields=(
        # Verbatim: a normalized id could be that of another member.
        TextField(name="id", required=True, longest=64, pattern=r"[A-Za-z0-9][A-Za-z0-9._:-]*", verbatim=True),
        TextField(name="kind", required=True, allowed=(CREATED, ERASED), verbatim=True),
        TimestampField(name="occurred_at", required=True),
        TextField(
            name="gender", required=True, allowed=tuple(GENDERS), spelling=Spelling(find_gender, frozenset(GENDERS))
        ),
        DateField(name="date_of_birth", required=True, earliest=date(1900, 1, 1), not_after="occurred_at"),
        TextField(name="country", required=True, longest=100, spelling=Spelling(find_country, country_names())),
        TextField(name="city", required=True, longest=200),
        TextField(name="title", longest=50),
        TextField(name="first_name"),
        TextField(name="last_name"),
        TextField(name="email", longest=320),
        TextField(name="username"),
        TextField(name="phone", longest=50),
        TextField(name="address", longest=1000, multiline=True),
        TextField(name="postcode", longest=20),
        TextField(name="nationality", pattern=r"[A-Z]{2}"),
        TimestampField(name="registered_at"),
        TextField(name="picture", longest=2000),
    ),
)


def avro_schema() -> str:
    """Return the Avro schema of the topic `users`, as JSON text."""
    # Without the final newline: registries compare schemas byte by byte, and clients strip them.
    return files("member_analyzer.streams.members").joinpath("value.avsc").read_text(encoding="utf-8").strip()


def erased_event(member: Mapping[str, Any], at: datetime) -> dict[str, Any]:
    """Create the event that erases a member, as JSON values: the key and the counted fields only.

    It is not earlier than the member's event, because the date of birth must not be after it.
    """
    moment = max(at, read_moment(member["occurred_at"]))
    counted_by = {column for dimension in DIMENSIONS for column in dimension.columns}
    kept = {name: value for name, value in member.items() if name in counted_by}
    return {MEMBER.key: member[MEMBER.key], "kind": ERASED, **to_json(MEMBER, {"occurred_at": moment}), **kept}
