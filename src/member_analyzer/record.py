"""What a record of a stream is made of, and the rules that it must keep.

The rules are data, not code, because two programs apply them: Python before a record is landed (`broken_rule` here) and
Spark while it streams (`stream.broken_rules`). A second stream is another `RecordType`.
"""

import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from enum import StrEnum
from functools import cache, cached_property, partial
from operator import itemgetter
from typing import Any, Literal, NamedTuple

from member_analyzer.text import is_normal, normalize_text

REPLACEMENT_CHARACTER = "\ufffd"


class Reason(StrEnum):
    """Why a record was rejected, as a code that programs may rely on."""

    EMPTY_VALUE = "empty_value"
    WRONG_MAGIC_BYTE = "wrong_magic_byte"
    UNKNOWN_SCHEMA = "unknown_schema"
    UNDECODABLE = "undecodable"
    NOT_AN_OBJECT = "not_an_object"
    MISSING_FIELD = "missing_field"
    WRONG_TYPE = "wrong_type"
    UNREADABLE_TEXT = "unreadable_text"
    TEXT_TOO_LONG = "text_too_long"
    UNKNOWN_VALUE = "unknown_value"
    BAD_DATE = "bad_date"
    UNPROCESSABLE = "unprocessable"


# What is added to the headers of a rejected record, in this order, after its own.
REJECTION_HEADERS = ("reason", "sentence", "topic", "partition", "offset", "at")


def rejection_header(name: str) -> str:
    """The header's whole name."""
    return f"rejected.{name}"


@dataclass(frozen=True)
class Rejection:
    """Why one record is not accepted: a code for programs, a sentence for people (without personal data)."""

    reason: Reason
    sentence: str


class RecordRejectedError(ValueError):
    """Raised for a record that breaks a rule; carries the rejection."""

    def __init__(self, rejection: Rejection) -> None:
        super().__init__(rejection.sentence)
        self.rejection = rejection


@dataclass(frozen=True)
class Spelling:
    """The one spelling of something that is written in several ways, as a country.

    `read` gives it for any text, and any text that it does not know as it is; `known` are all that it knows.
    """

    read: Callable[[str], str]
    known: frozenset[str]


@dataclass(frozen=True, kw_only=True)
class TextField:
    """A text of at most `longest` characters, perhaps one of few (`allowed`) or of one form (`pattern`).

    It is kept in the one form of `normalize_text` (with its lines as words where it is `multiline`), and in one
    `spelling`. One that is `verbatim`, as an identifier, is kept as it is.
    """

    name: str
    required: bool = False
    longest: int = 200
    allowed: tuple[str, ...] = ()
    pattern: str = ""
    multiline: bool = False
    spelling: Spelling | None = None
    verbatim: bool = False


@dataclass(frozen=True, kw_only=True)
class DateField:
    """A day, not before `earliest` and not after the day of the record's `not_after` timestamp."""

    name: str
    required: bool = False
    earliest: date
    not_after: str


@dataclass(frozen=True, kw_only=True)
class TimestampField:
    """A moment in UTC, to the millisecond, of the years 1900 to 9999."""

    name: str
    required: bool = False


Field = TextField | DateField | TimestampField

# The bounds keep timestamps inside what every system on the way can hold.
EARLIEST_MOMENT = datetime(1900, 1, 1, tzinfo=UTC)
LATEST_MOMENT = datetime(9999, 12, 31, tzinfo=UTC)
_EPOCH_DAY = date(1970, 1, 1).toordinal()
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MILLISECOND = timedelta(milliseconds=1)


# Compared by identity: it keys caches, and hashing all its fields for each record would cost more than the rules.
@dataclass(frozen=True, eq=False)
class RecordType:
    """The fields of one stream's records, in the order in which their rules are tried; `key` identifies a record."""

    name: str
    key: str
    fields: tuple[Field, ...]

    def __post_init__(self) -> None:
        """Refuse a definition whose key is not one of its fields."""
        if self.key not in self.names:
            raise ValueError(f"The key {self.key!r} is not a field of the record {self.name!r}.")

    @cached_property
    def names(self) -> tuple[str, ...]:
        """The fields' names, in order."""
        return tuple(field.name for field in self.fields)


@dataclass(frozen=True)
class Rule:
    """One rule on one field, as a rejection and the kind of check; `stream` turns the same rules into Spark columns."""

    field: Field
    check: Literal["present", "readable", "length", "allowed", "pattern", "range"]
    rejection: Rejection


