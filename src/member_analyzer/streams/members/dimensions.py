"""What members are counted by."""

from dataclasses import dataclass
from datetime import date
from functools import lru_cache

from member_analyzer.streams.definition import DailyFold, Dimension


@dataclass(frozen=True)
class AgeGroup:
    """Ages from `youngest` to `oldest`, both in it; no `oldest` is open upwards."""

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
    """Full years lived on a day. Who was born on 29 February grows older on 1 March in common years.

    Raises ValueError for a day before the birth.
    """
    if day < date_of_birth:
        raise ValueError(f"Nobody has an age on {day} who is born on {date_of_birth}.")
    had_no_birthday_yet = (day.month, day.day) < (date_of_birth.month, date_of_birth.day)
    return day.year - date_of_birth.year - had_no_birthday_yet


def age_group(age: int) -> str:
    """The label of the one group that an age in years belongs to. Raises ValueError below 0."""
    for group in AGE_GROUPS:
        if group.youngest <= age and (group.oldest is None or age <= group.oldest):
            return group.label
    raise ValueError(f"There is no age group for {age} years.")


# Since 1900 there are 46,000 days, whose groups stay the same all day.
@lru_cache(maxsize=65_536)
def age_group_on(day: date, date_of_birth: date) -> str:
    """The age group on a day of whoever was born on another one."""
    # A member may be registered in a zone where the next day has begun already.
    return age_group(age_on(max(day, date_of_birth), date_of_birth))


# Ages follow from the days of birth when they are read, so that members grow older.
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
