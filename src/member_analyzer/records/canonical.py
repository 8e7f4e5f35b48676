"""The canonical form of the text fields of a record."""

from collections.abc import Callable, Iterable, Mapping
from functools import cache, partial
from operator import itemgetter
from typing import Any, NamedTuple

from member_analyzer.records.fields import RecordType, TextField
from member_analyzer.records.text import is_normal, normalize_text


def canonical(record_type: RecordType, record: dict[str, Any]) -> dict[str, Any]:
    """Return the record with its text fields in canonical form; text without visible characters becomes null.

    `record` holds the values that `broken_rule` accepts. Other values are unchanged. Idempotent: a canonical record is
    returned as is.
    """
    read_texts, spellings, readers = _text_forms(record_type)
    try:
        # Fast path: most records are canonical, and every part of a normalized text is normalized.
        texts = [value for value in read_texts(record) if value is not None]
        if is_normal(" ".join(texts)):
            for name, known in spellings:
                if record[name] not in known:
                    break
            else:
                return record
    except (KeyError, TypeError):
        # A field is missing or is not text; validation reports it.
        pass
    changes = {}
    for name, read in readers:
        value = record.get(name)
        if isinstance(value, str) and ((text := read(value)) != value or not text):
            changes[name] = text or None
    return {**record, **changes} if changes else record


class _TextForms(NamedTuple):
    """Precomputed normalizers of the text fields of a record type."""

    read_texts: Callable[[Mapping[str, Any]], Iterable[Any]]
    spellings: list[tuple[str, frozenset[str]]]
    readers: list[tuple[str, Callable[[str], str]]]


@cache
def _text_forms(record_type: RecordType) -> _TextForms:
    texts = [one for one in record_type.fields if isinstance(one, TextField) and not one.verbatim]
    names = [one.name for one in texts]
    return _TextForms(
        # itemgetter returns a tuple only for several names.
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
