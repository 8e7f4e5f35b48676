"""Masks personal data for logins without the right to see it.

Pure.
"""

from collections.abc import Mapping
from typing import Any
from uuid import UUID

MASK = "•••"

# All other fields are personal, including any that a later schema adds.
NON_PERSONAL_FIELDS = {"kind", "occurred_at", "gender", "country", "city", "nationality"}
IDENTIFIER_FIELDS = {"id"}


def mask_fields(fields: Mapping[str, Any]) -> dict[str, Any]:
    """The fields of a record with all personal values masked; nulls stay."""
    return {name: value if value is None else _mask_field(name, value) for name, value in fields.items()}


def mask_identifier(text: str | None) -> str | None:
    """An identifier, masked unless it is a UUID: it may be a name or an e-mail address."""
    if not text:
        return text
    try:
        UUID(text)
    except ValueError:
        return MASK
    return text


def _mask_field(name: str, value: Any) -> Any:
    if name in IDENTIFIER_FIELDS:
        return mask_identifier(str(value))
    return value if name in NON_PERSONAL_FIELDS and not isinstance(value, dict | list) else MASK
