from datetime import date

from pyspark.sql import SparkSession

from member_analyzer.analysis.counts import Count, Distribution, Tally
from member_analyzer.analysis.findings import Difference
from member_analyzer.analysis.recount import Bounds, compare, count_rows
from member_analyzer.streams.members.dimensions import DIMENSIONS

DAY = date(2026, 11, 21)


def make_tally(norway: int, serbia: int) -> Tally:
    tally = Tally(DIMENSIONS, total=norway + serbia)
    tally.set_counts([Count("country", ("Norway",), norway), Count("country", ("Serbia",), serbia)])
    return tally


STILL = Bounds(make_tally(5, 2), make_tally(5, 2))
MOVING = Bounds(make_tally(5, 2), make_tally(9, 2))


def live(total: int, **countries: int) -> Distribution:
    return Distribution({(country,): members for country, members in countries.items()}, total)


def test_equal_tables_have_no_difference() -> None:
    assert compare("country", live(7, Norway=5, Serbia=2), STILL, DAY) == []


def test_a_number_that_grew_meanwhile_is_no_difference() -> None:
    assert compare("country", live(9, Norway=7, Serbia=2), MOVING, DAY) == []


def test_a_number_outside_the_bounds_is_a_difference() -> None:
    assert compare("country", live(7, Norway=4, Serbia=3), MOVING, DAY) == [
        Difference("country", ("Norway",), 4, 9),
        Difference("country", ("Serbia",), 3, 2),
    ]


def test_a_bucket_that_is_missing_and_one_too_many_are_differences() -> None:
    assert compare("country", live(7, Norway=5, Atlantis=2), STILL, DAY) == [
        Difference("country", ("Atlantis",), 2, 0),
        Difference("country", ("Serbia",), 0, 2),
    ]


def test_a_wrong_total_is_a_difference() -> None:
    assert compare("country", live(8, Norway=5, Serbia=2), STILL, DAY) == [Difference("country", (), 8, 7)]


def test_members_are_counted_up_to_both_positions(spark: SparkSession) -> None:
    rows = [
        ("female", date(2000, 1, 1), "Norway", "Skre", partition, offset) for partition in (0, 1) for offset in range(5)
    ]
    members = spark.createDataFrame(
        rows, "gender string, date_of_birth date, country string, city string, kafka_partition int, kafka_offset long"
    )
    counted = count_rows(members, DIMENSIONS, {0: 1}, {0: 3, 1: 0}).collect()
    bounds = {(row["dimension"], tuple(row["bucket"])): (row["lowest"], row["highest"]) for row in counted}
    assert bounds[("total", ("",))] == (2, 5)
    assert bounds[("city", ("Norway", "Skre"))] == (2, 5)
    assert bounds[("births", ("2000-01-01",))] == (2, 5)
