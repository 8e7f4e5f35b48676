"""What every drill does: it counts before and after, and tells in one line what the fault was and what came of it."""

from collections.abc import Iterator

import pytest

from drill import IS_WHOLE, Drill, audit
from drill_report import LINES, Outcome
from member_analyzer.local.supervision import start_process, stop_process
from running_platform import Platform
from topic_records import Records


@pytest.fixture(scope="session", autouse=True)
def without_collector(platform: Platform) -> Iterator[None]:
    """The collector rests: it would publish what the drills' own publishing is seen not to."""
    stop_process(platform.home, "collector")
    yield
    start_process(platform.home, "collector")


@pytest.fixture(scope="module", autouse=True)
def audited(platform: Platform) -> Iterator[None]:
    """At the end of a module the audit agrees on all of its drills."""
    yield
    if not IS_WHOLE:
        audit(platform)


@pytest.fixture
def records(platform: Platform) -> Records:
    return Records(platform)


@pytest.fixture
def drill(platform: Platform, records: Records, request: pytest.FixtureRequest) -> Iterator[Drill]:
    marker = request.node.get_closest_marker("drill")
    drill = Drill(platform, records)
    drill.before = drill.count()
    yield drill
    failed = getattr(request.node, "call_failed", True)
    after = drill.count()
    LINES.append(
        Outcome(
            name=marker.args[0],
            counts={station: after[station] - drill.before[station] for station in after},
            seconds=drill.seconds,
            passed=not failed,
        )
    )


@pytest.hookimpl(hookwrapper=True)
def pytest_runtest_makereport(item: pytest.Item) -> Iterator[None]:
    outcome = yield
    report = outcome.get_result()  # type: ignore[attr-defined]
    if report.when == "call":
        item.call_failed = report.failed  # type: ignore[attr-defined]
