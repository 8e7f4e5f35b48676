"""The answers as the OpenAPI document describes them; written without these models, which would cost as much again."""

from datetime import date
from typing import Literal

from pydantic import BaseModel, ConfigDict, Field

from member_analyzer.collector.batch import Outcome


class Answer(BaseModel):
    """Nothing but what is described."""

    model_config = ConfigDict(extra="forbid")


class LandedRecord(Answer):
    """What became of one record."""

    index: int = Field(ge=0, description="Its place in the request, from 0.")
    id: str | None = Field(description="The member's id; null where the record has none that can be read.")
    status: Outcome = Field(
        description="`accepted` now, `duplicate` because the id was there already, `rejected` because it breaks a rule, "
        "or `erased`: a member of this id was erased, and cannot come back."
    )
    # Not required, because FastAPI leaves nulls out of the document's examples.
    reason: str | None = Field(None, description="Why it is rejected or erased, as a code that programs may rely on.")
    message: str | None = Field(None, description="The same for people.")


class Landing(Answer):
    """What became of the records of a request, in their order."""

    accepted: int = Field(ge=0)
    duplicate: int = Field(ge=0)
    rejected: int = Field(ge=0)
    erased: int = Field(ge=0)
    records: list[LandedRecord]


class ErasedMember(Answer):
    """What became of a member that was to be erased."""

    id: str
    status: Literal["erased", "erased_before"]
    message: str = Field(description="What stays of the member and for how long, for people.")


class AnalysedBucket(Answer):
    """One bucket; it has the columns of its table."""

    age_group: str | None = None
    gender: str | None = None
    country: str | None = None
    city: str | None = None
    members: int = Field(ge=0)
    percent: float = Field(ge=0, description="Of the day's total.")


class AnalysedDay(Answer):
    """One table of one day."""

    date: date
    table: Literal["age", "gender", "country", "city"]
    total: int = Field(ge=0, description="All members of the day.")
    buckets: list[AnalysedBucket]


class Problem(BaseModel):
    """What is wrong (RFC 9457)."""

    type: str
    title: str
    status: int
    detail: str = Field(description="What happened, and what to do.")
