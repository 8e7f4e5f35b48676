from concurrent.futures import ThreadPoolExecutor

import pytest

from member_analyzer.decisions import Decisions, RoundIsOverError


def test_what_is_decided_needs_no_waiting() -> None:
    decisions = Decisions({0: 10, 1: 5})
    decisions.wait_for({0: 10, 1: 4})


def test_a_partition_without_a_record_needs_no_decision() -> None:
    Decisions({0: 10}).wait_for({0: 10, 1: 0})


def test_one_waits_until_every_partition_is_decided() -> None:
    decisions = Decisions({0: 10, 1: 5})
    with ThreadPoolExecutor(1) as thread:
        waiting = thread.submit(decisions.wait_for, {0: 12, 1: 6})
        decisions.decide({0: 12})
        with pytest.raises(TimeoutError):
            waiting.result(0.2)
        decisions.decide({0: 12, 1: 6})
        waiting.result(10)


def test_the_next_round_begins_with_what_was_decided() -> None:
    decisions = Decisions({0: 10, 1: 5})
    decisions.decide({1: 7})
    decisions.end_round()
    assert decisions.decided == {0: 10, 1: 7}


def test_who_waits_is_told_that_the_round_is_over() -> None:
    decisions = Decisions({})
    with ThreadPoolExecutor(1) as thread:
        waiting = thread.submit(decisions.wait_for, {0: 1})
        decisions.end_round()
        with pytest.raises(RoundIsOverError, match="in the next one"):
            waiting.result(10)


def test_nothing_begins_in_a_round_that_is_over_even_if_it_is_decided() -> None:
    decisions = Decisions({0: 1})
    decisions.end_round()
    with pytest.raises(RoundIsOverError):
        decisions.wait_for({0: 1})
