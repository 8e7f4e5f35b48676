"""Counts the members before and after every drill, and adds the result to the report."""

from collections.abc import Iterator

import pytest

from drill import AUDIT_EACH_DRILL, Drill, audit
from drill_report import RESULTS, DrillResult
from member_analyzer.local.supervision import start_process, stop_process
from running_platform import Platform
from topic_records import Records


@pytest.fixture(scope="session", autouse=True)
def without_collector(platform: Platform) -> Iterator[None]:
    """Stops the collector, which would otherwise publish in place of the drills."""
    stop_process(platform.home, "collector")
    yield
    start_process(platform.home, "collector")


@pytest.fixture(scope="module", autouse=True)
def audited(platform: Platform) -> Iterator[None]:
    """Audits the platform after each module."""
    yield
    if not AUDIT_EACH_DRILL:
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
    RESULTS.append(
        DrillResult(
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
