"""Waiting time is measured without suspensions."""

from collections.abc import Callable

from member_analyzer.stopwatch import Stopwatch


def ticking(*moments: float) -> Callable[[], float]:
    return iter(moments).__next__


def test_waiting_is_measured() -> None:
    stopwatch = Stopwatch(max_step=10, clock=ticking(0, 4, 7))
    assert [stopwatch.read(), stopwatch.read()] == [4, 7]


def test_the_suspension_of_a_laptop_is_not_counted() -> None:
    stopwatch = Stopwatch(max_step=10, clock=ticking(0, 4, 904, 906))
    assert [stopwatch.read(), stopwatch.read(), stopwatch.read()] == [4, 14, 16]


def test_a_restart_resets_to_zero() -> None:
    stopwatch = Stopwatch(max_step=10, clock=ticking(0, 4, 100, 101))
    stopwatch.read()
    stopwatch.restart()
    assert stopwatch.read() == 1
