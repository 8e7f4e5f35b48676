"""The responses as OpenAPI describes them. They are serialized without these models, which would double the cost."""

from datetime import date
from typing import Literal

from pydantic import BaseModel, ConfigDict, Field

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


class Problem(BaseModel):
    """A problem document (RFC 9457)."""

    type: str
    title: str
    status: int
    detail: str = Field(description="What happened, and what to do.")
