"""The interaction record: fields and Avro schema."""

from datetime import date
from importlib.resources import files

from member_analyzer.records.fields import DateField, RecordType, Spelling, TextField, TimestampField
from member_analyzer.streams.members.countries import country_names, find_country
from member_analyzer.streams.members.record import MEMBER

PAGE, SCREEN, TRACK, IDENTIFY, ALIAS, GROUP = "page", "screen", "track", "identify", "alias", "group"
TYPES = (PAGE, SCREEN, TRACK, IDENTIFY, ALIAS, GROUP)

MEMBER_ID = next(field for field in MEMBER.fields if isinstance(field, TextField) and field.name == MEMBER.key)


# The identity of an interaction is its source and its message id together: two sources may use the same message id.
INTERACTION = RecordType(
    name="interactions",
    key="message_id",
    fields=(
        # The rule for names of API keys.
        TextField(name="source", required=True, longest=40, pattern=r"[a-z0-9-]{1,40}", verbatim=True),
        TextField(name="message_id", required=True, longest=100, verbatim=True),
        TextField(name="visitor", required=True, longest=255, verbatim=True),
        TextField(name="type", required=True, longest=10, allowed=TYPES, verbatim=True),
        TextField(name="name"),
        TextField(name="member_id", longest=MEMBER_ID.longest, pattern=MEMBER_ID.pattern, verbatim=True),
        TextField(name="anonymous_id", longest=255, verbatim=True),
        TextField(name="previous_id", longest=255, verbatim=True),
        TextField(name="group_id", longest=255, verbatim=True),
        TimestampField(name="occurred_at", required=True),
        DateField(name="day", earliest=date(1899, 12, 31)),
        TimestampField(name="original_at"),
        TimestampField(name="sent_at"),
        TimestampField(name="received_at", required=True),
        TextField(name="url", longest=2048),
        TextField(name="path", longest=1000),
        TextField(name="title"),
        TextField(name="referrer", longest=2048),
        TextField(name="referring_domain", longest=255),
        TextField(name="utm_source"),
        TextField(name="utm_medium"),
        TextField(name="utm_campaign"),
        TextField(name="utm_term"),
        TextField(name="utm_content"),
        TextField(name="user_agent", longest=512),
        TextField(name="browser", longest=100),
        TextField(name="system", longest=100),
        TextField(name="device", longest=100),
        TextField(name="is_bot", longest=5, allowed=("true", "false"), verbatim=True),
        TextField(name="locale", longest=50),
        TextField(name="timezone", longest=64),
        TextField(name="country", longest=100, spelling=Spelling(find_country, country_names())),
        TextField(name="app_name"),
        TextField(name="app_version", longest=100),
        TextField(name="library", longest=100),
        # Verbatim: normalization can compose the `n` of an escaped line feed with a combining mark that follows it.
        TextField(name="properties", longest=32_768, multiline=True, verbatim=True),
        TextField(name="content", longest=32, pattern="[0-9a-f]{32}", verbatim=True),
    ),
)


def avro_schema() -> str:
    """Return the Avro schema of the topic `interactions`, as JSON text."""
    # Without the final newline: registries compare schemas byte by byte, and clients strip them.
    return files("member_analyzer.streams.interactions").joinpath("value.avsc").read_text(encoding="utf-8").strip()
