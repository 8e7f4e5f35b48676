from collections.abc import Callable

import pytest

from member_analyzer.streaming.isolation import Isolation, name_errors, next_ends

MOST_STARTS = 3


def search(size: int, bad: set[int], *, dies: bool = False) -> tuple[list[int], int]:
    """The records of a batch that the search rejects, and its attempts; a bad one raises, or ends the process."""
    state = Isolation()
    for _ in range(MOST_STARTS):
        state = Isolation.decode(state.encode()).restart(MOST_STARTS)
    done, rejected, attempts = 0, [], 0
    while done < size:
        attempts += 1
        state = state.attempt(size - done)
        end = next_ends({0: done}, {0: size}, state.limit)[0]
        if state.has_failed_alone:
            rejected.append(done)
            state = state.reject()
        elif bad & set(range(done, end)):
            state = Isolation.decode(state.encode()).restart(MOST_STARTS) if dies else state.fail("it failed")
            continue
        else:
            state = state.succeed()
        done = end
    return rejected, attempts


@pytest.mark.parametrize("dies", [False, True], ids=["raises", "ends the process"])
@pytest.mark.parametrize("bad", [{0}, {41}, {99}, {3, 4}, {0, 50, 99}, set()], ids=str)
def test_exactly_the_records_that_fail_alone_are_rejected(bad: set[int], dies: bool) -> None:
    assert search(100, bad, dies=dies)[0] == sorted(bad)


def test_one_bad_record_of_a_hundred_thousand_is_found_in_few_attempts() -> None:
    rejected, attempts = search(100_000, {77_777})
    assert rejected == [77_777]
    assert attempts < 80


def test_two_records_are_searched_in_as_few_attempts_as_two_records_need() -> None:
    assert search(2, {1}) == ([1], 5)


def test_a_batch_that_was_begun_once_or_twice_is_not_searched() -> None:
    state = Isolation().restart(MOST_STARTS).restart(MOST_STARTS)
    assert not state.is_active
    assert state.restart(MOST_STARTS).is_active


def test_a_part_goes_through_the_partitions_in_their_order() -> None:
    begins, ends = {0: 5, 1: 0, 2: 7}, {0: 8, 1: 0, 2: 9}
    expected: dict[int, dict[int, int]] = {1: {0: 6}, 3: {0: 8}, 4: {0: 8, 2: 8}, 100: {0: 8, 2: 9}}
    for limit, part in expected.items():
        assert next_ends(begins, ends, limit) == part


def test_an_error_is_named_without_what_it_quotes() -> None:
    text = "calling o8.save.\n: org.apache.spark.SparkException: Ann Lee, 7 Main St\nCaused by: java.io.IOException: x"
    named = "RuntimeError < org.apache.spark.SparkException < java.io.IOException"
    assert name_errors(RuntimeError(text)) == named


def test_the_last_error_is_kept_and_is_short() -> None:
    step: Callable[[Isolation], Isolation] = lambda state: state.fail("x" * 10_000)  # noqa: E731
    assert len(step(Isolation(limit=4)).error) == 500
