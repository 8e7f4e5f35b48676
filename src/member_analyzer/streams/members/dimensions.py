"""The dimensions of the members stream."""

from dataclasses import dataclass
from datetime import date
from functools import lru_cache

from member_analyzer.streams.definition import DailyFold, Dimension


@dataclass(frozen=True)
class AgeGroup:
    """Ages from `youngest` to `oldest`, inclusive; without `oldest` there is no upper bound."""

    label: str
    youngest: int
    oldest: int | None


AGE_GROUPS = (
    AgeGroup("0-15", 0, 15),
    AgeGroup("16-30", 16, 30),
    AgeGroup("31-45", 31, 45),
    AgeGroup("46-60", 46, 60),
    AgeGroup("61+", 61, None),
)


def age_on(day: date, date_of_birth: date) -> int:
    """Return the age in years on a day. In common years, 1 March is the birthday of people born on 29 February.

    Raises ValueError for a day before the date of birth.
    """
    if day < date_of_birth:
        raise ValueError(f"{day} is before the date of birth {date_of_birth}.")
    had_no_birthday_yet = (day.month, day.day) < (date_of_birth.month, date_of_birth.day)
    return day.year - date_of_birth.year - had_no_birthday_yet


def age_group(age: int) -> str:
    """Return the label of the group of an age. Raises ValueError if the age is negative."""
    for group in AGE_GROUPS:
        if group.youngest <= age and (group.oldest is None or age <= group.oldest):
            return group.label
    raise ValueError(f"There is no age group for {age} years.")


# There are 46,000 dates since 1900, and their groups only change at midnight.
@lru_cache(maxsize=65_536)
def age_group_on(day: date, date_of_birth: date) -> str:
    """Return the age group on a day for a date of birth."""
    # A member may register in a time zone where it is already tomorrow.
    return age_group(age_on(max(day, date_of_birth), date_of_birth))


# Ages are derived from dates of birth on read, so they stay correct as time passes.
AGE = Dimension(
    "births",
    ("date_of_birth",),
    DailyFold("age", "age_group", tuple(group.label for group in AGE_GROUPS), age_group_on),
)
DIMENSIONS = (
    AGE,
    Dimension("gender", ("gender",)),
    Dimension("country", ("country",)),
    Dimension("city", ("country", "city")),
)
