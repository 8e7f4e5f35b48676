"""DataFrame transforms of a stream: decode, validate, accept, reject.

Pure: they run inside the JVM, on static and streaming DataFrames, and access no server.
"""

from collections.abc import Collection, Iterable, Mapping
from datetime import date
from functools import reduce
from operator import and_, or_
from types import MappingProxyType

from pyspark.sql import Column, DataFrame
from pyspark.sql import functions as F
from pyspark.sql.avro.functions import from_avro

from member_analyzer.records.fields import (
    EARLIEST_MOMENT,
    LATEST_MOMENT,
    DateField,
    RecordType,
    TextField,
    TimestampField,
)
from member_analyzer.records.offsets import Offsets, UnknownSchemaOffsets
from member_analyzer.records.rejection import REJECTION_HEADERS, Rejection, rejection_header
from member_analyzer.records.rules import REPLACEMENT_CHARACTER, Rule, rules
from member_analyzer.records.text import JOINED_CHARACTERS, JOINERS, PLAIN_CHARACTERS
from member_analyzer.records.wire import EMPTY, UNDECODABLE, UNKNOWN, WRONG_MAGIC

# The Confluent wire format: a zero byte, the schema id (four bytes, big endian), then the Avro bytes.
MAGIC_BYTE = bytearray([0])
HEADER_BYTES = 5

SOURCE_COLUMNS = ("key", "value", "headers", "topic", "partition", "offset")


def decode(
    records: DataFrame,
    record_type: RecordType,
    *,
    writers: Mapping[int, str],
    reader: str,
    unknown_schema_offsets: UnknownSchemaOffsets = MappingProxyType({}),
    unbounded: Collection[int] = (),
    deferred: Column | None = None,
) -> DataFrame:
    """Decode Kafka records with their writer schemas, and validate them.

    `records` has the Kafka source's columns key, value, headers, topic, partition, offset; `writers` maps schema ids to
    Avro schemas; `reader` is the reader schema; records up to `unknown_schema_offsets` were rejected because their
    schema was unknown, and stay rejected although it is registered now; `unbounded` are registered schemas whose values
    cannot be read safely (`records.avro_schemas.find_unbounded`). Returns these columns and schema_id (long), record (a
    struct of the reader's fields; nulls if it is undecodable), is_deferred (whether the condition `deferred` holds for
    a decodable record), reason and message (null if the record is deferred or valid).
    """
    value = F.col("value")
    framed = records.select(
        *SOURCE_COLUMNS,
        F.conv(F.hex(F.substring(value, 2, HEADER_BYTES - 1)), 16, 10).cast("long").alias("schema_id"),
    )
    payload = F.expr(f"substring(value, {HEADER_BYTES + 1})")
    options = {"mode": "PERMISSIVE", "avroSchema": reader, "datetimeRebaseMode": "CORRECTED"}
    record = F.coalesce(
        *(
            F.when(F.col("schema_id") == schema_id, from_avro(payload, writer, options))
            for schema_id, writer in sorted(writers.items())
        )
    )
    decoded = framed.withColumn("record", _evaluate_once(record)).withColumn(
        "is_readable", _evaluate_once(_are_readable(record_type))
    )
    cases: list[tuple[Column, Rejection | None]] = [
        (value.isNull(), EMPTY),
        (~value.startswith(F.lit(MAGIC_BYTE)) | (F.length(value) <= HEADER_BYTES), WRONG_MAGIC),
        (~F.col("schema_id").isin([*writers, *unbounded]) | _had_unknown_schema(unknown_schema_offsets), UNKNOWN),
        (F.col(f"record.{record_type.key}").isNull(), UNDECODABLE),
        (F.lit(False) if deferred is None else deferred, None),
        *broken_rules(record_type),
    ]
    number_of_deferral = [rejection for _, rejection in cases].index(None)
    # Only the number of the case is computed: Spark plans every batch, and would plan sixty pairs of text expressions.
    case = F.when(cases[0][0], 0)
    for number, (condition, _) in enumerate(cases[1:], start=1):
        case = case.when(condition, number)
    reasons = F.array(*(F.lit(rejection and rejection.reason.value) for _, rejection in cases))
    messages = F.array(*(F.lit(rejection and rejection.message) for _, rejection in cases))
    return decoded.withColumn("case", _evaluate_once(case)).select(
        *SOURCE_COLUMNS,
        "schema_id",
        "record",
        (F.coalesce(F.col("case"), F.lit(-1)) == number_of_deferral).alias("is_deferred"),
        reasons[F.col("case")].alias("reason"),
        messages[F.col("case")].alias("message"),
    )


