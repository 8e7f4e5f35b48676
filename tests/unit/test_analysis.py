from datetime import date, timedelta

import pytest

from member_analyzer.analysis.counts import Count, Distribution, Tally, fold
from member_analyzer.streams.members.dimensions import AGE, DIMENSIONS

DAY = date(2026, 11, 21)


def make_tally() -> Tally:
    tally = Tally(DIMENSIONS, total=3)
    tally.set_counts(
        [
            Count("births", ("2015-01-01",), 1),
            Count("births", ("1990-05-05",), 2),
            Count("gender", ("female",), 3),
            Count("country", ("Norway",), 2),
            Count("country", ("Serbia",), 1),
            Count("city", ("Norway", "Skre"), 2),
            Count("city", ("Serbia", "Ub"), 1),
        ]
    )
    return tally


def test_births_are_folded_into_all_age_groups() -> None:
    assert make_tally().distribution("age", DAY) == Distribution(
        {("0-15",): 1, ("16-30",): 0, ("31-45",): 2, ("46-60",): 0, ("61+",): 0}, 3
    )


def test_members_move_to_the_next_age_group_by_themselves() -> None:
    births = {("2010-11-22",): 1}
    assert fold(AGE, births, date(2026, 11, 21))[("0-15",)] == 1
    assert fold(AGE, births, date(2026, 11, 22))[("16-30",)] == 1


def test_groups_that_were_folded_for_a_day_follow_every_change_and_the_next_day() -> None:
    tally = make_tally()
    tally.distribution("age", DAY)
    for number in (7, 4, 0, 9):
        tally.set_counts([Count("births", ("2010-11-22",), number), Count("births", ("1990-05-05",), number)])
        for day in (DAY, DAY + timedelta(days=1)):
            folded = fold(AGE, tally.buckets("births"), day)
            assert tally.distribution("age", day).buckets == folded


def test_only_changed_buckets_are_written_again() -> None:
    tally = make_tally()
    changes = [Count("births", ("2015-01-01",), 2), Count("city", ("Serbia", "Ub"), 2)]
    tally.set_counts(changes)
    tally.total = 4
    changed = dict(tally.changed_distributions(changes, DAY))
    assert changed["city"] == Distribution({("Serbia", "Ub"): 2}, 4)
    assert changed["age"].buckets[("0-15",)] == 2
    assert set(changed) == {"age", "city"}


def test_taking_the_same_counts_twice_changes_nothing() -> None:
    once, twice = make_tally(), make_tally()
    twice.distribution("age", DAY)
    counts = [Count("gender", ("female",), 3), Count("births", ("1990-05-05",), 2)]
    twice.set_counts(counts)
    twice.set_counts(counts)
    for dimension in DIMENSIONS:
        assert once.distribution(dimension.table, DAY) == twice.distribution(dimension.table, DAY)
        assert once.buckets(dimension.name) == twice.buckets(dimension.name)


def test_a_bucket_that_nobody_is_in_any_more_is_left_out_of_a_new_day() -> None:
    tally = make_tally()
    tally.set_counts([Count("country", ("Serbia",), 0)])
    assert tally.distribution("country", DAY).buckets == {("Norway",): 2}


def test_a_bucket_that_fell_to_nothing_is_written_as_zero() -> None:
    tally = make_tally()
    changes = [Count("country", ("Serbia",), 0)]
    tally.set_counts(changes)
    assert dict(tally.changed_distributions(changes, DAY))["country"].buckets == {("Serbia",): 0}


def test_an_unknown_dimension_is_refused() -> None:
    with pytest.raises(KeyError):
        make_tally().set_counts([Count("shoe_size", ("42",), 1)])
