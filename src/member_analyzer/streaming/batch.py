"""A batch that the driver decodes."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from pyspark.sql import Row

from member_analyzer.analysis.progress import Generation
from member_analyzer.records.canonical import canonical
from member_analyzer.records.decoding import RecordDecoder
from member_analyzer.records.fields import RecordType
from member_analyzer.records.offsets import UnknownSchemaOffsets
from member_analyzer.records.rejection import Reason, Rejection
from member_analyzer.streaming.dead_letters import SourceRecord

# The columns of Spark's Kafka source that the driver requires.
ROW_COLUMNS = ("key", "value", "headers", "topic", "partition", "offset")


@dataclass(frozen=True)
class Round:
    """What does not change while a query runs: a new schema or a rebuild starts another one.

    `writers` are the known schemas by id, `unbounded` the ids of those that allow values of any size.
    `record_unknown` stores up to which offsets records of unknown schemas are rejected; it fails if one of the schemas
    was registered meanwhile.
    """

    generation: Generation
    writers: Mapping[int, str]
    unbounded: list[int]
    unknown_schema_offsets: UnknownSchemaOffsets
    decoder: RecordDecoder
    record_unknown: Callable[[UnknownSchemaOffsets], None]


class Accepted(NamedTuple):
    """A valid record, with its Kafka partition and offset."""

    record: dict[str, Any]
    partition: int
    offset: int


@dataclass
class Batch:
    """The records of a batch that the driver has decoded."""

    accepted: list[Accepted] = field(default_factory=list)
    rejected: list[tuple[SourceRecord, Rejection]] = field(default_factory=list)
    unknown: dict[int, dict[int, int]] = field(default_factory=dict)
    """Unknown schema id -> Kafka partition -> last offset."""

    def add(self, row: Row, record_type: RecordType, decoder: RecordDecoder) -> None:
        """Decode, normalize and validate the record of a row."""
        position = (row["partition"], row["offset"])
        decoded = decoder.decode(row["value"], *position)
        if decoded.record is not None:
            kept = canonical(record_type, decoded.record)
            decoded = decoder.validate(decoded._replace(record=kept))
        if decoded.record is not None:
            self.accepted.append(Accepted(decoded.record, *position))
        elif decoded.rejection is not None:
            self.rejected.append((SourceRecord.of_row(row), decoded.rejection))
            if decoded.rejection.reason == Reason.UNKNOWN_SCHEMA and decoded.schema_id is not None:
                self.note_unknown(decoded.schema_id, *position)

    def note_unknown(self, schema_id: int, partition: int, offset: int) -> None:
        """Note a record of an unknown schema."""
        offsets = self.unknown.setdefault(schema_id, {})
        offsets[partition] = max(offset, offsets.get(partition, 0))
