"""The member in the traits of an identify."""

from collections.abc import Mapping
from typing import Any

from member_analyzer.records.rejection import RecordRejectedError
from member_analyzer.streams.interactions.clock import read_time
from member_analyzer.streams.interactions.identity import find_identity
from member_analyzer.streams.interactions.item import read_item
from member_analyzer.streams.interactions.record import IDENTIFY
from member_analyzer.streams.members.forms import format_address

# Segment's standard traits, and RudderStack's spelling of them, by the field of MEMBER. Segment's `title` is a position
# at a company, not a form of address.
_TRAITS = {
    "first_name": ("firstName", "firstname"),
    "last_name": ("lastName", "lastname"),
    "email": ("email",),
    "username": ("username",),
    "phone": ("phone",),
    "picture": ("avatar",),
}
_POSTCODE = ("postalCode", "postalcode")


def merge_traits(item: Mapping[str, Any]) -> dict[str, Any]:
    """Return the traits of an identify: its own, then those of its context, where RudderStack's SDKs put them."""
    context = item.get("context")
    outer = context.get("traits") if isinstance(context, dict) else None
    inner = item.get("traits")
    return {**(outer if isinstance(outer, dict) else {}), **(inner if isinstance(inner, dict) else {})}


def read_traits(item: object) -> dict[str, Any] | None:
    """Return the member of an identify in the form that `members.forms.from_flat` reads.

    None if the item names no member, or if its traits lack a birthday, a gender, or an address with city and country:
    such an identify only links ids. The values are the client's; `from_flat` validates them. Never raises.
    """
    try:
        item = read_item(item)
    except RecordRejectedError:
        return None
    identity = find_identity(item.get("userId"), None)
    if item.get("type") != IDENTIFY or identity is None or identity.member_id is None:
        return None
    traits = merge_traits(item)
    address = traits.get("address")
    if not isinstance(address, dict):
        return None
    essential = {
        "gender": _find_text(traits, "gender"),
        "date_of_birth": _read_birthday(traits.get("birthday")),
        "country": _find_text(address, "country"),
        "city": _find_text(address, "city"),
    }
    if None in essential.values():
        return None
    created_at = read_time(traits.get("createdAt"))
    postcode = _find_text(address, *_POSTCODE)
    member = {
        "id": identity.member_id,
        **essential,
        **{field: _find_text(traits, *names) for field, names in _TRAITS.items()},
        "postcode": postcode,
        "address": format_address(
            street=_find_text(address, "street"),
            postcode=postcode,
            city=essential["city"],
            state=_find_text(address, "state"),
            country=essential["country"],
        ),
        "registered_at": None if created_at is None else created_at.isoformat(),
    }
    return {name: value for name, value in member.items() if value is not None}


def _find_text(values: Mapping[str, Any], *names: str) -> str | None:
    """Return the first value that is text or an integer, such as a postcode, as text; None if there is none."""
    for name in names:
        value = values.get(name)
        if type(value) is int:
            return str(value)
        if isinstance(value, str) and value.strip():
            return value.strip()
    return None


def _read_birthday(value: object) -> str | None:
    if isinstance(value, str):
        return value.strip() or None
    # Numbers are times, like those of an event.
    moment = read_time(value)
    return None if moment is None else moment.date().isoformat()
