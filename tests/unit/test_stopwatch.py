"""Waiting is measured without the time in which nothing could run."""

from collections.abc import Callable

from member_analyzer.stopwatch import Stopwatch


def ticking(*moments: float) -> Callable[[], float]:
    return iter(moments).__next__


def test_waiting_is_measured() -> None:
    stopwatch = Stopwatch(longest_step=10, clock=ticking(0, 4, 7))
    assert [stopwatch.read(), stopwatch.read()] == [4, 7]


def test_the_sleep_of_a_laptop_is_no_waiting() -> None:
    stopwatch = Stopwatch(longest_step=10, clock=ticking(0, 4, 904, 906))
    assert [stopwatch.read(), stopwatch.read(), stopwatch.read()] == [4, 14, 16]


def test_a_restart_begins_at_zero() -> None:
    stopwatch = Stopwatch(longest_step=10, clock=ticking(0, 4, 100, 101))
    stopwatch.read()
    stopwatch.restart()
    assert stopwatch.read() == 1