def broken_rules(record_type: RecordType) -> list[tuple[Column, Rejection]]:
    """Return a condition for each broken rule, with its rejection; the first that holds is the reason.

    The column `is_readable` is whether all text fields of the column `record` are readable.
    The rules and their order are the same as in `records.rules.broken_rule`.
    """
    return [(_is_broken(rule), rule.rejection) for rule in rules(record_type)]


def is_canonical(record_type: RecordType) -> Column:
    """Whether the column `record` is known to be canonical; never null.

    If true, `canonical` does not change the record. It is false for some canonical records: Spark has no NFC
    normalization, so only text of PLAIN_CHARACTERS counts as normalized.
    """
    texts = [field for field in record_type.fields if isinstance(field, TextField) and not field.verbatim]
    # All text fields in one expression; a match implies that none is empty and none has a line break.
    lines = F.concat_ws("\n", *(F.coalesce(F.col(f"record.{field.name}"), F.lit("-")) for field in texts))
    plain = _character_class(*PLAIN_CHARACTERS, *((ord(joiner),) * 2 for joiner in JOINERS))
    joined = _character_class(JOINED_CHARACTERS)
    joiner = _character_class(*((ord(joiner),) * 2 for joiner in JOINERS))
    line = f"(?! ){plain}++(?<! )"

    def are_normal(lines: Column) -> Column:
        is_plain = lines.rlike(rf"\A(?:{line}\n){{{len(texts) - 1}}}{line}\z") & ~lines.contains("  ")
        has_joiners = reduce(or_, (lines.contains(one) for one in JOINERS))
        return is_plain & (~has_joiners | ~lines.rlike(f"(?<!{joined}){joiner}|{joiner}(?!{joined})"))

    spellings = [_is_one_of(f"record.{one.name}", one.spelling.known) for one in texts if one.spelling is not None]
    # As an array element the text is concatenated only once, not for each use.
    return reduce(and_, [*spellings, F.forall(F.array(lines), are_normal)])


def _is_one_of(column: str, texts: Iterable[str]) -> Column:
    """Whether a column is null or one of the texts."""
    # A single SQL expression: hundreds of literals would be as many py4j calls for every plan.
    literals = ", ".join("'" + text.replace("\\", "\\\\").replace("'", "\\'") + "'" for text in sorted(texts))
    return F.expr(f"coalesce({column} IN ({literals}), true)")


def _character_class(*ranges: tuple[int, int]) -> str:
    """Return a Java regular expression character class of these ranges.

    The ranges are nested classes, because Java tests the ranges of a flat class sequentially, the first one last.
    """
    return "".join(rf"[\x{{{first:x}}}-\x{{{last:x}}}" for first, last in ranges) + "]" * len(ranges)


def rejected_records(decoded: DataFrame) -> DataFrame:
    """Return the rejected records, as key, value and headers for the Kafka sink.

    Key, value and headers are the original bytes, followed by the rejection headers.
    """
    header = "struct<key:string,value:binary>"
    values = {name: F.col(name) for name in REJECTION_HEADERS if name != "at"} | {
        "at": F.date_format(F.current_timestamp(), "yyyy-MM-dd'T'HH:mm:ss.SSS'Z'")
    }
    added_headers = F.array(
        *(
            F.struct(F.lit(rejection_header(name)), values[name].cast("string").cast("binary")).cast(header)
            for name in REJECTION_HEADERS
        )
    )
    original_headers = F.coalesce(F.col("headers"), F.array().cast(f"array<{header}>"))
    return decoded.filter(F.col("reason").isNotNull()).select(
        "key", "value", F.concat(original_headers, added_headers).alias("headers")
    )


def accepted_records(decoded: DataFrame, record_type: RecordType) -> DataFrame:
    """Return the accepted records: a column for each field, kafka_partition and kafka_offset."""
    return decoded.filter(F.col("reason").isNull() & ~F.col("is_deferred")).select(
        *(F.col(f"record.{name}").alias(name) for name in record_type.names),
        F.col("partition").alias("kafka_partition"),
        F.col("offset").alias("kafka_offset"),
    )


