"""The counts of a stream in a real Cassandra: written ahead, once, day by day, and repaired for good."""

from collections import Counter
from collections.abc import Iterator
from dataclasses import replace
from datetime import date, timedelta
from uuid import uuid4

import pytest

from member_analyzer.analysis.changes import Changes, Event
from member_analyzer.analysis.connection import connect_cassandra
from member_analyzer.analysis.counts import Count, Distribution
from member_analyzer.analysis.findings import Repair
from member_analyzer.analysis.live_progress import ForeignProgressError
from member_analyzer.analysis.live_tables import Journal, LiveTables
from member_analyzer.analysis.tables import AnalysisTables
from member_analyzer.settings import CassandraSettings
from member_analyzer.streams.definition import Topic
from member_analyzer.streams.members.definition import MEMBERS
from member_analyzer.streams.members.dimensions import DIMENSIONS
from running_platform import Platform

# The tables are of no stream: these days are of nobody else.
DAY = date(2001, 3, 1)
NEXT = DAY + timedelta(days=1)


@pytest.fixture
def tables(platform: Platform) -> Iterator[AnalysisTables]:
    """The tables of a stream that has not counted anything."""
    settings = CassandraSettings.of(platform.environment("admin"))
    with connect_cassandra(settings) as session:
        for table in ("age", "gender", "country", "city"):
            for day in (DAY, NEXT):
                session.execute(f"DELETE FROM spark_streams.{table} WHERE analysis_date = %s", (day,))
        yield AnalysisTables(session, settings.keyspace, replace(MEMBERS, topic=Topic(f"test-{uuid4()}")))


def members(number: int, country: str = "Norway") -> Changes:
    buckets = {
        "births": ("1990-05-17",),
        "gender": ("female",),
        "country": (country,),
        "city": (country, "Oslo"),
    }
    assert buckets.keys() == {dimension.name for dimension in DIMENSIONS}
    return Changes(buckets=Counter(dict.fromkeys(buckets.items(), number)), total=number)


def countries(tables: AnalysisTables, day: date = DAY) -> dict[str, int]:
    return {bucket[0]: n for bucket, n in tables.read_distribution("country", day).buckets.items()}


def test_what_a_killed_stream_wrote_ahead_is_written_by_the_next_one_and_counted_once(tables: AnalysisTables) -> None:
    live = LiveTables(tables)
    live.count(members(3), {0: 9}, DAY)
    live.finish_rows({0: 9})
    # As a stream that is killed before the first table is written leaves it.
    ahead = Journal(DAY, 5, [Count("country", ("Norway",), 5), Count("births", ("1990-05-17",), 5)])
    tables.begin_counts(tables.read_progress().number + 1, {0: 14}, ahead.encode(), 0)
    again = LiveTables(tables)
    assert countries(tables) == {"Norway": 5}
    assert tables.read_distribution("age", DAY).buckets[("0-15",)] == 5
    assert again.is_unfinished
    assert (again.written, again.counted) == ({0: 9}, {0: 14})
    again.finish_rows({0: 14})
    assert tables.read_progress().is_settled
    again.count(members(1), {0: 15}, DAY)
    assert countries(tables) == {"Norway": 6}


def test_a_new_day_begins_with_everything_and_the_day_before_stays(tables: AnalysisTables) -> None:
    live = LiveTables(tables)
    live.count(members(3), {0: 9}, DAY)
    live.finish_rows({0: 9})
    live.roll_over(NEXT)
    live.count(members(2, "Serbia"), {0: 11}, NEXT)
    assert countries(tables) == {"Norway": 3}
    assert countries(tables, NEXT) == {"Norway": 3, "Serbia": 2}
    assert tables.read_distribution("gender", NEXT).total == 5
    # A clock that steps back does not open the day again.
    live.finish_rows({0: 11})
    live.count(members(1), {0: 12}, DAY)
    assert countries(tables, NEXT) == {"Norway": 4, "Serbia": 2}


def test_a_repair_holds_for_the_moment_of_the_recount_and_what_was_counted_since_is_added(
    tables: AnalysisTables,
) -> None:
    live = LiveTables(tables)
    live.count(members(3), {0: 9}, DAY)
    number = tables.read_progress().number
    live.count(members(2), {0: 11}, DAY)
    live.finish_rows({0: 11})
    tables.write_distribution("country", DAY, Distribution({("Atlantis",): 8}, 99))
    found = [Count("country", ("Norway",), 4), Count("country", ("Atlantis",), 0), Count("births", ("1990-05-17",), 4)]
    tables.request_repair(Repair("one", DAY, number, 4, found))
    live.repair(tables.read_repairs())
    assert tables.read_repairs() == []
    assert {country: n for country, n in countries(tables).items() if n} == {"Norway": 6}
    assert tables.read_distribution("country", DAY).total == 6
    assert tables.read_distribution("age", DAY).total == 6
    live.count(members(1), {0: 12}, DAY)
    assert {country: n for country, n in countries(tables).items() if n} == {"Norway": 7}


@pytest.mark.parametrize("number", [-5, 10_000], ids=["before what is remembered", "of another Cassandra"])
def test_a_repair_that_is_too_old_is_dropped(tables: AnalysisTables, number: int) -> None:
    live = LiveTables(tables)
    live.count(members(3), {0: 9}, DAY)
    live.finish_rows({0: 9})
    tables.request_repair(Repair("old", DAY, number, 4, [Count("country", ("Norway",), 4)]))
    live.repair(tables.read_repairs())
    assert tables.read_repairs() == []
    assert countries(tables) == {"Norway": 3}


def test_a_stream_whose_progress_another_one_moved_writes_nothing(tables: AnalysisTables) -> None:
    first, second = LiveTables(tables), LiveTables(tables)
    first.count(members(3), {0: 9}, DAY)
    with pytest.raises(ForeignProgressError):
        second.count(members(3), {0: 9}, DAY)
    assert countries(tables) == {"Norway": 3}


def test_a_batch_in_which_nobody_counts_moves_the_progress_alone(tables: AnalysisTables) -> None:
    live = LiveTables(tables)
    live.count(Changes(duplicates=[Event("a", 0, 3, False, ())]), {0: 9}, DAY)
    live.finish_rows({0: 9})
    progress = tables.read_progress()
    assert (progress.written, progress.number, progress.analysis_date) == ({0: 9}, 0, None)
