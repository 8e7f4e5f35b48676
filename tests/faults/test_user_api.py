"""Drill 12: the user API returns errors and incomplete pages, and is slow."""

import pytest

from drill import MEMBER_COUNT, Drill
from running_platform import Platform


@pytest.mark.drill("12. user API returns 429, 500, HTML or half a page, or is slow")
def test_every_member_is_counted_once_with_an_api_that_fails_in_every_way(platform: Platform, drill: Drill) -> None:
    # At least ten pages, so that each of the six failures occurs.
    page_size = min(250, MEMBER_COUNT // 10)
    platform.source.flaky.add("drill-api")
    run = platform.run("user_create", seed="drill-api", count=MEMBER_COUNT, page_size=page_size)
    platform.source.clear_faults()
    platform.remember("drill-api", MEMBER_COUNT, page_size)
    assert platform.airflow.task_result(run, "fetch_and_land") == {
        "accepted": MEMBER_COUNT,
        "duplicate": 0,
        "rejected": 0,
    }
    drill.check()
