"""Input formats of members: randomuser.me's and the flat format."""

from collections.abc import Callable, Mapping
from datetime import datetime, timedelta
from typing import Any

from member_analyzer.records.canonical import canonical
from member_analyzer.records.codec import from_json, read_day, read_moment
from member_analyzer.records.rejection import Reason, RecordRejectedError, Rejection
from member_analyzer.records.rules import broken_rule, wrong_type
from member_analyzer.streams.members.record import CREATED, MEMBER


def format_address(*, street: object, postcode: object, city: object, state: object, country: object) -> str | None:
    """Format an address on one line, as `6036 Nybyggerveien, 3181 Skre, Trøndelag, Norway`.

    Parts that are missing or not text are omitted; None if no part remains.
    """
    town = " ".join(_parts(postcode, city))
    return ", ".join(_parts(street, town, state, country)) or None


def from_random_user(user: object, occurred_at: datetime) -> dict[str, Any]:
    """Convert an entry of randomuser.me 1.4's `results` to a member.

    Postcodes and house numbers may be numbers or text. Passwords and their hashes are dropped.
    Raises only RecordRejectedError, whatever the JSON contains.
    """
    if not isinstance(user, dict):
        raise RecordRejectedError(Rejection(Reason.NOT_AN_OBJECT, "The user is not a JSON object."))
    name, login, location = _object(user, "name"), _object(user, "login"), _object(user, "location")
    street = _object(location, "street")
    city, country, postcode = _text(location, "city"), _text(location, "country"), _text(location, "postcode")
    member = {
        "id": _random_user_id(user, login),
        "kind": CREATED,
        "occurred_at": occurred_at,
        "gender": _text(user, "gender"),
        "date_of_birth": _moment(_object(user, "dob"), "date_of_birth", read_day),
        "country": country,
        "city": city,
        "title": _text(name, "title"),
        "first_name": _text(name, "first"),
        "last_name": _text(name, "last"),
        "email": _text(user, "email"),
        "username": _text(login, "username"),
        "phone": _text(user, "phone"),
        "address": format_address(
            street=" ".join(_parts(_text(street, "number"), _text(street, "name"))),
            postcode=postcode,
            city=city,
            state=_text(location, "state"),
            country=country,
        ),
        "postcode": postcode,
        "nationality": _text(user, "nat"),
        "registered_at": _moment(_object(user, "registered"), "registered_at", read_moment),
        "picture": _text(_object(user, "picture"), "large"),
    }
    member = canonical(MEMBER, member)
    if (rejection := broken_rule(MEMBER, member)) is not None:
        raise RecordRejectedError(rejection)
    return member


def from_flat(record: object, occurred_at: datetime) -> dict[str, Any]:
    """Convert a JSON object with the field names of MEMBER to a member; unknown fields are ignored.

    Text is handled as in `from_random_user`. `occurred_at` is the default; the record's own may be a day later
    because clocks and time zones differ.
    Raises only RecordRejectedError, whatever the JSON contains.
    """
    if not isinstance(record, dict):
        raise RecordRejectedError(Rejection(Reason.NOT_AN_OBJECT, "The user is not a JSON object."))
    values = {}
    for name in record.keys() & _FIELDS.keys():
        value = record[name]
        values[name] = value.strip() or None if type(value) is str else _text(record, name)
    member = canonical(MEMBER, from_json(MEMBER, values))
    member["kind"] = CREATED if member["kind"] is None else member["kind"]
    member["occurred_at"] = member["occurred_at"] or occurred_at
    if (rejection := broken_rule(MEMBER, member)) is not None:
        raise RecordRejectedError(rejection)
    if member["kind"] != CREATED:
        raise RecordRejectedError(Rejection(Reason.UNKNOWN_VALUE, f"The field kind must be {CREATED}."))
    if member["occurred_at"] > occurred_at + timedelta(days=1):
        raise RecordRejectedError(Rejection(Reason.BAD_DATE, "The field occurred_at is in the future."))
    return member


def is_random_user(record: object) -> bool:
    """Whether a record is in randomuser.me's format rather than the flat one.

    The format with more matches in SHAPES wins; a tie means flat. So neither an unknown nested field of a flat record
    nor a flat field in a randomuser.me record changes the result.
    """
    if not isinstance(record, dict) or not any(isinstance(record.get(name), dict) for name in _NESTED):
        return False
    lead = 0
    for name, (parent, child) in SHAPES:
        holder = record.get(parent)
        if isinstance(holder, dict) and holder.get(child) not in _NOTHING:
            lead += 1
        if name in record and not isinstance(record[name], dict) and record[name] not in _NOTHING:
            lead -= 1
    return lead > 0


def read_id(record: Mapping[str, Any]) -> Any:
    """Return the id of a record in either format, stripped of white space, or None."""
    if is_random_user(record):
        return _random_user_id(record, _object(record, "login"))
    return _text(record, MEMBER.key)


def from_either(record: object, occurred_at: datetime) -> dict[str, Any]:
    """Convert a record in either format, which is detected by its shape, to a member.

    Raises only RecordRejectedError, whatever the JSON contains.
    """
    return from_random_user(record, occurred_at) if is_random_user(record) else from_flat(record, occurred_at)


# The location of the essential fields in the flat format and in randomuser.me's.
SHAPES = (
    ("id", ("login", "uuid")),
    ("date_of_birth", ("dob", "date")),
    ("country", ("location", "country")),
    ("city", ("location", "city")),
)


_NESTED = tuple({parent for _, (parent, _) in SHAPES})


_FIELDS = {field.name: field for field in MEMBER.fields}


_NOTHING = (None, "")


def _object(parent: Mapping[str, Any], key: str) -> Mapping[str, Any]:
    value = parent.get(key)
    return value if isinstance(value, dict) else {}


def _random_user_id(user: Mapping[str, Any], login: Mapping[str, Any]) -> Any:
    """Return the login's id, or else the `id`, unless that is randomuser.me's object."""
    key = _text(login, "uuid")
    return _text(user, MEMBER.key) if key is None and not isinstance(user.get(MEMBER.key), dict) else key


def _parts(*values: object) -> list[str]:
    return [value for value in values if isinstance(value, str) and value]


def _text(parent: Mapping[str, Any], key: str) -> Any:
    """Convert integers to text (postcodes) and empty text to null; validation checks the rest."""
    value = parent.get(key)
    if isinstance(value, str):
        return value.strip() or None
    if isinstance(value, int) and not isinstance(value, bool):
        # Python does not convert integers of more than 4,300 digits; no field is that long.
        return str(value) if value.bit_length() < 4000 else "9" * 1300
    return value


def _moment(parent: Mapping[str, Any], field: str, read: Callable[[str], Any]) -> Any:
    value = parent.get("date")
    if value is None:
        return None
    if not isinstance(value, str):
        raise RecordRejectedError(wrong_type(_FIELDS[field]))
    try:
        return read(value)
    except ValueError:
        raise RecordRejectedError(wrong_type(_FIELDS[field])) from None
