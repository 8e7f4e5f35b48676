from datetime import timedelta

from member_analyzer.operations.schedule import timetable


def test_a_dag_that_never_runs_by_itself_has_no_timetable() -> None:
    assert timetable("never") is None


def test_a_new_platform_makes_up_for_nothing() -> None:
    made = timetable("15 0 * * *")
    assert made is not None
    assert made.run_immediately == timedelta(0)
