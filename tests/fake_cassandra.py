"""A Cassandra in memory: the tables of interactions/tables.cql, and the driver's results of SELECT statements on them.

It refuses what Cassandra refuses: unknown columns, a partition that is not named, and restrictions of clustering
columns that are no slice.
"""

import operator
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, date, datetime
from functools import cmp_to_key
from types import SimpleNamespace
from typing import Any

from cassandra.cluster import ResultSet
from cassandra.util import Date

from member_analyzer.analysis.keyspace import interaction_tables

Row = Mapping[str, Any]
NODES = [SimpleNamespace(is_up=True)]
SIGNS: dict[str, Callable[[Any, Any], bool]] = {
    "=": operator.eq,
    "<": operator.lt,
    ">": operator.gt,
    "<=": operator.le,
    ">=": operator.ge,
}


@dataclass(frozen=True)
class Table:
    """The columns of a table."""

    columns: Sequence[str]
    partition: Sequence[str]
    clustering: Sequence[str]
    descending: Sequence[str]

    def compare(self, one: Row, other: Row) -> int:
        """The order of two rows in a partition."""
        for column in self.clustering:
            if one[column] != other[column]:
                return 1 if (one[column] > other[column]) != (column in self.descending) else -1
        return 0


def read_table(statement: str) -> tuple[str, Table]:
    """The name and the columns of the table that a statement creates."""
    name, body = re.match(r"CREATE TABLE IF NOT EXISTS k\.(\w+) \((.*)\)", statement, re.DOTALL).groups()  # type: ignore[union-attr]
    columns = re.findall(r"^ +(\w+) (?:text|boolean|date|int|bigint|timestamp|blob)\b", body, re.MULTILINE)
    single = re.search(r"(\w+) \w+ PRIMARY KEY", body)
    if single is not None:
        return name, Table(columns, [single[1]], [], [])
    partition, clustering = re.search(r"PRIMARY KEY \(\(([^)]*)\)(?:, )?([^)]*)\)", body).groups()  # type: ignore[union-attr]
    keys = [one.split(", ") if one else [] for one in (partition, clustering)]
    return name, Table(columns, *keys, re.findall(r"(\w+) DESC", statement))


@dataclass
class Statement:
    """A prepared SELECT."""

    columns: Sequence[str]
    table: str
    restrictions: Sequence[tuple[Sequence[str], str]]
    fetch_size: int = 5000


@dataclass
class FakeCassandra:
    """A session; `rows` are those of each table and partition, and `pages` counts what was read."""

    rows: dict[tuple[Any, ...], list[dict[str, Any]]] = field(default_factory=dict)
    pages: int = 0
    is_shutdown: bool = False
    cluster: Any = field(default_factory=lambda: SimpleNamespace(metadata=SimpleNamespace(all_hosts=lambda: NODES)))
    tables: dict[str, Table] = field(default_factory=lambda: dict(map(read_table, interaction_tables("k"))))

    def insert(self, table: str, **values: Any) -> None:
        """Insert a row; columns that are not given have no value."""
        columns, partition = self.tables[table].columns, self.tables[table].partition
        assert values.keys() <= set(columns), values.keys()
        rows = self.rows.setdefault((table, *(values[name] for name in partition)), [])
        rows.append(dict.fromkeys(columns) | values)

    def prepare(self, text: str) -> Statement:
        columns, table, where = re.fullmatch(r"SELECT (.*) FROM k\.(\w+) WHERE (.*)", text).groups()  # type: ignore[union-attr]
        conditions = [
            re.fullmatch(r"\(?([\w, ]+)\)? (=|<=?|>=?) \(?[?, ]+\)?", one).groups()  # type: ignore[union-attr]
            for one in where.split(" AND ")
        ]
        statement = Statement(columns.split(", "), table, [(names.split(", "), sign) for names, sign in conditions])
        self._check(statement)
        return statement

    def execute(self, statement: Statement, values: Sequence[Any]) -> ResultSet:
        return self.execute_async(statement, values).result()

    def execute_async(self, statement: Statement, values: Sequence[Any], **_: Any) -> "Response":
        table = self.tables[statement.table]
        size = len(table.partition)
        found, left = self.rows.get((statement.table, *values[:size]), []), list(values[size:])
        for names, sign in statement.restrictions[size:]:
            wanted, left = tuple(left[: len(names)]), left[len(names) :]
            compare = SIGNS[sign]
            found = [row for row in found if compare(tuple(row[name] for name in names), wanted)]
        assert not left, "more values than restrictions"
        found = sorted(found, key=cmp_to_key(table.compare))
        return Response(self, [{name: as_driver(row[name]) for name in statement.columns} for row in found], statement)

    def _check(self, statement: Statement) -> None:
        table = self.tables[statement.table]
        assert set(statement.columns) <= set(table.columns), statement.columns
        equal = [name for names, sign in statement.restrictions for name in names if sign == "="]
        slices = [names for names, sign in statement.restrictions if sign != "="]
        assert equal[: len(table.partition)] == list(table.partition), "the partition is not named"
        clustered = equal[len(table.partition) :]
        assert clustered == list(table.clustering[: len(clustered)]), "a clustering column is left out"
        for names in slices:
            assert names == list(table.clustering[len(clustered) : len(clustered) + len(names)]), "no slice"
            # The order of such a slice is that of the values only if no column is descending.
            assert len(names) == 1 or not set(names) & set(table.descending)


@dataclass
class Response:
    """The driver's response future: pages of rows."""

    cassandra: FakeCassandra
    rows: list[dict[str, Any]]
    statement: Statement
    _col_names: None = None
    _col_types: None = None
    _continuous_paging_session: None = None

    def __post_init__(self) -> None:
        self.start_fetching_next_page()

    def start_fetching_next_page(self) -> None:
        size = self.statement.fetch_size
        self.page, self.rows = self.rows[:size], self.rows[size:]
        self.cassandra.pages += 1

    @property
    def has_more_pages(self) -> bool:
        return bool(self.rows)

    def result(self) -> ResultSet:
        return ResultSet(self, self.page)

    def add_callbacks(self, callback: Callable[..., None], callback_args: tuple[Any, ...], **_: Any) -> None:
        callback(self.page, *callback_args)

    def clear_callbacks(self) -> None:
        pass


def as_driver(value: Any) -> Any:
    """A value as the driver returns it."""
    if isinstance(value, datetime):
        return value.astimezone(UTC).replace(tzinfo=None)
    return Date(value) if isinstance(value, date) else value
