"""One user in the format of randomuser.me 1.4."""

from collections.abc import Sequence
from datetime import date, datetime, timedelta

from member_analyzer.fake_users.location import make_location
from member_analyzer.fake_users.login import make_login
from member_analyzer.fake_users.nationality import Nationality
from member_analyzer.fake_users.seeded_random import SeededRandom

User = dict[str, object]

GENDERS = ("female", "male")
# fmt: off
FIELDS = (
    "gender", "name", "location", "email", "login", "dob", "registered", "phone", "cell", "id", "picture", "nat",
)
# fmt: on

# UTC. Fixed, so that a user's dates never change, and in the past of every clock, so that nobody is born in the future.
_LATEST = datetime(2025, 1, 1)
_FIRST_REGISTRATION = datetime(2005, 1, 1)
_MAX_AGE = timedelta(days=95 * 365.25)
_MILLISECOND = timedelta(milliseconds=1)

_TITLES = {"female": ("Miss", "Ms", "Mrs"), "male": ("Mr",)}
_PORTRAITS = {"female": ("women", 97), "male": ("men", 100)}


def make_user(random: SeededRandom, nationalities: Sequence[Nationality], genders: Sequence[str], today: date) -> User:
    """Make a user of one of the nationalities and genders, with the ages as of `today`."""
    nationality = random.choice(nationalities)
    gender = random.choice(genders)
    first = random.choice(nationality.first_names[gender])
    last = random.choice(nationality.last_names)
    # The median of three draws favours middle ages and still fills every age group.
    born = _draw_moment(random, _LATEST - _MAX_AGE, draws=3)
    return {
        "gender": gender,
        "name": {"title": random.choice(_TITLES[gender]), "first": first.written, "last": last.written},
        "location": make_location(random, nationality),
        "email": f"{first.ascii}.{last.ascii}@example.com",
        "login": make_login(random),
        "dob": _format_moment(born, today),
        "registered": _format_moment(_draw_moment(random, max(born, _FIRST_REGISTRATION)), today),
        "phone": nationality.phone.fill(random.characters),
        "cell": nationality.cell.fill(random.characters),
        "id": _make_id(random, nationality, gender, born),
        "picture": _make_picture(random, gender),
        "nat": nationality.code,
    }


def age_on(born: date, today: date) -> int:
    """Return the full years between two days."""
    return today.year - born.year - ((today.month, today.day) < (born.month, born.day))


def _draw_moment(random: SeededRandom, earliest: datetime, draws: int = 1) -> datetime:
    span = (_LATEST - earliest) // _MILLISECOND
    return earliest + sorted(random.randbelow(span) for _ in range(draws))[draws // 2] * _MILLISECOND


def _format_moment(moment: datetime, today: date) -> dict[str, object]:
    return {"date": moment.isoformat(timespec="milliseconds") + "Z", "age": age_on(moment, today)}


def _make_id(random: SeededRandom, nationality: Nationality, gender: str, born: datetime) -> dict[str, str | None]:
    if nationality.id_value is None:
        return {"name": nationality.id_name, "value": None}
    value = nationality.id_value.fill(random.characters).format(
        sex="2" if gender == "female" else "1",
        year=f"{born.year % 100:02}",
        month=f"{born.month:02}",
        day=f"{born.day:02}",
    )
    return {"name": nationality.id_name, "value": value}


def _make_picture(random: SeededRandom, gender: str) -> dict[str, str]:
    folder, portraits = _PORTRAITS[gender]
    portrait = f"{folder}/{random.randbelow(portraits)}.jpg"
    return {
        "large": f"https://randomuser.me/api/portraits/{portrait}",
        "medium": f"https://randomuser.me/api/portraits/med/{portrait}",
        "thumbnail": f"https://randomuser.me/api/portraits/thumb/{portrait}",
    }
