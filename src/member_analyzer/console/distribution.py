"""One table of one day, as the page and as a spreadsheet want it.

Pure.
"""

import csv
from collections.abc import Mapping
from io import StringIO
from typing import Any

from member_analyzer.analysis.counts import AGE, Bucket, Distribution
from member_analyzer.records.text import printable
from member_analyzer.streams.members.dimensions import AGE_GROUPS

_AGES: dict[Bucket, int] = {(group.label,): number for number, group in enumerate(AGE_GROUPS)}
# What a spreadsheet takes for a formula when a cell begins with it.
FORMULA_BEGINS = ("=", "+", "-", "@", "\t", "\r", "\n", "＝", "＋", "－", "＠")
# Without it Excel takes CSV for the old character set of its country.
BYTE_ORDER_MARK = "\ufeff"


def order_buckets(table: str, buckets: Mapping[Bucket, int]) -> list[tuple[Bucket, int]]:
    """The buckets with the most members first; those of `age` in their order."""
    if table == AGE:
        return sorted(buckets.items(), key=lambda one: _AGES.get(one[0], len(_AGES)))
    return sorted(buckets.items(), key=lambda one: (-one[1], one[0]))


def percentage(members: int, total: int) -> float:
    """The part of the total in percent, to a thousandth."""
    return round(100 * members / total, 3) if total else 0.0


def describe_distribution(
    table: str, day: str, columns: tuple[str, ...], distribution: Distribution, limit: int
) -> dict[str, Any]:
    """One table of one day as JSON values, `limit` buckets of it at most."""
    return {
        "date": day,
        "table": table,
        "columns": columns,
        "total": distribution.total,
        "of": len(distribution.buckets),
        "buckets": [
            {"bucket": show_bucket(bucket), "members": members, "percent": percentage(members, distribution.total)}
            for bucket, members in order_buckets(table, distribution.buckets)[:limit]
        ],
    }


def show_bucket(bucket: Bucket) -> Bucket:
    """A bucket's texts as a page can show them."""
    return tuple(map(printable, bucket))


def write_csv(table: str, columns: tuple[str, ...], distribution: Distribution) -> str:
    """One table of one day as CSV (RFC 4180) that a spreadsheet reads as UTF-8, and in which no text is a formula."""
    text = StringIO()
    text.write(BYTE_ORDER_MARK)
    writer = csv.writer(text)
    writer.writerow([*columns, "members", "percent"])
    for bucket, members in order_buckets(table, distribution.buckets):
        writer.writerow([*map(disarm, bucket), members, percentage(members, distribution.total)])
    return text.getvalue()


def disarm(text: str) -> str:
    """The text, behind an apostrophe where a spreadsheet would take it for a formula."""
    return f"'{text}" if text.startswith(FORMULA_BEGINS) else text
