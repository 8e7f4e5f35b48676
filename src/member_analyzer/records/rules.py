"""The validation rules of records.

The rules are data because two engines apply them: Python before landing (`broken_rule`) and Spark in the stream
(`streaming.transforms.broken_rules`).
"""

import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, date, datetime
from functools import cache
from typing import Any, Literal, NamedTuple

from member_analyzer.records.fields import (
    EARLIEST_MOMENT,
    LATEST_MOMENT,
    DateField,
    Field,
    RecordType,
    TextField,
    TimestampField,
)
from member_analyzer.records.rejection import Reason, Rejection

REPLACEMENT_CHARACTER = "\ufffd"


@dataclass(frozen=True)
class Rule:
    """A rule for one field: the kind of check, and the rejection of a record that breaks it."""

    field: Field
    check: Literal["present", "readable", "length", "allowed", "pattern", "range"]
    rejection: Rejection


def rules(record_type: RecordType) -> Iterator[Rule]:
    """Yield every rule, in the order of validation: the first broken rule is the reason."""
    for field in record_type.fields:
        name = field.name
        if field.required:
            yield Rule(field, "present", Rejection(Reason.MISSING_FIELD, f"The field {name} is missing or empty."))
        match field:
            case TextField():
                message = f"The field {name} is not readable UTF-8 text."
                yield Rule(field, "readable", Rejection(Reason.UNREADABLE_TEXT, message))
                message = f"The field {name} is longer than {field.longest} characters."
                yield Rule(field, "length", Rejection(Reason.TEXT_TOO_LONG, message))
                if field.allowed:
                    message = f"The field {name} must be one of: {', '.join(field.allowed)}."
                    yield Rule(field, "allowed", Rejection(Reason.UNKNOWN_VALUE, message))
                if field.pattern:
                    message = f"The field {name} does not match {field.pattern}."
                    yield Rule(field, "pattern", Rejection(Reason.UNKNOWN_VALUE, message))
            case DateField():
                latest = f"to the date of {field.not_after}" if field.not_after else "on"
                message = f"The field {name} must be a date from {field.earliest} {latest}."
                yield Rule(field, "range", Rejection(Reason.BAD_DATE, message))
            case TimestampField():
                message = f"The field {name} is not a timestamp of the years 1900 to 9999."
                yield Rule(field, "range", Rejection(Reason.BAD_DATE, message))


def wrong_type(field: Field) -> Rejection:
    """Return the rejection of a value of the wrong type."""
    kinds = {TextField: "text", DateField: "a date (YYYY-MM-DD)", TimestampField: "a timestamp (ISO 8601)"}
    return Rejection(Reason.WRONG_TYPE, f"The field {field.name} is not {kinds[type(field)]}.")


def broken_rule(record_type: RecordType, record: Mapping[str, Any]) -> Rejection | None:
    """Return the rejection for the first broken rule, or None.

    `record` holds text, `date` and aware `datetime` values; a missing field counts as null. Never raises for a record
    of JSON values.
    """
    for name, kind, wrong, missing, keeps_all, checks in _checks(record_type):
        value = record.get(name)
        if value is None:
            if missing is not None:
                return missing
            continue
        if type(value) is not kind:
            return wrong
        if keeps_all is not None and keeps_all(value):
            continue
        for keeps, rejection in checks:
            if not keeps(value, record):
                return rejection
    return None


def is_readable(text: str) -> bool:
    """Whether every system of the pipeline can store the text: valid UTF-8, no NUL, no replacement character."""
    if "\0" in text:
        return False
    if text.isascii():
        return True
    if REPLACEMENT_CHARACTER in text:
        return False
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True


# A character that `is_readable` accepts.
_READABLE = rf"[^\0{REPLACEMENT_CHARACTER}\ud800-\udfff]"


_PYTHON_TYPES: dict[type, type] = {TextField: str, DateField: date, TimestampField: datetime}


_Check = Callable[[Any, Mapping[str, Any]], bool]


class _FieldChecks(NamedTuple):
    """The precompiled checks of one field: looping over the rules would cost more than the checks."""

    name: str
    kind: type
    wrong: Rejection
    missing: Rejection | None
    keeps_all: Callable[[Any], object] | None
    checks: list[tuple[_Check, Rejection]]


@cache
def _checks(record_type: RecordType) -> list[_FieldChecks]:
    every = list(rules(record_type))
    made = []
    for field in record_type.fields:
        own = [rule for rule in every if rule.field is field]
        missing = next((rule.rejection for rule in own if rule.check == "present"), None)
        checks = [(_check(rule), rule.rejection) for rule in own]
        keeps_all = _all_rules(field).fullmatch if isinstance(field, TextField) else None
        made.append(_FieldChecks(field.name, _PYTHON_TYPES[type(field)], wrong_type(field), missing, keeps_all, checks))
    return made


def _all_rules(field: TextField) -> re.Pattern[str]:
    """Return one expression for all rules of a text field; only if it fails are the rules checked one by one."""
    rules = [r"(?= *[^ ])"] if field.required else []
    rules += [rf"(?=(?:{rule})\Z)" for rule in ("|".join(map(re.escape, field.allowed)), field.pattern) if rule]
    return re.compile("".join(rules) + f"{_READABLE}{{0,{field.longest}}}", re.ASCII)


def _check(rule: Rule) -> _Check:
    match rule.field, rule.check:
        case TextField(), "present":
            return lambda value, _: value.strip(" ") != ""
        case _, "present":
            return lambda value, _: True
        case TextField(), "readable":
            return lambda value, _: is_readable(value)
        case TextField(longest=longest), "length":
            return lambda value, _: len(value) <= longest
        case TextField(allowed=allowed), "allowed":
            return lambda value, _: value in allowed
        case TextField(pattern=pattern), "pattern":
            matches = re.compile(pattern, re.ASCII).fullmatch
            return lambda value, _: matches(value) is not None
        case DateField(earliest=earliest, not_after=not_after), "range":
            return lambda value, record: earliest <= value <= _latest_day(record.get(not_after) if not_after else None)
        case TimestampField(), "range":
            return lambda value, _: value.tzinfo is not None and EARLIEST_MOMENT <= value < LATEST_MOMENT
        case _:
            raise ValueError(f"The rule {rule.check!r} does not apply to the field {rule.field.name!r}.")


def _latest_day(moment: datetime | None) -> date:
    """A missing timestamp breaks the rule of its own field, not of this one."""
    return date.max if moment is None else moment.astimezone(UTC).date()
