"""What a platform does that nobody sent a member to yet; runs before the other tests, as its name comes first."""

import pytest

from member_analyzer.landing.counters import count_landed
from member_analyzer.streams.members.definition import MEMBERS
from patience import holds
from running_platform import Platform


@pytest.fixture
def new_platform(platform: Platform) -> Platform:
    if count_landed(platform.landing, MEMBERS).accepted:
        pytest.skip("members were sent to this platform by a test before")
    return platform


def test_nothing_to_recount_or_to_draw_is_no_failure(new_platform: Platform) -> None:
    new_platform.run("user_analysis")
    assert new_platform.airflow.task_result(new_platform.run("generate_graphs"), "draw") == []


def test_a_first_batch_without_a_record_is_known_to_be_written(new_platform: Platform) -> None:
    """Or a stream that is ended in the batch after it would believe that Cassandra has lost members."""
    assert holds(lambda: bool(new_platform.tables.read_progress().written))
