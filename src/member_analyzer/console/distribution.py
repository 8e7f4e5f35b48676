"""One table of one day, as JSON and as CSV.

Pure.
"""

import csv
from collections.abc import Mapping
from io import StringIO
from typing import Any

from member_analyzer.analysis.counts import AGE, Bucket, Distribution
from member_analyzer.records.text import printable
from member_analyzer.streams.members.dimensions import AGE_GROUPS

_AGES: dict[Bucket, int] = {(group.label,): position for position, group in enumerate(AGE_GROUPS)}
# Prefixes that make a spreadsheet read a cell as a formula.
FORMULA_PREFIXES = ("=", "+", "-", "@", "\t", "\r", "\n", "＝", "＋", "－", "＠")
# Without it Excel does not read a CSV file as UTF-8.
BYTE_ORDER_MARK = "\ufeff"


def sort_buckets(table: str, buckets: Mapping[Bucket, int]) -> list[tuple[Bucket, int]]:
    """The buckets by number of members, descending; those of `age` by age."""
    if table == AGE:
        return sorted(buckets.items(), key=lambda item: _AGES.get(item[0], len(_AGES)))
    return sorted(buckets.items(), key=lambda item: (-item[1], item[0]))


def percentage(members: int, total: int) -> float:
    """The share of the total in percent, rounded to three decimals."""
    return round(100 * members / total, 3) if total else 0.0


def describe_distribution(
    table: str, day: str, columns: tuple[str, ...], distribution: Distribution, limit: int
) -> dict[str, Any]:
    """One table of one day as JSON values, with at most `limit` buckets."""
    return {
        "date": day,
        "table": table,
        "columns": columns,
        "total": distribution.total,
        "bucket_count": len(distribution.buckets),
        "buckets": [
            {"bucket": printable_bucket(bucket), "members": members, "percent": percentage(members, distribution.total)}
            for bucket, members in sort_buckets(table, distribution.buckets)[:limit]
        ],
    }


def printable_bucket(bucket: Bucket) -> Bucket:
    return tuple(map(printable, bucket))


def write_csv(table: str, columns: tuple[str, ...], distribution: Distribution) -> str:
    """One table of one day as CSV (RFC 4180) that is safe to open in a spreadsheet."""
    text = StringIO()
    text.write(BYTE_ORDER_MARK)
    writer = csv.writer(text)
    writer.writerow([*columns, "members", "percent"])
    for bucket, members in sort_buckets(table, distribution.buckets):
        writer.writerow([*map(escape_formula, bucket), members, percentage(members, distribution.total)])
    return text.getvalue()


def escape_formula(text: str) -> str:
    """The text, with an apostrophe before what a spreadsheet would read as a formula."""
    return f"'{text}" if text.startswith(FORMULA_PREFIXES) else text
