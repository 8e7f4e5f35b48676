"""One table of one day, as JSON and as CSV.

Pure.
"""

import csv
from collections.abc import Mapping
from io import StringIO
from typing import Any

from member_analyzer.analysis.counts import Bucket, Distribution
from member_analyzer.records.text import printable
from member_analyzer.streams.definition import Dimension

# Prefixes that make a spreadsheet read a cell as a formula.
FORMULA_PREFIXES = ("=", "+", "-", "@", "\t", "\r", "\n", "＝", "＋", "－", "＠")
# Without it Excel does not read a CSV file as UTF-8.
BYTE_ORDER_MARK = "\ufeff"


def sort_buckets(dimension: Dimension, buckets: Mapping[Bucket, int]) -> list[tuple[Bucket, int]]:
    """The buckets by number of members, descending; those of a fold, as age groups, in the order of its labels."""
    if dimension.fold is not None:
        positions: dict[Bucket, int] = {(label,): position for position, label in enumerate(dimension.fold.labels)}
        return sorted(buckets.items(), key=lambda item: positions.get(item[0], len(positions)))
    return sorted(buckets.items(), key=lambda item: (-item[1], item[0]))


def percentage(members: int, total: int) -> float:
    """The share of the total in percent, rounded to three decimals."""
    return round(100 * members / total, 3) if total else 0.0


def describe_distribution(dimension: Dimension, day: str, distribution: Distribution, limit: int) -> dict[str, Any]:
    """One table of one day as JSON values, with at most `limit` buckets."""
    return {
        "date": day,
        "table": dimension.table,
        "columns": dimension.key_columns,
        "total": distribution.total,
        "bucket_count": len(distribution.buckets),
        "buckets": [
            {"bucket": printable_bucket(bucket), "members": members, "percent": percentage(members, distribution.total)}
            for bucket, members in sort_buckets(dimension, distribution.buckets)[:limit]
        ],
    }


def printable_bucket(bucket: Bucket) -> Bucket:
    return tuple(map(printable, bucket))


def write_csv(dimension: Dimension, distribution: Distribution) -> str:
    """One table of one day as CSV (RFC 4180) that is safe to open in a spreadsheet."""
    text = StringIO()
    text.write(BYTE_ORDER_MARK)
    writer = csv.writer(text)
    writer.writerow([*dimension.key_columns, "members", "percent"])
    for bucket, members in sort_buckets(dimension, distribution.buckets):
        writer.writerow([*map(escape_formula, bucket), members, percentage(members, distribution.total)])
    return text.getvalue()


def escape_formula(text: str) -> str:
    """The text, with an apostrophe before what a spreadsheet would read as a formula."""
    return f"'{text}" if text.startswith(FORMULA_PREFIXES) else text