def rules(record_type: RecordType) -> Iterator[Rule]:
    """Every rule of a record, in the order in which they are tried: the first one broken is the reason."""
    for field in record_type.fields:
        name = field.name
        if field.required:
            yield Rule(field, "present", Rejection(Reason.MISSING_FIELD, f"The field {name} is missing or empty."))
        match field:
            case TextField():
                sentence = f"The field {name} holds text that is not readable UTF-8."
                yield Rule(field, "readable", Rejection(Reason.UNREADABLE_TEXT, sentence))
                sentence = f"The field {name} is longer than {field.longest} characters."
                yield Rule(field, "length", Rejection(Reason.TEXT_TOO_LONG, sentence))
                if field.allowed:
                    sentence = f"The field {name} is none of: {', '.join(field.allowed)}."
                    yield Rule(field, "allowed", Rejection(Reason.UNKNOWN_VALUE, sentence))
                if field.pattern:
                    sentence = f"The field {name} is not of the form {field.pattern}."
                    yield Rule(field, "pattern", Rejection(Reason.UNKNOWN_VALUE, sentence))
            case DateField():
                sentence = f"The field {name} is not a day between {field.earliest} and the day of {field.not_after}."
                yield Rule(field, "range", Rejection(Reason.BAD_DATE, sentence))
            case TimestampField():
                sentence = f"The field {name} is not a moment of the years 1900 to 9999."
                yield Rule(field, "range", Rejection(Reason.BAD_DATE, sentence))


def wrong_type(field: Field) -> Rejection:
    """The rejection of a value that is not what its field holds."""
    kinds = {TextField: "text", DateField: "a day (YYYY-MM-DD)", TimestampField: "a moment (ISO 8601)"}
    return Rejection(Reason.WRONG_TYPE, f"The field {field.name} is not {kinds[type(field)]}.")


