"""How long what is left of an erased member is kept, as it is stated in the response to an erasure."""

from member_analyzer.kafka.topics import DAY_IN_MILLISECONDS, USERS
from member_analyzer.settings import RejectedSettings

# Kafka deletes whole segments, and a segment holds records of up to a day.
SEGMENT_DAYS = 1


def explain_retention(rejected: RejectedSettings) -> str:
    """What stays of an erased member and for how long, as messages for people."""
    users_days = USERS.retention_milliseconds // DAY_IN_MILLISECONDS + SEGMENT_DAYS
    rejected_days = rejected.retention_days + SEGMENT_DAYS
    return (
        f"The id stays, so that it cannot come back. The topic users deletes the member's events within {users_days} "
        f"days, and users_rejected what the stream rejected of this id within {rejected_days} days. What was rejected "
        f"before landing without this id is deleted within {rejected.retention_days} days."
    )
