"""Creates the keyspace and its tables."""

from collections.abc import Iterable, Iterator, Mapping
from importlib.resources import files

from cassandra.cluster import Session

from member_analyzer.records.fields import DateField, TextField, TimestampField
from member_analyzer.settings import CassandraSettings
from member_analyzer.streams.definition import Dimension, StreamDefinition

CQL_TYPES = {TextField: "text", DateField: "date", TimestampField: "timestamp"}
# The shared tables with the progress of the streams.
PROGRESS_TABLES = ("stream_progress", "stream_generations")
# The tables of the interactions.
INTERACTION_TABLES = (
    "interaction_ids",
    "interaction_visitors",
    "interaction_timeline",
    "interaction_sessions",
    "interaction_sessions_by_person",
    "interaction_days",
    "interaction_counts",
    "interaction_minutes",
    "interaction_active",
    "interaction_members",
    "interaction_sources",
    "interaction_lag",
)


def create_tables(session: Session, settings: CassandraSettings, definitions: Iterable[StreamDefinition]) -> None:
    """Create the keyspace, the tables of these streams and those of the interactions if they do not exist."""
    session.execute(
        f"CREATE KEYSPACE IF NOT EXISTS {settings.keyspace} WITH replication = "
        f"{{'class': 'NetworkTopologyStrategy', '{settings.datacenter}': {settings.replication_factor}}}"
    )
    statements = [*shared_tables(settings.keyspace), *interaction_tables(settings.keyspace)]
    for definition in definitions:
        statements += stream_tables(definition, settings.keyspace)
    for statement in statements:
        session.execute(statement)


def shared_tables(keyspace: str) -> list[str]:
    """Return the statements that create the tables that all streams share."""
    return _read_statements("keyspace.cql", keyspace)


def interaction_tables(keyspace: str) -> list[str]:
    """Return the statements that create INTERACTION_TABLES."""
    return _read_statements("interactions/tables.cql", keyspace)


def stream_tables(definition: StreamDefinition, keyspace: str) -> Iterator[str]:
    """Yield the statements that create the tables of a stream: rows, erased keys, analysis tables."""
    types = {field.name: CQL_TYPES[type(field)] for field in definition.record_type.fields}
    columns = ", ".join(f"{name} {types[name]}" for name in definition.stored_columns)
    # The row of a key is the deduplication state: a later event of the key has no effect.
    yield (
        f"CREATE TABLE IF NOT EXISTS {keyspace}.{definition.table} "
        f"({columns}, kafka_partition int, kafka_offset bigint, PRIMARY KEY ({definition.key})) "
        "WITH gc_grace_seconds = 1728000"
    )
    if definition.erasure is not None:
        # The keys of erased records, with the origin of their erasure: later events of the key have no effect.
        yield (
            f"CREATE TABLE IF NOT EXISTS {keyspace}.{definition.erasure.table} "
            f"({definition.key} text PRIMARY KEY, generation text, kafka_partition int, kafka_offset bigint)"
        )
    for dimension in definition.dimensions:
        yield from _dimension_tables(definition, dimension, types, keyspace)


def _dimension_tables(
    definition: StreamDefinition, dimension: Dimension, types: Mapping[str, str], keyspace: str
) -> Iterator[str]:
    keys = ", ".join(dimension.key_columns)
    columns = ", ".join(f"{name} {types.get(name, 'text')}" for name in dimension.key_columns)
    yield (
        f"CREATE TABLE IF NOT EXISTS {keyspace}.{dimension.table} "
        f"(analysis_date date, {columns}, {definition.unit} bigint, total bigint static, "
        f"PRIMARY KEY (analysis_date, {keys}))"
    )
    if dimension.fold is not None:
        # The analysis table of each day is folded from it.
        (column,) = dimension.columns
        yield (
            f"CREATE TABLE IF NOT EXISTS {keyspace}.{dimension.name} "
            f"(stream text, {column} date, {definition.unit} bigint, PRIMARY KEY (stream, {column}))"
        )


def _read_statements(name: str, keyspace: str) -> list[str]:
    text = files("member_analyzer.analysis").joinpath(name).read_text(encoding="utf-8")
    # Comments may contain semicolons.
    text = "\n".join(line for line in text.splitlines() if not line.startswith("--"))
    statements = text.replace("{keyspace}", keyspace).split(";")
    return [statement.strip() for statement in statements if statement.strip()]
