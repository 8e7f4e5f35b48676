"""What a login without the right to personal data sees instead of it.

Pure.
"""

from collections.abc import Mapping
from typing import Any
from uuid import UUID

MASK = "•••"

# What says nothing of one person. Whatever else there is, also what a later schema adds, counts as personal.
IMPERSONAL = {"kind", "occurred_at", "gender", "country", "city", "nationality"}
IDENTIFIERS = {"id"}


def mask_fields(fields: Mapping[str, Any]) -> dict[str, Any]:
    """A record's fields with what may be personal masked; what is empty stays so."""
    return {name: value if value is None else _mask_field(name, value) for name, value in fields.items()}


def mask_identifier(text: str | None) -> str | None:
    """An identifier, shown only where it is a UUID: any other may be a name or an address."""
    if not text:
        return text
    try:
        UUID(text)
    except ValueError:
        return MASK
    return text


def _mask_field(name: str, value: Any) -> Any:
    if name in IDENTIFIERS:
        return mask_identifier(str(value))
    return value if name in IMPERSONAL and not isinstance(value, dict | list) else MASK