def describe(decoded: DataFrame, record_type: RecordType, columns: Iterable[str]) -> DataFrame:
    """Return what the driver needs of each decoded record.

    These are partition (int), offset (long), schema_id (long), is_deferred (boolean), reason (string; null if accepted
    or deferred) and the named fields: timestamps as milliseconds since the epoch (long), independent of the time zone
    of the Python process; other fields in their own type. The fields of rejected records are null.
    """
    kinds = {field.name: type(field) for field in record_type.fields}

    def value(name: str) -> Column:
        column = F.col(f"record.{name}")
        return F.when(F.col("reason").isNull(), F.unix_millis(column) if kinds[name] is TimestampField else column)

    return decoded.select(
        "partition", "offset", "schema_id", "is_deferred", "reason", *(value(name).alias(name) for name in columns)
    )


def between(records: DataFrame, begins: Offsets, ends: Offsets) -> DataFrame:
    """Return the records from the offsets `begins` (inclusive, default 0) to `ends` (exclusive).

    Partitions that are missing in `ends` have none.
    """
    parts = [
        (F.col("partition") == partition) & (F.col("offset") >= begins.get(partition, 0)) & (F.col("offset") < end)
        for partition, end in ends.items()
    ]
    return records.filter(reduce(or_, parts, F.lit(False)))


def without(records: DataFrame, positions: DataFrame) -> DataFrame:
    """Return the accepted records whose kafka_partition and kafka_offset are not in `positions`."""
    return records.join(F.broadcast(positions), ["kafka_partition", "kafka_offset"], "left_anti")


def _is_before(offsets: Offsets) -> Column:
    before = [(F.col("partition") == partition) & (F.col("offset") < offset) for partition, offset in offsets.items()]
    return reduce(or_, before, F.lit(False))


def _had_unknown_schema(unknown_schema_offsets: UnknownSchemaOffsets) -> Column:
    rejected = [
        (F.col("schema_id") == schema_id) & _is_before({partition: offset + 1 for partition, offset in last.items()})
        for schema_id, last in unknown_schema_offsets.items()
    ]
    return reduce(or_, rejected, F.lit(False))


def _evaluate_once(column: Column) -> Column:
    """Return the column such that the optimizer does not duplicate it for each use.

    The optimizer would push down filters through the column and decode a value once for every rule. It does not move
    nondeterministic expressions, so the column is made to look like one.
    """
    return F.when(F.spark_partition_id() >= 0, column)


def _is_damaged(text: Column) -> Column:
    # Decoding replaces invalid UTF-8 by the replacement character.
    decoded = F.decode(text.cast("binary"), "UTF-8")
    return decoded.contains(REPLACEMENT_CHARACTER) | decoded.contains("\0")


def _are_readable(record_type: RecordType) -> Column:
    """Whether all text fields of the column `record` are readable, with a single decoding."""
    texts = [F.col(f"record.{field.name}") for field in record_type.fields if isinstance(field, TextField)]
    # A line break cannot complete a truncated character before it.
    return ~_is_damaged(F.concat_ws("\n", *texts))


def _is_broken(rule: Rule) -> Column:
    column = F.col(f"record.{rule.field.name}")
    match rule.field, rule.check:
        case TextField(), "present":
            return column.isNull() | (F.trim(column) == "")
        case _, "present":
            return column.isNull()
        case TextField(), "readable":
            return ~F.col("is_readable") & _is_damaged(column)
        case TextField(longest=longest), "length":
            # Cheap check first: text has no more characters than bytes.
            return (F.octet_length(column) > longest) & (F.length(column) > longest)
        case TextField(allowed=allowed), "allowed":
            return ~column.isin(*allowed)
        case TextField(pattern=pattern), "pattern":
            return ~column.rlike(rf"^(?:{pattern})\z")
        case DateField(earliest=earliest, not_after=not_after), "range":
            latest = F.to_date(F.col(f"record.{not_after}")) if not_after else F.lit(date.max)
            return (column < F.lit(earliest)) | (column > latest)
        case _, "range":
            return (column < F.lit(EARLIEST_MOMENT)) | (column >= F.lit(LATEST_MOMENT))
        case _:
            raise ValueError(f"The rule {rule.check!r} does not apply to the field {rule.field.name!r}.")
