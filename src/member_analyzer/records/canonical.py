"""The one form in which the texts of a record are kept and counted."""

from collections.abc import Callable, Iterable, Mapping
from functools import cache, partial
from operator import itemgetter
from typing import Any, NamedTuple

from member_analyzer.records.fields import RecordType, TextField
from member_analyzer.records.text import is_normal, normalize_text


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
