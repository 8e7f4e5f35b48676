"""The responses as OpenAPI describes them. They are serialized without these models, which would double the cost."""

from datetime import date, datetime
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field

from member_analyzer.analysis.interactions.totals import LIVE_MINUTES
from member_analyzer.collector.batch import Outcome


class _Response(BaseModel):
    model_config = ConfigDict(extra="forbid")


class LandedRecord(_Response):
    """The outcome of one record."""

    index: int = Field(ge=0, description="Position in the request, starting at 0.")
    id: str | None = Field(description="The member's id; null if the record has no readable id.")
    status: Outcome = Field(
        description="`accepted`: committed now. `duplicate`: the id already existed. `rejected`: the record breaks a "
        "rule. `erased`: the member with this id was erased, and the id cannot be used again."
    )
    # Not required, because FastAPI omits nulls from the document's examples.
    reason: str | None = Field(None, description="Why the record was rejected or erased, as a stable code.")
    message: str | None = Field(None, description="The reason in words.")


class Landing(_Response):
    """The outcome of each record of a request, in order."""

    accepted: int = Field(ge=0)
    duplicate: int = Field(ge=0)
    rejected: int = Field(ge=0)
    erased: int = Field(ge=0)
    records: list[LandedRecord]


class ErasedMember(_Response):
    """The outcome of an erasure."""

    id: str
    status: Literal["erased", "erased_before"]
    message: str = Field(description="Which data of the member remains and for how long.")


class RejectedItem(_Response):
    """An item that was rejected, and is kept with its reason."""

    index: int = Field(ge=0, description="Position in the batch, starting at 0.")
    messageId: str | None = Field(description="The client's, at most 100 characters; null if it is missing or no text.")  # noqa: N815
    reason: str = Field(description="Why the item was rejected, as a stable code.")
    message: str = Field(description="The reason in words.")


class Tracking(_Response):
    """The outcome of a request of the tracking API."""

    success: Literal[True]
    ok: Literal[True] = Field(description="The same as `success`; some clients look for it.")
    rejected: list[RejectedItem] = Field([], description="The items that were rejected; omitted if there are none.")


class AnalysedBucket(_Response):
    """One bucket, with the columns of its table."""

    age_group: str | None = None
    gender: str | None = None
    country: str | None = None
    city: str | None = None
    members: int = Field(ge=0)
    percent: float = Field(ge=0, description="Of the day's total.")


class AnalysedDay(_Response):
    """One table on one day."""

    date: date
    table: Literal["age", "gender", "country", "city"]
    total: int = Field(ge=0, description="All members of the day.")
    buckets: list[AnalysedBucket]


class _Counted(_Response):
    as_of: datetime | None = Field(
        None, description="Everything that was received until then is counted; null before the stream has run."
    )
    unread: int | None = Field(
        None, ge=0, description="Interactions that are not counted yet; null before the stream has run."
    )


class InteractionDay(_Counted):
    """The totals of a source on a day."""

    source: str
    date: date
    events: int = Field(ge=0)
    visitors: int = Field(ge=0, description="Distinct persons.")
    sessions: int = Field(ge=0, description="Sessions that began on the day.")
    bounces: int = Field(ge=0, description="Sessions of one view without a named event.")
    seconds: float = Field(ge=0, description="Duration of all sessions together.")
    late: int = Field(ge=0, description="Interactions that arrived too late, and are in no other number.")
    erased: int = Field(ge=0, description="Interactions of erased members, which are not stored.")


class InteractionBucket(_Response):
    """The counts of one value of a dimension."""

    name: str
    country: str | None = Field(None, description="Only of a city.")
    events: int = Field(ge=0)
    visitors: int = Field(ge=0)
    sessions: int = Field(ge=0)


class InteractionTop(_Counted):
    """The counts of a source on a day by the values of a dimension."""

    source: str
    date: date
    by: str
    buckets: list[InteractionBucket]


class InteractionMinute(_Response):
    """The counts of one minute."""

    minute: datetime = Field(description="Its beginning.")
    events: int = Field(ge=0)
    visitors: int = Field(ge=0)
    sessions: int = Field(ge=0, description="Sessions that began in the minute.")


class InteractionLive(_Counted):
    """What happens in a source now."""

    source: str
    active: int = Field(ge=0, description="Distinct persons with an interaction in the last five minutes.")
    minutes: list[InteractionMinute] = Field(
        min_length=LIVE_MINUTES, max_length=LIVE_MINUTES, description="Oldest first; the last is the current one."
    )


class _Visit(_Response):
    """How a person came, and with what."""

    source: str
    is_bot: bool
    referrer: str | None = None
    utm_source: str | None = None
    browser: str | None = None
    system: str | None = None
    device: str | None = None
    country: str | None = None


class PersonSession(_Visit):
    """A session of a person."""

    started_at: datetime
    ended_at: datetime
    seconds: float = Field(ge=0)
    day: date = Field(description="The day on which it began, in the time zone of the source.")
    events: int = Field(ge=0)
    views: int = Field(ge=0)
    is_bounce: bool
    entry_page: str | None = None
    exit_page: str | None = None


class PersonSessions(_Counted):
    """The sessions of a person, newest first."""

    person: str = Field(description="The visitor, with its prefix.")
    sessions: list[PersonSession]
    next: str | None = Field(None, description="The `before` of the next page; null if there is none.")


class PersonEvent(_Visit):
    """An interaction of a person."""

    occurred_at: datetime
    received_at: datetime | None = None
    message_id: str
    visitor: str = Field(description="The visitor as which the person did it: the person or a linked anonymous id.")
    type: str
    name: str | None = None
    path: str | None = None
    url: str | None = None
    title: str | None = None
    app_version: str | None = None
    is_late: bool
    properties: dict[str, Any] | str | None = Field(None, description="Text if they are no JSON object.")


class PersonTimeline(_Counted):
    """The interactions of a person, newest first."""

    person: str = Field(description="The visitor, with its prefix.")
    events: list[PersonEvent]
    next: str | None = Field(None, description="The `before` of the next page; null if there is none.")
    omitted_ids: int = Field(
        ge=0, description="Linked anonymous ids whose interactions are missing, because there are too many ids."
    )


class Problem(BaseModel):
    """A problem document (RFC 9457)."""

    type: str
    title: str
    status: int
    detail: str = Field(description="What happened, and what to do.")
