from member_analyzer.analysis.changes import Changes, Event, Stored, find_changes
from member_analyzer.streams.members.dimensions import DIMENSIONS

COLUMNS = ("date_of_birth", "gender", "country", "city")
NORWAY = ("1990-05-17", "female", "Norway", "Oslo")
SERBIA = ("1990-05-17", "male", "Serbia", "Ub")


def created(key: str, offset: int, counted: tuple[str, ...] = NORWAY, partition: int = 0) -> Event:
    return Event(key, partition, offset, False, counted)


def erased(key: str, offset: int, counted: tuple[str, ...] = NORWAY, partition: int = 0) -> Event:
    return Event(key, partition, offset, True, counted)


def find(
    *events: Event,
    rows: dict[str, Stored] | None = None,
    marks: dict[str, Stored] | None = None,
    written: dict[int, int] | None = None,
) -> Changes:
    return find_changes(
        events, created=rows or {}, erased=marks or {}, written=written or {}, dimensions=DIMENSIONS, columns=COLUMNS
    )


def test_a_new_member_moves_one_bucket_of_each_dimension() -> None:
    changes = find(created("a", 0))
    assert changes.total == 1
    assert changes.buckets == {
        ("births", ("1990-05-17",)): 1,
        ("gender", ("female",)): 1,
        ("country", ("Norway",)): 1,
        ("city", ("Norway", "Oslo")): 1,
    }
    assert set(changes.created) == {"a"}


def test_the_lowest_offset_of_an_id_counts_whatever_the_order_of_reading() -> None:
    first, second = created("a", 3), created("a", 9, SERBIA)
    for events in ([first, second], [second, first]):
        changes = find(*events)
        assert changes.created == {"a": first}
        assert changes.duplicates == [second]
        assert changes.total == 1


def test_one_id_in_two_partitions_counts_once_as_its_row_says() -> None:
    here, there = created("a", 9, NORWAY, partition=0), created("a", 1, SERBIA, partition=1)
    changes = find(there, here)
    assert changes.created == {"a": here}
    assert changes.buckets[("country", ("Norway",))] == 1
    assert ("country", ("Serbia",)) not in changes.buckets


def test_an_id_that_has_a_row_changes_nothing() -> None:
    changes = find(created("a", 9, SERBIA), rows={"a": Stored(1, 2, NORWAY)}, written={0: 5, 1: 5})
    assert changes == Changes(duplicates=[created("a", 9, SERBIA)])


def test_a_row_that_a_failed_attempt_at_the_batch_left_is_written_and_counted_again() -> None:
    again = find(created("a", 9), rows={"a": Stored(0, 9, NORWAY)}, written={0: 5})
    assert again == find(created("a", 9))


def test_an_erasure_takes_back_what_the_row_was_counted_by_not_what_the_erasure_says() -> None:
    changes = find(erased("a", 9, SERBIA), rows={"a": Stored(0, 2, NORWAY)}, written={0: 5})
    assert changes.total == -1
    assert changes.buckets[("country", ("Norway",))] == -1
    assert ("country", ("Serbia",)) not in changes.buckets
    assert set(changes.erased) == {"a"}


def test_a_member_that_is_created_and_erased_in_one_batch_counts_nowhere_in_any_order() -> None:
    for events in ([created("a", 1), erased("a", 2)], [erased("a", 1), created("a", 2)]):
        changes = find(*events)
        assert (changes.total, dict(changes.buckets), changes.created) == (0, {}, {})
        assert set(changes.erased) == {"a"}


def test_an_erased_id_does_not_come_back_and_is_erased_once() -> None:
    marks = {"a": Stored(1, 3)}
    changes = find(created("a", 8), erased("a", 9), marks=marks, written={0: 5, 1: 5})
    assert changes == Changes(duplicates=[created("a", 8)])


def test_two_erasures_of_a_member_take_it_back_once() -> None:
    changes = find(erased("a", 8), erased("a", 9), rows={"a": Stored(0, 2, NORWAY)}, written={0: 5})
    assert changes.total == -1
    assert changes.erased == {"a": erased("a", 8)}
