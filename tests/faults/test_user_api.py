"""Drill 12: the user API refuses, fails, dawdles and breaks off."""

import pytest

from drill import MEMBER_COUNT, Drill
from running_platform import Platform


@pytest.mark.drill("12. the user API answers 429, 500, slowly, HTML, half a page")
def test_every_member_is_taken_once_from_an_api_that_fails_in_every_way(platform: Platform, drill: Drill) -> None:
    # Ten pages at least, so that each of the six ways comes.
    page_size = min(250, MEMBER_COUNT // 10)
    platform.source.troubled.add("drill-api")
    run = platform.run("user_create", seed="drill-api", count=MEMBER_COUNT, page_size=page_size)
    platform.source.mend()
    platform.remember("drill-api", MEMBER_COUNT, page_size)
    landed = platform.airflow.task_result(run, "fetch_and_land")
    assert landed == {"accepted": MEMBER_COUNT, "duplicate": 0, "rejected": 0}
    drill.check()
