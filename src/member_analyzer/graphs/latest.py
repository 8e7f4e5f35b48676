"""Charts of the newest day in the analysis tables."""

from datetime import date
from pathlib import Path

import structlog
from tenacity import Retrying, retry_if_exception_type, stop_after_attempt, wait_fixed

from member_analyzer.analysis.connection import connect_cassandra
from member_analyzer.analysis.tables import AnalysisTables
from member_analyzer.graphs.drawing import Bar, Chart, draw_day
from member_analyzer.settings import CassandraSettings, GraphSettings
from member_analyzer.streams.members.definition import MEMBERS

log = structlog.get_logger(__name__)

PLURALS = {"age": "age groups", "gender": "genders", "country": "countries", "city": "cities"}


def draw_newest_day(cassandra: CassandraSettings, graphs: GraphSettings) -> list[Path]:
    """Draw the four tables of the newest day and return the PNG files; none if no member has been counted."""
    with connect_cassandra(cassandra) as session:
        tables = AnalysisTables(session, cassandra.keyspace, MEMBERS)
        day = tables.read_progress().analysis_date
        if day is None:
            log.info("graphs.no_members")
            return []
        # During a micro-batch a table may already hold more than the total that was written before.
        retrying = Retrying(
            retry=retry_if_exception_type(ValueError), stop=stop_after_attempt(5), wait=wait_fixed(1), reraise=True
        )
        charts = {table: retrying(_read, tables, table, day) for table in PLURALS}
    files = draw_day(graphs.directory, day, charts)
    log.info("graphs.drawn", day=day.isoformat(), files=[file.name for file in files])
    return files


def _read(tables: AnalysisTables, table: str, day: date) -> Chart:
    found = tables.read_distribution(table, day)
    bars = [Bar(_label(bucket), members) for bucket, members in found.buckets.items()]
    title = f"Members by {table}"
    return Chart(title, bars, found.total, ordered=table == "age", plural=PLURALS[table])


def _label(bucket: tuple[str, ...]) -> str:
    """The most specific part first, as in a postal address."""
    return ", ".join(reversed(bucket))
