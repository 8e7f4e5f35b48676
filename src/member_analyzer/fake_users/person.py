"""One user in the form of randomuser.me 1.4."""

from collections.abc import Sequence
from datetime import date, datetime, timedelta

from member_analyzer.fake_users.location import make_location
from member_analyzer.fake_users.login import make_login
from member_analyzer.fake_users.nationality import Nationality
from member_analyzer.fake_users.noise import Noise

User = dict[str, object]

GENDERS = ("female", "male")
# fmt: off
FIELDS = (
    "gender", "name", "location", "email", "login", "dob", "registered", "phone", "cell", "id", "picture", "nat",
)
# fmt: on

# Times are UTC. Fixed, so that a user's dates never change, and past on every clock, so that nobody is born tomorrow.
_LATEST = datetime(2025, 1, 1)
_OPENING = datetime(2005, 1, 1)
_LONGEST_LIFE = timedelta(days=95 * 365.25)
_MILLISECOND = timedelta(milliseconds=1)

_TITLES = {"female": ("Miss", "Ms", "Mrs"), "male": ("Mr",)}
_PORTRAITS = {"female": ("women", 97), "male": ("men", 100)}


def make_user(noise: Noise, nationalities: Sequence[Nationality], genders: Sequence[str], today: date) -> User:
    """Make a user of one of the nationalities and genders, as old as on the day `today`."""
    nationality = noise.pick(nationalities)
    gender = noise.pick(genders)
    first = noise.pick(nationality.first_names[gender])
    last = noise.pick(nationality.last_names)
    # The median of three makes the middle ages the most frequent and still fills every age group.
    born = _draw_moment(noise, _LATEST - _LONGEST_LIFE, draws=3)
    return {
        "gender": gender,
        "name": {"title": noise.pick(_TITLES[gender]), "first": first.written, "last": last.written},
        "location": make_location(noise, nationality),
        "email": f"{first.ascii}.{last.ascii}@example.com",
        "login": make_login(noise),
        "dob": _tell_moment(born, today),
        "registered": _tell_moment(_draw_moment(noise, max(born, _OPENING)), today),
        "phone": nationality.phone.fill(noise.characters),
        "cell": nationality.cell.fill(noise.characters),
        "id": _make_id(noise, nationality, gender, born),
        "picture": _make_picture(noise, gender),
        "nat": nationality.code,
    }


def tell_age(born: date, today: date) -> int:
    """Tell the full years between two days."""
    return today.year - born.year - ((today.month, today.day) < (born.month, born.day))


def _draw_moment(noise: Noise, earliest: datetime, draws: int = 1) -> datetime:
    span = (_LATEST - earliest) // _MILLISECOND
    return earliest + sorted(noise.below(span) for _ in range(draws))[draws // 2] * _MILLISECOND


def _tell_moment(moment: datetime, today: date) -> dict[str, object]:
    return {"date": moment.isoformat(timespec="milliseconds") + "Z", "age": tell_age(moment, today)}


def _make_id(noise: Noise, nationality: Nationality, gender: str, born: datetime) -> dict[str, str | None]:
    if nationality.id_value is None:
        return {"name": nationality.id_name, "value": None}
    value = nationality.id_value.fill(noise.characters).format(
        sex="2" if gender == "female" else "1",
        year=f"{born.year % 100:02}",
        month=f"{born.month:02}",
        day=f"{born.day:02}",
    )
    return {"name": nationality.id_name, "value": value}


def _make_picture(noise: Noise, gender: str) -> dict[str, str]:
    folder, portraits = _PORTRAITS[gender]
    portrait = f"{folder}/{noise.below(portraits)}.jpg"
    return {
        "large": f"https://randomuser.me/api/portraits/{portrait}",
        "medium": f"https://randomuser.me/api/portraits/med/{portrait}",
        "thumbnail": f"https://randomuser.me/api/portraits/thumb/{portrait}",
    }