def broken_rule(record_type: RecordType, record: Mapping[str, Any]) -> Rejection | None:
    """The first rule that the record breaks, or None.

    `record` holds text, `date` and aware `datetime` values; a field that it lacks counts as null. Never raises for a
    record of JSON values.
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


def canonical(record_type: RecordType, record: dict[str, Any]) -> dict[str, Any]:
    """The record with each text in the one form in which it is kept and counted; null where nothing of it can be seen.

    `record` holds what `broken_rule` takes. Other values stay as they are, and repeating it changes nothing: a record
    that is canonical already is given back itself.
    """
    read_texts, spellings, readers = _text_forms(record_type)
    try:
        # Most records are canonical, and one look at all their texts tells it: parts of a normalized text are so too.
        texts = [value for value in read_texts(record) if value is not None]
        if is_normal(" ".join(texts)):
            for name, known in spellings:
                if record[name] not in known:
                    break
            else:
                return record
    except (KeyError, TypeError):
        # A field is missing, or holds no text: the rules tell of it.
        pass
    changes = {}
    for name, read in readers:
        value = record.get(name)
        if isinstance(value, str) and ((text := read(value)) != value or not text):
            changes[name] = text or None
    return {**record, **changes} if changes else record


class _TextForms(NamedTuple):
    """How the texts of a record are brought into their form, made once for each record type."""

    read_texts: Callable[[Mapping[str, Any]], Iterable[Any]]
    spellings: list[tuple[str, frozenset[str]]]
    readers: list[tuple[str, Callable[[str], str]]]


@cache
def _text_forms(record_type: RecordType) -> _TextForms:
    texts = [one for one in record_type.fields if isinstance(one, TextField) and not one.verbatim]
    names = [one.name for one in texts]
    return _TextForms(
        # It gives a tuple only where it is asked for several.
        itemgetter(*names) if len(names) > 1 else lambda record: [record[name] for name in names],
        [(one.name, one.spelling.known) for one in texts if one.spelling is not None],
        [(one.name, _text_reader(one)) for one in texts],
    )


def _text_reader(field: TextField) -> Callable[[str], str]:
    normalize = partial(normalize_text, multiline=True) if field.multiline else normalize_text
    if field.spelling is None:
        return normalize
    spell = field.spelling.read
    return lambda text: spell(normalize(text))


def is_readable(text: str) -> bool:
    """Whether every system on the way can hold the text: it encodes to UTF-8, has no NUL, was not damaged before."""
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


def to_json(record_type: RecordType, record: Mapping[str, Any]) -> dict[str, Any]:
    """The record as JSON values: days and moments in ISO 8601 (moments in UTC with milliseconds), nulls left out."""
    values: dict[str, Any] = {}
    for name, write in _json_writers(record_type):
        value = record.get(name)
        if value is not None:
            values[name] = value if write is None else write(value)
    return values


def from_json(record_type: RecordType, values: Mapping[str, Any]) -> dict[str, Any]:
    """The record of `to_json`'s values; unknown fields are left out.

    Raises RecordRejectedError for a day or a moment that cannot be read.
    """
    record = {name: values.get(name) for name in record_type.names}
    for name, read, wrong in _json_readers(record_type):
        value = record[name]
        if value is None:
            continue
        if not isinstance(value, str):
            raise RecordRejectedError(wrong)
        try:
            record[name] = read(value)
        except ValueError:
            raise RecordRejectedError(wrong) from None
    return record


def to_avro(record_type: RecordType, values: Mapping[str, Any]) -> dict[str, Any]:
    """`to_json`'s values as Avro's plain ones: days since 1970 (int), milliseconds since 1970 (long), text, null.

    The values must have passed `broken_rule` before.
    """
    record: dict[str, Any] = dict.fromkeys(record_type.names)
    record.update(values)
    for name, convert in _avro_conversions(record_type):
        value = record[name]
        if value is not None:
            record[name] = convert(value)
    return record


def read_day(text: str) -> date:
    """The day of an ISO 8601 text; of a moment, the day that is written, whatever the zone. Raises ValueError."""
    try:
        return date.fromisoformat(text)
    except ValueError:
        return datetime.fromisoformat(text).date()


def read_moment(text: str) -> datetime:
    """The moment of an ISO 8601 text, in UTC, cut to milliseconds; one without a zone is taken as UTC.

    Raises ValueError for any other text.
    """
    try:
        moment = datetime.fromisoformat(text)
        if moment.tzinfo is not UTC:
            moment = moment.replace(tzinfo=UTC) if moment.tzinfo is None else moment.astimezone(UTC)
    except OverflowError as error:
        raise ValueError(str(error)) from None
    excess = moment.microsecond % 1000
    return moment.replace(microsecond=moment.microsecond - excess) if excess else moment


# A character that `is_readable` takes, as an expression.
_READABLE = rf"[^\0{REPLACEMENT_CHARACTER}\ud800-\udfff]"
_PYTHON_TYPES: dict[type, type] = {TextField: str, DateField: date, TimestampField: datetime}
_Check = Callable[[Any, Mapping[str, Any]], bool]


class _FieldChecks(NamedTuple):
    """What is tried on one field, made once for each record type: a loop over rules would cost more than the rules."""

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
    """All rules of a text in one expression: only where it fails is it asked which one is broken."""
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
            return lambda value, record: earliest <= value <= _latest_day(record.get(not_after))
        case TimestampField(), "range":
            return lambda value, _: value.tzinfo is not None and EARLIEST_MOMENT <= value < LATEST_MOMENT
        case _:
            raise ValueError(f"The rule {rule.check!r} does not apply to the field {rule.field.name!r}.")


def _latest_day(moment: datetime | None) -> date:
    """A moment that is missing is the fault of its own field."""
    return date.max if moment is None else moment.astimezone(UTC).date()


@cache
def _json_readers(record_type: RecordType) -> list[tuple[str, Callable[[str], Any], Rejection]]:
    readers: dict[type, Callable[[str], Any]] = {DateField: read_day, TimestampField: read_moment}
    return [(one.name, readers[type(one)], wrong_type(one)) for one in record_type.fields if type(one) in readers]


@cache
def _json_writers(record_type: RecordType) -> list[tuple[str, Callable[[Any], str] | None]]:
    """What writes each field's values, made once for each record type; None for text, which is written as it is."""
    writers: dict[type, Callable[[Any], str]] = {DateField: date.isoformat, TimestampField: _write_moment}
    return [(field.name, writers.get(type(field))) for field in record_type.fields]


def _write_moment(moment: datetime) -> str:
    if moment.tzinfo is not UTC:
        moment = moment.astimezone(UTC)
    return moment.isoformat(timespec="milliseconds").replace("+00:00", "Z")


@cache
def _avro_conversions(record_type: RecordType) -> list[tuple[str, Callable[[str], int]]]:
    converters: dict[type, Callable[[str], int]] = {
        DateField: lambda text: date.fromisoformat(text).toordinal() - _EPOCH_DAY,
        TimestampField: lambda text: (datetime.fromisoformat(text) - _EPOCH) // _MILLISECOND,
    }
    return [(one.name, converters[type(one)]) for one in record_type.fields if type(one) in converters]
